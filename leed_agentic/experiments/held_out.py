"""Whether what was learnt holds for trips that training never drew: one policy for all agents, which is told where it
is and where it shall go, trained on ever new trips, beside drivers that learn nothing on the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leed_agentic.errors import UsageError, check_count
from leed_agentic.experiments.experiment import TWO_MAPS, Experiment, Member, register
from leed_agentic.experiments.paper import LEED, also, without_demonstrations
from leed_agentic.experiments.picture import Line, Panel, draw, panels_csv
from leed_agentic.experiments.report import ExperimentRun, Outcome, manifest
from leed_agentic.experiments.run import Arm, Request, Run, leaves, world_content
from leed_agentic.experiments.statistics import Estimate
from leed_agentic.experiments.table import (
    INTERVALS,
    Figure,
    cells,
    csv_text,
    figures_json,
    heads,
    markdown_table,
    number,
)
from leed_agentic.experiments.table2 import LONG_TRIPS
from leed_agentic.experiments.task import HELD_OUT, OTHERS_HELD_OUT, REFERENCES, Task, held_out_file
from leed_agentic.runs.files import read_json, write_json, write_text
from leed_agentic.settings import Settings, given_settings

if TYPE_CHECKING:
    from leed_agentic.learning.evaluation import Driver
    from leed_agentic.traffic.environment import RouteEnv

LENGTHS = (500, 2000)
"""Episodes after which a run is tested; then it goes on."""
SHORTEST, RANDOM = "shortest path", "random"
TESTED = ("arrived", "seconds", "reward")
"""Of each drive: share of the agents that arrived, their mean seconds (to the end where they did not), mean reward."""
FIGURES = {
    "arrived": Figure("arrived", 1, "share"),
    "seconds": Figure("seconds", signed=False),
    "seconds_apart": Figure("apart"),
    "seconds_from_leed": Figure("from leed"),
    "reward": Figure("reward"),
}
DRAWN = {"arrived": "arrived", "seconds_apart": "seconds behind the shortest path"}
SAMPLED, LIKELIEST = "sampled", "likeliest"
"""How actions are taken: drawn from the policy as in training, or its most probable ones."""
Drives = dict[str, list[float]]
"""TESTED to one figure per scenario."""


def _for_any_trip(arm: Arm) -> Arm:
    """One network for all, which is not told whose it is: whoever drives, from where and to where, it knows the way."""
    group = f"learning.{str(arm.settings['learning.algorithm']).replace('-', '_')}"
    return also(arm, arm.label, {f"{group}.share_policy": True, f"{group}.agent_id": False})


BC = _for_any_trip(Arm("bc", {"learning.algorithm": "bc"}))
ARMS = (
    _for_any_trip(LEED),
    BC,
    *(_for_any_trip(Arm(name, {"learning.algorithm": name})) for name in ("bc-then-ppo", "dapg")),
    _for_any_trip(without_demonstrations("ippo")),
    also(BC, "bc, codes alone", {"learning.encoding": "codes"}),
)
COMMON = {
    **LONG_TRIPS,
    "scenario.redraw": "episode",
    "learning.encoding": "places",
    "learning.learning_rate": 1e-3,
    "learning.source": "shortest-path",
}


@dataclass(frozen=True)
class Row:
    """A driver on the trips of one map that training never drew."""

    map: str
    driver: str
    episodes: int | None
    """That it was trained for; None: it learns nothing."""
    scenarios: int
    figures: Mapping[str, Estimate | None]
    """By the names of FIGURES; what lies apart from the shortest path and from LEED is taken scenario by scenario. Over
    scenarios, and over training runs where there are several; arrivals always over scenarios."""

    def as_json(self) -> dict[str, Any]:
        head = {"map": self.map, "driver": self.driver, "episodes": self.episodes, "scenarios": self.scenarios}
        return {**head, **figures_json(self.figures)}


@dataclass(frozen=True)
class HeldOut:
    """A run is tested after each of its lengths and goes on to the next, so that a longer one continues a shorter."""

    name: str = "held-out"
    question: str = "Trips that training never drew: who arrives, and how fast"
    maps: tuple[str, ...] = TWO_MAPS

    @property
    def compared(self) -> list[str]:
        return [arm.label for arm in ARMS]

    def members(self, request: Request) -> list[tuple[Member, Request]]:
        check_count("--scenarios", request.scenarios)
        return [(self, request)]

    def runs(self, request: Request) -> list[Run]:
        """Every training run; raises UsageError as `Experiment.runs`."""
        given = leaves(given_settings(request.assignments))
        if "learning.episodes" in given:
            raise UsageError("-s learning.episodes contradicts the experiment, which sets it; use --episodes.")
        if "scenario.demand" in given:
            raise UsageError("Trips that training never drew are drawn, and a demand is given; leave it out.")
        changes = {name: value for name, value in request.changes.items() if name != "learning.episodes"}
        whole = Experiment(self.name, self.question, ARMS, self.maps, COMMON, seeds=1)
        return whole.only(request.arms).runs(replace(request, changes=changes))

    def tasks(self, request: Request) -> list[Task]:
        lengths, tasks = _lengths(request), []
        for run in self.runs(request):
            about = f"{run.place}, seed {run.seed}"
            extras = {"scenarios": request.scenarios, "lengths": list(lengths)}
            tasks.append(Task(f"{run.arm}, {about}", _key(run, request), HELD_OUT, run.settings, extras))
            others = {"scenarios": request.scenarios}
            tasks.append(Task(f"references, {about}", _others_key(run, request), OTHERS_HELD_OUT, run.settings, others))
        return tasks

    def report(
        self, request: Request, failed: Mapping[str, str], parent: Path, folder: Path, command: str
    ) -> Outcome | None:
        runs = self.runs(request)
        broken = {(run.arm, run.place) for run in runs if _key(run, request) in failed}
        lost = {run.place for run in runs if _others_key(run, request) in failed}
        whole = [run for run in runs if (run.arm, run.place) not in broken and run.place not in lost]
        rows = [row for place in dict.fromkeys(r.place for r in whole) for row in _rows(place, whole, request, parent)]
        if not rows:
            return None
        panels = _panels(rows)
        texts = {"table.md": self._markdown(rows), "table.csv": _table_csv(rows), "figure.csv": panels_csv(panels)}
        for name, content in texts.items():
            write_text(folder / name, content)
        made: list[ExperimentRun] = [
            {"arm": run.arm, "map": run.map, "seed": run.seed, "folder": _key(run, request)} for run in whole
        ]
        about = manifest(self.name, self.question, command, [run.seed for run in whole], made, failed)
        about["arms"] = {arm.label: {**COMMON, **arm.settings} for arm in ARMS if arm.label in {r.arm for r in whole}}
        write_json(folder / "manifest.json", about)
        pictures = draw(panels, self.question, folder / "figure", len(DRAWN))
        files = [*(folder / name for name in texts), folder / "manifest.json", *pictures]
        return Outcome(texts["table.md"], {"rows": [row.as_json() for row in rows]}, files)

    def _markdown(self, rows: Sequence[Row]) -> str:
        whose = [[r.map, r.driver, str(r.episodes or "-"), str(r.scenarios)] for r in rows]
        lines = [
            [*head, *(f.cell(r.figures[n]) for n, f in FIGURES.items())] for head, r in zip(whose, rows, strict=True)
        ]
        text = [
            f"# {self.question}",
            "",
            f"Mean over scenarios [{INTERVALS}]. Episodes: of training, each on new trips. Seconds: mean of the agents "
            "from planned departure to arrival, or to the end of the drive. Apart: from the shortest path, scenario by "
            "scenario; from leed: from LEED trained as long. Of several training runs intervals are over these, but of "
            "arrivals. Sampled: actions drawn from the policy as in training; likeliest: its most probable ones.",
            "",
            *markdown_table(["map", "driver", "episodes", "scenarios", *(f.title for f in FIGURES.values())], lines),
        ]
        return "\n".join(text) + "\n"


register(HeldOut())


# -- work --------------------------------------------------------------------------------------------------------------
def train_and_measure(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Train to each of `extras["lengths"]` and drive `extras["scenarios"]` other scenarios there.

    Raises:
        UsageError: the run has gone past a length at which it was not tested.
    """
    from leed_agentic.learning.checkpoint import checkpoints
    from leed_agentic.learning.evaluation import trained_driver
    from leed_agentic.learning.run import extend
    from leed_agentic.learning.session import begin, take_up

    vouched = settings.vouched_for()
    for episodes in sorted(extras["lengths"]):
        file = folder / held_out_file(episodes)
        if file.is_file():
            continue
        if checkpoints(folder / "checkpoints"):
            try:
                extend(folder, episodes, vouched)
            except UsageError as error:
                raise UsageError(f"It cannot be tested after {episodes} episodes any more: {error}") from error
            session = take_up(folder, given=vouched)
        else:
            session = begin(settings.changed({"learning.episodes": episodes}), folder)
        with closing(session):
            session.trainer.run()
            drivers: dict[str, Drives] = {}
            for likeliest in (False, True):
                ours = [trained_driver(session, likeliest)]
                (drives,) = _drive_each(session.world.env, settings, ours, extras["scenarios"]).values()
                drivers[LIKELIEST if likeliest else SAMPLED] = drives
            write_json(file, {"episodes": episodes, "drivers": drivers})


