"""Thresholds that a comparison must meet, such as `valid_first>=0.95`: for CI."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from leed_agentic.comparing.comparison_table import FIGURES, OF_ALL, WORDS, Row
from leed_agentic.errors import UsageError
from leed_agentic.registry import nearest

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FORM = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class Requirement:
    """A figure's mean, after the last refinement, against a number."""

    text: str
    figure: str
    sign: str
    number: float

    def missed(self, row: Row) -> str | None:
        """Why a combination does not meet it; None: it does. What is unknown does not."""
        found = row.figures[self.figure]
        if found is None:
            return f"{self.text} is not met by {row.combination}: it is unknown."
        if _SIGNS[self.sign](found.mean, self.number):
            return None
        return f"{self.text} is not met by {row.combination}: it is {found.mean:.4g}."


def read_requirement(text: str) -> Requirement:
    """`figure>=number`; a number may be a percentage. Raises UsageError."""
    form = _FORM.fullmatch(text)
    if not form:
        raise UsageError(f"--require {text!r} is no threshold; write it as valid_first>=0.95 or cost<=0.5.")
    word, sign, number, percent = form.groups()
    known = {**{name: name for name in (*FIGURES, *OF_ALL)}, **WORDS}
    if word not in known:
        raise UsageError(f"--require {text!r} names no figure: {nearest(word, sorted(known))}")
    return Requirement(text.strip(), known[word], sign, float(number) / (100 if percent else 1))


def missed(requirements: Sequence[Requirement], rows: Sequence[Row]) -> list[str]:
    """A sentence for every requirement that a row does not meet."""
    return [why for requirement in requirements for row in rows if (why := requirement.missed(row))]
