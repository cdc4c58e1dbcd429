"""An OpenStreetMap file written again as netconvert takes it: in order, each way once, closed where tags close it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import quoteattr

from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import chunks, scan
from leed_agentic.roads.osm import MODES, SECTIONS, Survey, directions, is_drivable, needs_access

_AGAIN = "download or export the area again"


def needs_rewriting(survey: Survey) -> bool:
    """Whether netconvert would read the file as something else than it is."""
    return bool(not survey.ordered or survey.repeated or survey.access_tags or survey.packed not in (None, "gzip"))


def rewrite(file: Path, survey: Survey, target: Path) -> None:
    """Copy nodes, ways and relations, in three readings so that nothing need be kept.

    Streets closed to cars are left out, streets closed in one direction become one-way streets. Of ways with one id the
    newest version stays.

    Raises:
        UsageError: two ways of one id and version differ, so that one of them would be lost.
    """
    chosen = _newest(file, survey.repeated) if survey.repeated else {}
    with target.open("w", encoding="utf-8", newline="\n") as out:
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6">\n')
        for section in SECTIONS:
            copier = _Copier(section, out, chosen)
            scan(chunks(file, _AGAIN), copier.start, copier.end)
        out.write("</osm>\n")


@dataclass
class _Element:
    """A node, way or relation with its children, as attributes."""

    attributes: dict[str, str]
    children: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def tags(self) -> dict[str, str]:
        return {a.get("k", ""): a.get("v", "") for name, a in self.children if name == "tag"}


class _Collector:
    """Calls `whole` with every element of one section."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._element: _Element | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._section:
            self._element = _Element(attributes)
        elif self._element is not None:
            self._element.children.append((name, attributes))

    def end(self, name: str) -> None:
        if name == self._section and self._element is not None:
            self.whole(self._element)
            self._element = None

    def whole(self, element: _Element) -> None:
        raise NotImplementedError


class _Newest(_Collector):
    """For ways that occur several times: which occurrence to keep."""

    def __init__(self, file: Path, repeated: frozenset[str]) -> None:
        super().__init__("way")
        self.kept: dict[str, tuple[int, bytes]] = {}
        self._file = file
        self._repeated = repeated

    def whole(self, element: _Element) -> None:
        name = element.attributes.get("id", "")
        if name not in self._repeated:
            return
        version, content = _version(element), _content(element)
        kept = self.kept.get(name)
        if kept is not None and kept[0] == version and kept[1] != content:
            raise UsageError(
                f"{self._file} has two different ways of the id {name} and one version; give one of them another id, "
                "or export the area in one piece."
            )
        if kept is None or version > kept[0]:
            self.kept[name] = (version, content)


def _newest(file: Path, repeated: frozenset[str]) -> dict[str, tuple[int, bytes]]:
    newest = _Newest(file, repeated)
    scan(chunks(file, _AGAIN), newest.start, newest.end)
    return newest.kept


def _version(element: _Element) -> int:
    text = element.attributes.get("version", "0")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _content(element: _Element) -> bytes:
    return hashlib.sha256(repr(element.children).encode("utf-8", "surrogatepass")).digest()


class _Copier(_Collector):
    def __init__(self, section: str, out: TextIO, chosen: dict[str, tuple[int, bytes]]) -> None:
        super().__init__(section)
        self._out = out
        self._chosen = chosen
        self._done: set[str] = set()

    def whole(self, element: _Element) -> None:
        if self._section == "way" and not self._wanted(element):
            return
        children = self._as_driven(element) if self._section == "way" else element.children
        self._out.write(f"<{self._section}{_attributes(element.attributes)}>")
        for name, attributes in children:
            self._out.write(f"<{name}{_attributes(attributes)}/>")
        self._out.write(f"</{self._section}>\n")

    def _wanted(self, element: _Element) -> bool:
        name = element.attributes.get("id", "")
        if name in self._chosen:
            if name in self._done or self._chosen[name] != (_version(element), _content(element)):
                return False
            self._done.add(name)
        tags = element.tags
        return not is_drivable(tags) or any(_passable(tags))

    def _as_driven(self, element: _Element) -> list[tuple[str, dict[str, str]]]:
        tags = element.tags
        if not is_drivable(tags) or not needs_access(tags):
            return element.children
        forward, backward = directions(tags)
        gone = {*MODES, *(("oneway",) if forward != backward else ())}
        children = [(n, a) for n, a in element.children if n != "tag" or a.get("k") not in gone]
        if forward != backward:
            children.append(("tag", {"k": "oneway", "v": "yes" if forward else "-1"}))
        return children


def _passable(tags: dict[str, str]) -> tuple[bool, bool]:
    """The directions left by access tags and by `oneway` together."""
    forward, backward = directions(tags)
    oneway = tags.get("oneway", "")
    return forward and oneway not in ("-1", "reverse"), backward and oneway not in ("yes", "true", "1")


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
