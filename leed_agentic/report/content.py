"""Everything a report shows, gathered from one folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.learning.metrics import Metric
from leed_agentic.report import collection
from leed_agentic.report.charts import Chart, chart_data, curves, round_charts, trigger_charts
from leed_agentic.report.conversation import Conversation, read_conversation
from leed_agentic.report.drives import comparison, drive_data, latest_experts, trajectories_in
from leed_agentic.report.folder import RunFolder
from leed_agentic.report.manifest import Manifest, manifest_of_collection, manifest_of_run
from leed_agentic.report.places import positions_data
from leed_agentic.report.plans import plans_data, rounds_of
from leed_agentic.report.result import gains, result_of_plan, result_of_training
from leed_agentic.report.routes import RouteTable
from leed_agentic.report.streets import map_data, network_of
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.demonstration import DemonstrationSet
from leed_agentic.traffic.fleet_table import fleet_table
from leed_agentic.traffic.scenario import Scenario


@dataclass
class Content:
    """One report, before it is a page."""

    folder: RunFolder
    kind: str
    """What it is a report of, in a word or two."""
    title: str
    tiles: list[tuple[str, str]]
    """Headline figures: name and value."""
    manifest: Manifest
    charts: list[Chart] = field(default_factory=list)
    streets: dict[str, Any] | None = None
    network: RoadNetwork | None = None
    conversation: Conversation | None = None
    evaluation: dict[str, Any] | None = None
    fleets: Sequence[Sequence[str]] = ()
    """A table of the figures of fleets, heads first; empty where none was measured."""
    tables_html: str = ""
    tables: Sequence[collection.Table] = ()
    verdicts: Sequence[str] = ()
    """What a run or a comparison came to, a sentence each."""
    gains: Sequence[tuple[str, str, str]] = ()
    """The fleet in traffic beside its baselines."""
    downloads: dict[str, str] = field(default_factory=dict)
    """Name to text of files inside the page."""
    trials: Any = None
    """`TrialTable` of a comparison."""
    pictures: Sequence[collection.Picture] = ()

    def data(self) -> dict[str, Any]:
        """What the page's scripts draw, as JSON."""
        bars = _evaluation_bars(self.evaluation["drivers"]) if self.evaluation else None
        charts = [chart_data(chart) for chart in self.charts]
        drawn = {"streets": _finite(self.streets), "charts": charts, "evaluation": _finite(bars)}
        return {**drawn, "downloads": self.downloads}


def gather(folder: RunFolder, network: RoadNetwork | None = None, with_conversation: bool = True) -> Content:
    """Read whatever the folder holds; what is missing stands in the folder's notes.

    Args:
        network: the run's map when it is at hand already.
        with_conversation: False leaves out what the model was asked and said.
    """
    if folder.kind == "collection":
        return _collection(folder)
    run = folder.json("run.json", "settings and scenario are not known") if folder.kind == "training" else {}
    settings = _part(run, "settings") if run else folder.json("settings.json")
    sets = rounds_of(folder)
    provenance = sets[-1][1].provenance if sets else {}
    summary = folder.json("summary.json", "the run has not ended, or was killed")
    network = network or network_of(folder, settings, str(provenance.get("attribution", "")))
    scenario = _scenario(run, sets)
    streets = folder.attempt("The map", lambda: _streets(folder, network, scenario, settings, sets), None)
    metrics, triggers = folder.table("metrics.csv"), folder.table("triggers.csv")
    described = folder.json("run.json").get("metrics", [])
    measured = folder.attempt("What the algorithm measures", lambda: [Metric(**m) for m in described], list[Metric]())
    charts = [*curves(metrics, measured), *trigger_charts(triggers)]
    if folder.kind == "training" and not metrics:
        folder.note("metrics.csv holds no episode yet: there are no learning curves.")
    if folder.kind == "demonstrations":
        charts += round_charts(sets[-1][1].rounds if sets else ())
    conversation = None
    if with_conversation:
        prices = _part(settings, "model")
        conversation = folder.attempt("The conversation", lambda: read_conversation(folder, sets, prices), None)
    evaluation = _evaluation(folder)
    return Content(
        folder=folder,
        verdicts=folder.attempt("The result", lambda: _result(folder, summary, streets, evaluation), []),
        gains=folder.attempt("The baselines", lambda: gains(summary), []),
        kind="Training run" if folder.kind == "training" else "Demonstrations",
        title=_title(folder, settings, summary),
        tiles=folder.attempt("The headline figures", lambda: _tiles(folder, settings, summary, metrics), []),
        manifest=manifest_of_run(folder, settings, _part(run, "versions") or _part(provenance, "versions")),
        charts=charts,
        streets=streets,
        network=network,
        conversation=conversation,
        evaluation=evaluation,
        fleets=_fleets(summary, evaluation),
    )