def measure_others(settings: Settings, folder: Path, extras: Mapping[str, Any]) -> None:
    """Random driving, shortest paths, SUMO's rerouting and its duaIterate on the same scenarios."""
    from leed_agentic.learning.evaluation import equilibrium_driver, reference_drivers, rerouted_driver
    from leed_agentic.learning.session import make_world

    world = make_world(settings)
    with closing(world.env) as env:
        found = _drive_each(
            env, settings, reference_drivers(world.agents), extras["scenarios"], (rerouted_driver, equilibrium_driver)
        )
    write_json(folder / REFERENCES, {"drivers": found})


def _drive_each(
    env: RouteEnv,
    settings: Settings,
    drivers: Sequence[Driver],
    scenarios: int,
    planners: Sequence[Callable[[RouteEnv], Driver]] = (),
) -> dict[str, Drives]:
    """Name of a driver to its drives; the scenarios are the same for every run of a seed.

    Args:
        planners: of drivers that plan for the environment's scenario.
    """
    from leed_agentic.learning.evaluation import drive_all, evaluation_seeds
    from leed_agentic.traffic.demand import scenario_for

    draw = partial(scenario_for, env.network, settings)
    found: dict[str, Drives] = {}
    for seed in evaluation_seeds(settings.seed, scenarios):
        env.use(draw(seed))
        for row in drive_all(env, [*drivers, *(plan(env) for plan in planners)], [seed], draw=draw):
            drives = found.setdefault(row["driver"], {name: [] for name in TESTED})
            for name, value in zip(
                TESTED, (row["arrival_rate"], row["fleet"]["mean"], row["reward_mean"]), strict=True
            ):
                drives[name].append(value)
    return found


