"""An OpenStreetMap file written again as netconvert takes it: in order, each way once, closed where tags close it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
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
            _for_each(file, section, _copier(section, out, chosen))
        out.write("</osm>\n")


@dataclass
class _Element:
    """A node, way or relation with its children, as attributes."""

    attributes: dict[str, str]
    children: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def tags(self) -> dict[str, str]:
        return {a.get("k", ""): a.get("v", "") for name, a in self.children if name == "tag"}


def _for_each(file: Path, section: str, whole: Callable[[_Element], None]) -> None:
    """Call a function with every element of one section."""
    element: _Element | None = None

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal element
        if name == section:
            element = _Element(attributes)
        elif element is not None:
            element.children.append((name, attributes))

    def end(name: str) -> None:
        nonlocal element
        if name == section and element is not None:
            whole(element)
            element = None

    scan(chunks(file, _AGAIN), start, end)


def _newest(file: Path, repeated: frozenset[str]) -> dict[str, tuple[int, bytes]]:
    """For ways that occur several times: which occurrence to keep."""
    newest: dict[str, tuple[int, bytes]] = {}

    def compare(element: _Element) -> None:
        name = element.attributes.get("id", "")
        if name not in repeated:
            return
        version, content = _version(element), _content(element)
        kept = newest.get(name)
        if kept is not None and kept[0] == version and kept[1] != content:
            raise UsageError(
                f"{file} has two different ways of the id {name} and one version; give one of them another id, "
                "or export the area in one piece."
            )
        if kept is None or version > kept[0]:
            newest[name] = (version, content)

    _for_each(file, "way", compare)
    return newest


def _version(element: _Element) -> int:
    text = element.attributes.get("version", "0")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _content(element: _Element) -> bytes:
    return hashlib.sha256(repr(element.children).encode("utf-8", "surrogatepass")).digest()


def _copier(section: str, out: TextIO, chosen: Mapping[str, tuple[int, bytes]]) -> Callable[[_Element], None]:
    """Writes the elements of one section that are wanted."""
    done: set[str] = set()

    def is_wanted(way: _Element) -> bool:
        name = way.attributes.get("id", "")
        if name in chosen:
            if name in done or chosen[name] != (_version(way), _content(way)):
                return False
            done.add(name)
        return not is_drivable(way.tags) or any(_passable(way.tags))

    def write(element: _Element) -> None:
        if section == "way" and not is_wanted(element):
            return
        out.write(f"<{section}{_attributes(element.attributes)}>")
        for name, attributes in _as_driven(element) if section == "way" else element.children:
            out.write(f"<{name}{_attributes(attributes)}/>")
        out.write(f"</{section}>\n")

    return write


def _as_driven(way: _Element) -> list[tuple[str, dict[str, str]]]:
    tags = way.tags
    if not is_drivable(tags) or not needs_access(tags):
        return way.children
    forward, backward = directions(tags)
    gone = {*MODES, *(("oneway",) if forward != backward else ())}
    children = [(n, a) for n, a in way.children if n != "tag" or a.get("k") not in gone]
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
