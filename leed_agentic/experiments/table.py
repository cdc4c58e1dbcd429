"""Figures with their intervals as cells: one interval for each kind of figure, in Markdown, CSV and JSON alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from leed_agentic.experiments.statistics import Estimate, iqm_and_interval, mean_and_interval, share_and_interval

INTERVALS = "95 % intervals: Student's t, for shares Wilson's, for IQMs bootstrap"


@dataclass(frozen=True)
class Figure:
    """How one figure is named, written and estimated."""

    title: str
    digits: int = 1
    kind: Literal["mean", "share", "iqm"] = "mean"
    every: bool = False
    """Unknown as soon as one run does not have it; else the mean is over the runs that have it."""
    signed: bool = True
    """Whether it may be below zero; else its interval ends there."""

    @property
    def share(self) -> bool:
        """Whether it is a share, from 0 to 1, written as a percentage."""
        return self.kind == "share"

    def estimate(self, values: Iterable[float | None]) -> Estimate | None:
        """Of one value per run; None where it is unknown."""
        given = list(values)
        known = np.array([value for value in given if value is not None], dtype=np.float64)
        if not len(known) or (self.every and len(known) < len(given)):
            return None
        if self.share:
            return share_and_interval(known)
        found = iqm_and_interval(known) if self.kind == "iqm" else mean_and_interval(known)
        return found if self.signed or found.low is None else replace(found, low=max(found.low, 0.0))

    def cell(self, estimate: Estimate | None, interval: bool = True) -> str:
        """As people read it."""
        if estimate is None:
            return "unknown" if self.every else "-"
        scale, sign = (100.0, " %") if self.share else (1.0, "")
        text = f"{scale * estimate.mean:.{self.digits}f}{sign}"
        if interval and estimate.low is not None and estimate.high is not None:
            text += f" [{scale * estimate.low:.{self.digits}f}, {scale * estimate.high:.{self.digits}f}]"
        return text


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Its lines."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rule = "|---" * len(header) + "|"
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return [texts[0], rule, *texts[1:]]


def csv_text(lines: Iterable[Sequence[str]]) -> str:
    """Rows as CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def heads(names: Iterable[str]) -> list[str]:
    """The CSV columns of figures: the mean and the ends of its interval."""
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def cells(estimates: Iterable[Estimate | None]) -> list[str]:
    """The CSV cells under `heads`; empty where there is nothing."""
    return [number(v) for e in estimates for v in ((e.mean, e.low, e.high) if e else (None, None, None))]


def number(value: float | None) -> str:
    """A CSV cell."""
    return "" if value is None or np.isnan(value) else f"{value:.8g}"


def read_estimate(row: Mapping[str, str], name: str) -> Estimate | None:
    """The figure of a CSV row under `heads`."""
    mean, low, high = (float(text) if (text := row.get(f"{name}{end}")) else None for end in ("", "_low", "_high"))
    return None if mean is None else Estimate(mean, low, high)


def figures_json(figures: Mapping[str, Estimate | None]) -> dict[str, Any]:
    """Name to mean, low and high, or null."""
    return {name: None if e is None else vars(e) for name, e in figures.items()}