# -- report ------------------------------------------------------------------------------------------------------------
def _lengths(request: Request) -> tuple[int, ...]:
    episodes = request.changes.get("learning.episodes")
    return LENGTHS if episodes is None else (int(episodes),)


def _key(run: Run, request: Request) -> str:
    """Of the run whatever its length, so that a longer one goes on from a shorter."""
    return f"{run.key}_{request.scenarios}-held-out"


def _others_key(run: Run, request: Request) -> str:
    return run.folder("references", {**world_content(run.settings), "held_out": request.scenarios})


def _rows(place: str, runs: Sequence[Run], request: Request, parent: Path) -> list[Row]:
    """Those who learn nothing, then the arms after each length that any call has come to."""
    here = [run for run in runs if run.place == place]
    seeds = list({run.seed: run for run in here}.values())
    others = _joined([_read(parent / _others_key(run, request) / REFERENCES) for run in seeds])
    rows = [_row(place, driver, None, drives, (others[SHORTEST], None)) for driver, drives in others.items()]
    tested: dict[tuple[str, int, str], Drives] = {}
    for arm in dict.fromkeys(run.arm for run in here):
        folders = [parent / _key(run, request) for run in here if run.arm == arm]
        for episodes in sorted(int(file.stem.rsplit("-", 1)[1]) for file in folders[0].glob("held-out-*.json")):
            files = [folder / held_out_file(episodes) for folder in folders]
            if all(file.is_file() for file in files):
                tested |= {(arm, episodes, how): d for how, d in _joined([_read(file) for file in files]).items()}
    for (arm, episodes, how), drives in tested.items():
        beside = others[SHORTEST], tested.get((LEED.label, episodes, how))
        rows.append(_row(place, f"{arm}, {how}", episodes, drives, beside, len(seeds)))
    return rows


