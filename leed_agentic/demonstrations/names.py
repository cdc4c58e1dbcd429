"""How streets and junctions are called in a prompt: by their ids, or by short aliases that are mapped back."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork

MAX_ID = 1000
_DASHES = frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d")
_NOT_IN_IDS = frozenset(" ,;'\"`|\\<>")
_ALIAS = re.compile(r"(?:(?:edge|street|junction|node)[\s_:#]+)?([ej])(\d{1,7})", re.IGNORECASE)
# A word of a remark and what says which kind of number it is: "agent 12", "junction 12" and "12 m" are no edges.
_WORD = re.compile(r"(?P<kind>[Aa]gents? |junction )?(?P<word>[^\s,;'\"()]++)(?! (?:m|s|times)\b)")


class Names:
    """Ids as they are, or `e17` and `j5` by the edge's and the junction's number in the network.

    Aliases are the same in every prompt of a network, so conversations and recordings stay readable by number.
    """

    def __init__(self, network: RoadNetwork, aliases: bool = False) -> None:
        self.network = network
        self.aliases = aliases

    def edge(self, edge_id: str) -> str:
        """Raises UsageError when an id could hide a sentence."""
        return f"e{self.network.edge(edge_id).index}" if self.aliases else _one_word(edge_id)

    def junction(self, junction_id: str) -> str:
        """Raises UsageError when an id could hide a sentence."""
        return f"j{self.network.junction(junction_id).index}" if self.aliases else _one_word(junction_id)

    def ids(self, words: Sequence[str]) -> list[str]:
        """A route as the model wrote it, in the network's ids; what is none of them stays, for the findings to quote.

        Typographic dashes, no-break and zero-width characters are plain ones only where that makes an id that exists.
        """
        return [self._id(word) for word in words]

    def told(self, remark: str) -> str:
        """A remark with the names that the prompt uses."""
        return _WORD.sub(self._renamed, remark) if self.aliases else remark

    def _id(self, word: str) -> str:
        plain = folded(word)
        alias = _ALIAS.fullmatch(plain) if self.aliases else None
        if alias is None:
            return plain if self._is_known(plain) and not self._is_known(word) else word
        number, known = int(alias[2]), self.network.edges if alias[1] in "eE" else self.network.junctions
        return known[number].id if number < len(known) else word

    def _is_known(self, name: str) -> bool:
        return self.network.has_edge(name) or self.network.has_junction(name)

    def _renamed(self, match: re.Match[str]) -> str:
        kind, word = match["kind"] or "", match["word"]
        stem = word.rstrip(".:")
        if kind.lower().startswith("agent"):
            return match[0]
        if self.network.has_junction(stem) and (kind or not self.network.has_edge(stem)):
            return kind + self.junction(stem) + word[len(stem) :]
        if self.network.has_edge(stem):
            return kind + self.edge(stem) + word[len(stem) :]
        return match[0]


def folded(word: str) -> str:
    """A word in plain characters: compatibility forms resolved, dashes as -, nothing invisible, no space around it."""
    if word.isascii():
        return word.strip()
    plain = unicodedata.normalize("NFKC", word)
    visible = "".join("-" if c in _DASHES else "" if unicodedata.category(c) == "Cf" else c for c in plain)
    return visible.strip()


def _one_word(name: str) -> str:
    """The id itself when it is one word, as netconvert writes them; a forged network could hide sentences in one.

    Raises:
        UsageError: the id has spaces, commas, quotes or line breaks, or is very long.
    """
    if name and len(name) <= MAX_ID and name.isprintable() and not any(mark in _NOT_IN_IDS for mark in name):
        return name
    raise UsageError(f"The network has the id {name[:60]!r}, which is not one word; build it again with netconvert.")
