"""triggers.csv: what every question to the source gave and cost, one line each, with running totals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.runs.log import CsvLog, read_csv
from leed_agentic.traffic.similarity import dtw_distance

SPENT = ("calls", "input_tokens", "output_tokens")
REPORTED = ("validity", "rounds", "memory")
"""What a source may say about its last answer: the share of asked-for routes that were valid, how many plans it took,
and how much it remembers (what refinement has added to the prompt)."""
COLUMNS = [
    *("episode", "source", "ok", "failure", "agents", "validity", "rounds", "memory", "expert_reward_mean"),
    *("dtw_before", *SPENT, "seconds", *(f"{name}_total" for name in (*SPENT, "seconds"))),
]


class TriggerLog:
    """One line per trigger. Seconds stand here and in timing.csv only: metrics.csv stays equal to the bit.

    Args:
        keep: triggers of the checkpoint that the run goes on from; later lines are of episodes to be done again.

    Raises:
        UsageError: the file does not hold that many lines.
        UnavailableError: it cannot be written.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        file = folder / "triggers.csv"
        self._log = CsvLog(file, COLUMNS, keep)
        rows = read_csv(file)
        self._totals = {name: sum(float(row[name] or 0) for row in rows) for name in (*SPENT, "seconds")}

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a line; the totals are filled in."""
        for name in self._totals:
            self._totals[name] += row[name]
        counts = {f"{name}_total": int(self._totals[name]) for name in SPENT}
        self._log.write({**row, **counts, "seconds_total": round(self._totals["seconds"], 3)})

    def close(self) -> None:
        self._log.close()


def mean_dtw(own: Mapping[int, Any], experts: Mapping[int, Any], method: str) -> float | str:
    """Mean DTW distance in metres between the agents and the demonstrations they have; empty where there are none."""
    pairs = [agent for agent in experts if agent in own]
    distances = [dtw_distance(own[agent].positions, experts[agent].positions, method) for agent in pairs]
    return float(np.mean(distances)) if distances else ""