def _fleets(summary: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> list[list[str]]:
    """Of every driver of an evaluation, or of the routes that were planned."""
    rows = {str(row["driver"]): row.get("fleet") for row in evaluation["drivers"]} if evaluation else {}
    rows = rows or {"planned routes": summary.get("fleet")}
    known = {name: fleet for name, fleet in rows.items() if isinstance(fleet, dict)}
    return fleet_table(known) if known else []


def _result(
    folder: RunFolder,
    summary: Mapping[str, Any],
    streets: Mapping[str, Any] | None,
    evaluation: Mapping[str, Any] | None,
) -> list[str]:
    return result_of_training(evaluation) if folder.kind == "training" else result_of_plan(summary, streets)


def _evaluation(folder: RunFolder) -> dict[str, Any] | None:
    """What `leed evaluate` wrote, those rows that can be shown; None when there is none."""
    data = folder.json("evaluation.json")
    drivers = data.get("drivers")
    rows = [row for row in drivers if isinstance(row, dict) and "driver" in row] if isinstance(drivers, list) else []
    if folder.kind == "training" and not rows:
        folder.note(f"There is no evaluation beside random, shortest path and plan: leed evaluate {folder.path}")
    return {**data, "drivers": rows} if rows else None


def _collection(folder: RunFolder) -> Content:
    verdicts = folder.json("manifest.json").get("verdicts")
    made = manifest_of_collection(folder)
    named = {name: value for name, value, _ in made.settings}
    title = named.get("question") or named.get("experiment") or folder.path.resolve().name
    return Content(
        folder=folder,
        kind="Experiment" if "experiment" in named else "Comparison",
        title=title,
        tiles=[],
        manifest=made,
        charts=collection.collection_charts(folder),
        verdicts=[str(sentence) for sentence in verdicts] if isinstance(verdicts, list) else [],
        tables_html=collection.tables_html(folder),
        tables=collection.tables(folder),
        pictures=collection.pictures(folder),
    )


def _streets(
    folder: RunFolder,
    network: RoadNetwork | None,
    scenario: Scenario | None,
    settings: Mapping[str, Any],
    sets: Sequence[tuple[int | None, DemonstrationSet]],
) -> dict[str, Any] | None:
    """Map, agents, plans, drives and their comparison; None without a map or a scenario that fits it."""
    if network is None:
        return None
    if scenario is None:
        folder.note("Nothing says who drives from where to where: there is no drawing of routes.")
        return None
    try:
        scenario.check(network)
    except UsageError as error:
        folder.note(f"The scenario does not fit the map: {error}")
        return None
    table = RouteTable(network)
    experts, own = _trajectories(folder)
    world = _part(settings, "environment")
    # Unset: as long as the trips need.
    seconds = float(world.get("max_steps") or 0) * float(world.get("step_seconds") or 0) or None
    names = ("Demonstrations", "Agents") if folder.kind == "training" else ("Driven routes", "Agents")
    drives = [
        drive
        for name, trajectories in zip(names, (experts, own), strict=True)
        if (drive := drive_data(name, trajectories, scenario, seconds, table))
    ]
    plans = plans_data(folder, sets, table)
    return {
        "map": map_data(network),
        "agents": [
            {
                "agent": trip.agent,
                "name": scenario.name_of(trip.agent),
                "start": network.edge(trip.start_edge).index,
                "goal": [
                    round(network.junction(trip.destination).x, 1),
                    round(network.junction(trip.destination).y, 1),
                ],
                "goal_name": _goal_name(network, trip.destination),
                "departure": trip.departure,
            }
            for trip in scenario.agents
        ],
        "background": len(scenario.background),
        "plans": plans,
        "positions": positions_data(folder, scenario) if drives else None,
        "drives": drives,
        "comparison": comparison(network, experts, own),
        "routes": table.routes,
    }


def _trajectories(folder: RunFolder) -> tuple[dict[int, Any], dict[int, Any]]:
    """(the demonstrations' trajectories, the agents' own)."""
    last = trajectories_in(folder, folder.path / "trajectories.json")
    if folder.kind == "demonstrations":
        return last, {}
    return trajectories_in(folder, latest_experts(folder)), last


def _goal_name(network: RoadNetwork, junction: str) -> str:
    """The streets that meet at a junction, or its number where they have no names."""
    ending = sorted({e.street for e in network.edges if e.to_junction == junction and e.street})
    return " / ".join(ending[:3]) or f"junction {junction}"


def _scenario(run: Mapping[str, Any], sets: Sequence[tuple[int | None, DemonstrationSet]]) -> Scenario | None:
    if sets:
        return sets[-1][1].scenario
    try:
        return Scenario.from_json(run.get("scenario"))
    except UsageError:
        return None


def _part(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _title(folder: RunFolder, settings: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    place = summary.get("map") or _part(settings, "map").get("name") or folder.path.name
    if folder.kind == "training":
        algorithm = summary.get("algorithm") or _part(settings, "learning").get("algorithm") or "agents"
        return f"{algorithm} on {place}"
    return f"Routes on {place}"


def _tiles(
    folder: RunFolder, settings: Mapping[str, Any], summary: Mapping[str, Any], metrics: Sequence[Mapping[str, str]]
) -> list[tuple[str, str]]:
    """The figures people ask for first; those that are not known are left out."""
    agents = summary.get("agents") or _part(settings, "scenario").get("agents")
    if folder.kind == "training":
        planned = _part(settings, "learning").get("episodes")
        last = metrics[-20:]
        rows: list[tuple[str, Any]] = [
            ("agents", agents),
            ("episodes", f"{len(metrics):,}" + (f" of {planned:,}" if planned and planned != len(metrics) else "")),
            ("reward, last 20 episodes", _mean(last, "reward_mean", "{:.1f}")),
            ("arrived, last 20 episodes", _mean(last, "arrival_rate", "{:.0%}")),
            ("source of demonstrations", summary.get("source") or _part(settings, "learning").get("source")),
        ]
        return [(name, str(value)) for name, value in rows if value not in (None, "")]
    traffic = _part(summary, "traffic")
    rules = [rule for rule in traffic.get("rules") or [] if isinstance(rule, Mapping)]
    met = f"{sum(rule.get('met') is True for rule in rules)} of {len(rules)}" if rules else None
    return [
        (name, form.format(value))
        for name, value, form in (
            ("agents", f"{agents:,}" if isinstance(agents, int) else agents, "{}"),
            ("model", summary.get("model") or _part(settings, "model").get("name"), "{}"),
            ("valid at first", summary.get("validity_initial"), "{:.0%}"),
            ("valid", summary.get("validity_final"), "{:.0%}"),
            ("arrived", summary.get("arrival_rate"), "{:.0%}"),
            ("mean reward", summary.get("reward_mean"), "{:.1f}"),
            (
                "times the time of driving alone" if traffic else "time against shortest path",
                summary.get("travel_time_ratio"),
                "{:.2f}",
            ),
            ("rules met", met, "{}"),
        )
        if value is not None and (form == "{}" or _is_figure(value))
    ]


def _evaluation_bars(drivers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Reward and arrivals of every driver, as bars."""
    return [
        {
            "key": key,
            "title": title,
            "x": label,
            "share": name == "arrival_rate",
            "bars": [
                {"name": row.get("driver", "?"), "value": row[name], "error": row.get(spread) if spread else None}
                for row in drivers
                if _is_figure(row.get(name))
            ],
        }
        for key, title, label, name, spread in (
            ("evaluation_reward", "Reward by driver", "reward per episode", "reward_mean", "reward_std"),
            ("evaluation_arrival", "Arrivals by driver", "share of agents that arrived", "arrival_rate", None),
        )
    ]


def _mean(rows: Sequence[Mapping[str, str]], name: str, form: str) -> str:
    try:
        return form.format(sum(float(row[name]) for row in rows) / len(rows))
    except (KeyError, ValueError, ZeroDivisionError):
        return ""


def _finite(data: Any) -> Any:
    """The same with None in place of NaN and infinity, which JSON does not know."""
    if isinstance(data, dict):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _is_figure(value: Any) -> bool:
    """Whether it is a number that a float can hold."""
    return isinstance(value, (int, float)) and abs(value) < 1e300
