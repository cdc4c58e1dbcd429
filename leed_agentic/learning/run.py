"""The folder of a training run: run.json with its settings, scenario and versions, and its figures, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from leed_agentic.errors import UsageError
from leed_agentic.learning.metrics import METRICS, USAGE, Metric, columns
from leed_agentic.learning.records import TimingLine, TriggerLine
from leed_agentic.resumption import settings_to_go_on
from leed_agentic.runs.files import read_json, write_json
from leed_agentic.runs.folder import check_links
from leed_agentic.runs.lock import alone
from leed_agentic.runs.log import CsvLog, read_csv
from leed_agentic.runs.trackers import Trackers
from leed_agentic.settings import Settings
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.versions import package_versions

FORMAT = "leed-run"
FORMAT_VERSION = 2
SUMMARY = "summary.json"
TIMING, TRIGGERS = list(TimingLine.__annotations__), list(TriggerLine.__annotations__)
_SUMMED = ("episode", "reward_mean", "arrival_rate", "decisions", "simulated_seconds")
"""What the summary of a run is made of."""


def write_run_file(folder: Path, settings: Settings, scenario: Scenario, metrics: Sequence[Metric] = ()) -> None:
    """run.json: the resolved settings, the scenario and the versions of what decides the numbers.

    Args:
        metrics: those of the algorithm that the package's own table lacks.
    """
    data = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "settings": settings.for_file(),
        "scenario": scenario.to_json(),
        "metrics": [asdict(metric) for metric in metrics],
        "versions": package_versions(),
    }
    write_json(folder / "run.json", data)


def read_run_file(
    folder: Path, given: Mapping[str, Any] | None = None, trust: bool = False
) -> tuple[Settings, Scenario]:
    """Settings and scenario of a training run, which may come from anybody (see `settings_to_go_on`).

    Raises:
        UsageError: the folder is not one, a link in it leaves it, or its settings name code that nobody vouched for.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give one that `leed train` made.")
    check_links(folder)
    file = folder / "run.json"
    data = read_json(file, "a training run; give a folder of `leed train`")
    if data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
        raise UsageError(f"{file} is not of format {FORMAT} {FORMAT_VERSION}; give a folder of `leed train`.")
    try:
        return settings_to_go_on(dict(data["settings"]), str(file), given, trust), Scenario.from_json(data["scenario"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is damaged ({type(error).__name__}); give another folder of `leed train`.") from error


def extend(folder: Path, episodes: int, given: Mapping[str, Any] | None = None, trust: bool = False) -> None:
    """Let a run go on to so many episodes in all. What its episodes so far were planned for stays on record: settings
    that follow the whole length, as LEED's alpha does, follow the new one from here on.

    Raises:
        UsageError: as `read_run_file`; the run is as long already; another process trains there.
    """
    before = read_run_file(folder, given, trust)[0].learning.episodes
    if episodes == before:
        return
    if episodes < before:
        raise UsageError(
            f"{folder} has {before} episodes, and --episodes {episodes} would take some away; give a larger number."
        )
    with alone(folder):
        data = read_json(folder / "run.json", "a training run")
        data["settings"]["learning"]["episodes"] = episodes
        data["extended_at"] = [*data.get("extended_at", ()), before]
        write_json(folder / "run.json", data)


def read_versions(folder: Path) -> dict[str, str]:
    """Versions of what decided the numbers of a training run; `read_run_file` says whether it is one."""
    return dict(read_json(folder / "run.json", "a training run").get("versions", {}))


class Logbook:
    """metrics.csv, timing.csv, triggers.csv and what trackers keep, each line written at once.

    Seconds stand in timing.csv and triggers.csv alone: metrics.csv of two runs is equal to the bit.

    Args:
        metrics: those of the run, which are columns from the first line on; others follow when they first appear.
        episode: episodes of the checkpoint that the run goes on from; later lines are done again.
        triggers: triggers of that checkpoint; None for a run that asks no source.

    Raises:
        UsageError: the files do not hold what the checkpoint says; a tracker cannot be set up.
        UnwritableError: the disk is full or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        agents: int,
        metrics: Sequence[Metric] = METRICS,
        episode: int = 0,
        triggers: int | None = None,
        trackers: Sequence[str] = (),
    ) -> None:
        first = columns(agents, metrics)
        self._per_agent = {name for name in first if name not in {m.name for m in metrics}}
        with ExitStack() as opened:
            self._metrics = opened.enter_context(closing(CsvLog(folder / "metrics.csv", first, episode, _SUMMED)))
            self._timing = opened.enter_context(closing(CsvLog(folder / "timing.csv", TIMING, episode, TIMING)))
            self._triggers, self._totals = None, dict.fromkeys((*USAGE, "seconds"), 0.0)
            if triggers is not None:
                log = CsvLog(folder / "triggers.csv", TRIGGERS, triggers, ("episode", *USAGE, "seconds"))
                self._triggers = opened.enter_context(closing(log))
                for row in read_csv(folder / "triggers.csv"):
                    self._totals = {name: total + float(row[name] or 0) for name, total in self._totals.items()}
            self._trackers = opened.enter_context(closing(Trackers(trackers, folder, episode)))
            self.close = opened.pop_all().close

    def write(self, row: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
        """One episode."""
        self._metrics.write(row)
        self._timing.write({"episode": row["episode"], **seconds})
        figures = {name: figure for name, figure in row.items() if name not in self._per_agent}
        self._trackers.write(figures, row["episode"])

    def write_trigger(self, row: Mapping[str, Any]) -> None:
        """One question to the source; the running totals are filled in."""
        if self._triggers:
            self._totals = {name: total + row[name] for name, total in self._totals.items()}
            counts = {f"{name}_total": int(self._totals[name]) for name in USAGE}
            self._triggers.write({**row, **counts, "seconds_total": round(self._totals["seconds"], 3)})


# -- figures -----------------------------------------------------------------------------------------------------------
def summary_of(folder: Path) -> dict[str, Any]:
    """Figures of all episodes so far."""
    metrics, timing = read_csv(folder / "metrics.csv"), read_csv(folder / "timing.csv")
    rewards = [float(row["reward_mean"]) for row in metrics]
    total = {name: sum(float(row[name]) for row in timing) for name in timing[0] if name != "episode"}
    decisions = sum(int(row["decisions"]) for row in metrics)
    return {
        "episodes": len(metrics),
        "reward_first20": float(np.mean(rewards[:20])),
        "reward_last20": float(np.mean(rewards[-20:])),
        "arrival_rate_last20": float(np.mean([float(row["arrival_rate"]) for row in metrics[-20:]])),
        "decisions": decisions,
        "simulated_seconds": sum(float(row["simulated_seconds"]) for row in metrics),
        **total,
        "decisions_per_second": decisions / total["seconds"],
    }


def finished_summary(
    folder: Path, given: Mapping[str, Any] | None = None, trust: bool = False
) -> dict[str, Any] | None:
    """The summary that a run wrote at its end; None while there are episodes to train or a summary to write.

    Raises:
        UsageError: as `read_run_file`.
    """
    settings, _ = read_run_file(folder, given, trust)
    # As `checkpoint.checkpoints` finds them, without loading torch for it.
    done = max((int(p.name) for p in (folder / "checkpoints").glob("[0-9]*") if p.is_dir()), default=-1)
    if done < settings.learning.episodes:
        return None
    try:
        found = read_json(folder / SUMMARY, "the summary of a training run")
    except UsageError:
        # Stopped between the last checkpoint and the summary, which is made again.
        return None
    return found if "episodes" in found else None
