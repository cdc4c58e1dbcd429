"""How streets and junctions are called in a prompt: by their ids, or by short aliases that are mapped back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leed_agentic.errors import UsageError
from leed_agentic.roads.network import RoadNetwork

MAX_ID = 1000
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
        """A route as the model wrote it, in the network's ids; what is no alias stays, for the findings to quote."""
        return [self._id(word) for word in words] if self.aliases else list(words)

    def told(self, remark: str) -> str:
        """A remark with the names that the prompt uses."""
        return _WORD.sub(self._renamed, remark) if self.aliases else remark

    def _id(self, word: str) -> str:
        alias = _ALIAS.fullmatch(word)
        if alias is None:
            return word
        number, known = int(alias[2]), self.network.edges if alias[1] in "eE" else self.network.junctions
        return known[number].id if number < len(known) else word

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


def _one_word(name: str) -> str:
    """The id itself when it is one word, as netconvert writes them; a forged network could hide sentences in one.

    Raises:
        UsageError: the id has spaces, commas, quotes or line breaks, or is very long.
    """
    if name and len(name) <= MAX_ID and name.isprintable() and not any(mark in _NOT_IN_IDS for mark in name):
        return name
    raise UsageError(f"The network has the id {name[:60]!r}, which is not one word; build it again with netconvert.")