def _read(file: Path) -> dict[str, Drives]:
    return dict(read_json(file, "the drives of a held-out experiment")["drivers"])


def _joined(files: Sequence[Mapping[str, Drives]]) -> dict[str, Drives]:
    """Every driver's scenarios of all seeds, one behind the other."""
    return {
        driver: {name: [value for file in files for value in file[driver][name]] for name in TESTED}
        for driver in files[0]
    }


def _row(
    place: str, driver: str, episodes: int | None, drives: Drives, beside: tuple[Drives, Drives | None], runs: int = 1
) -> Row:
    measured = {name: np.array(drives[name]) for name in TESTED}
    for name, other in zip(("seconds_apart", "seconds_from_leed"), beside, strict=True):
        if other is not None and other is not drives:
            measured[name] = np.subtract(drives["seconds"], other["seconds"])
    figures: dict[str, Estimate | None] = dict.fromkeys(FIGURES)
    for name, values in measured.items():
        # Scenarios of one training run are not independent: another run would differ as a whole.
        by_run = runs > 1 and not FIGURES[name].share
        figures[name] = FIGURES[name].estimate((values.reshape(runs, -1).mean(1) if by_run else values).tolist())
    return Row(place, driver, episodes, len(drives["seconds"]), figures)


def _panels(rows: Sequence[Row]) -> list[Panel]:
    """Two per map, over the episodes of training; of the policies as they drive in training."""
    panels = []
    for place in dict.fromkeys(row.map for row in rows):
        here = [row for row in rows if row.map == place and not row.driver.endswith(LIKELIEST)]
        ticks = sorted({row.episodes for row in here if row.episodes})
        for name, label in DRAWN.items():
            lines = []
            for driver in dict.fromkeys(row.driver for row in here):
                known = [(row, e) for row in here if row.driver == driver and (e := row.figures[name]) is not None]
                # Ten minutes of random driving would leave no room for the others.
                if not known or (driver == RANDOM and name != "arrived"):
                    continue
                y = np.array([e.mean for _, e in known])
                if known[0][0].episodes is None:
                    lines.append(Line(driver, np.array([np.nan]), y, reference=True))
                    continue
                low, high = ([getattr(e, end) for _, e in known] for end in ("low", "high"))
                bounds = (None, None) if None in low else (np.array(low), np.array(high))
                label_of = driver.removesuffix(f", {SAMPLED}")
                lines.append(Line(label_of, np.array([row.episodes for row, _ in known]), y, *bounds))
            panels.append(Panel(place, "episodes of training", label, lines, FIGURES[name].share, True, ticks))
    return panels


def _table_csv(rows: Sequence[Row]) -> str:
    lines = [["map", "driver", "episodes", "scenarios", *heads(FIGURES)]]
    for row in rows:
        head = [row.map, row.driver, number(row.episodes), str(row.scenarios)]
        lines.append([*head, *cells(row.figures[name] for name in FIGURES)])
    return csv_text(lines)
