"""What a model adds to a fleet's plan: ways of planning beside the same loop with argmin and a coin, as many SUMO runs.

    python benchmarks/planning.py -s map.name=portland -s scenario.agents=100 -s scenario.departure_window=60 --seeds 3
    python benchmarks/planning.py -s map.name=portland -s scenario.demand=portland_500_seed1.trips.xml.gz \
        --model openai:qwen -s model.base_url=http://127.0.0.1:8080/v1 --schema off,on --record asked

Mean seconds from planned departure to arrival, calm (all drivers alike, by which plans are chosen) and in noise (sigma
0.5, speedDev 0.1, other SUMO seeds). Skill: (coin - model) / (coin - argmin), calm. Read: share of the asked agents for
whom the first reply named one of their routes; right: for whom that was the one of the least seconds. Prints a table
and, as its last line, JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from leed_agentic.demonstrations.commands import Command
from leed_agentic.demonstrations.coordination import FleetInTraffic
from leed_agentic.demonstrations.graph import onward_steps
from leed_agentic.demonstrations.parts import Parts, open_parts
from leed_agentic.demonstrations.planning import Planned, PlanRequest
from leed_agentic.demonstrations.planning.alternatives import AlternativesPlanner
from leed_agentic.demonstrations.planning.instructions import Digest, InstructionsPlanner
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.state import Context
from leed_agentic.traffic.alternatives import CHOOSERS
from leed_agentic.traffic.coordinate import Coordination
from leed_agentic.traffic.judge import NOISY, mean_time
from leed_agentic.traffic.starts import Routes


class ByLot(InstructionsPlanner):
    """The same kind of commands, as many, on streets drawn by lot from the routes of a group drawn by lot."""

    def commands(
        self, request: PlanRequest, digest: Digest, told: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Command], tuple[Any, ...]]:
        fleet = request.traffic
        generator = np.random.default_rng([request.scenario.seed, fleet.loop.judge.runs])
        routes, found = fleet.routes(), []
        for _ in range(4):
            group = str(generator.choice([name for name, agents in digest.groups.items() if agents]))
            route = routes[int(generator.choice(digest.groups[group]))]
            found.append(Command("avoid", str(generator.choice(route[1:-1] or route)), f"20% of {group}"))
        return found, ()


class Counted(AlternativesPlanner):
    """Counts whom it asked, whose reply could be read, and who was given the least seconds."""

    def __init__(self) -> None:
        self.asked = self.read = self.right = 0

    def plan(self, request: PlanRequest) -> Planned:
        fleet = request.traffic
        questions = fleet.questions() if fleet.begun else []
        planned = super().plan(request)
        unread = {problem.agent for problem in planned.problems}
        for question in questions:
            agent = fleet.numbers[question.vehicle]
            seconds = {tuple(fleet.edges(one.route)): round(one.seconds) for one in question.alternatives}
            self.asked += 1
            self.read += agent not in unread
            chosen = seconds[tuple(planned.routes[agent])]
            self.right += agent not in unread and chosen == min(seconds.values())
        return planned

    def figures(self) -> dict[str, float]:
        return {"asked": self.asked, "read": self.read / self.asked, "right": self.right / self.asked}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--set", action="append", default=[], help="any setting")
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--seeds", type=int, default=1, help="scenarios drawn from 0 to so many")
    parser.add_argument("--draws", type=int, default=5, help="of the coin and the lot")
    parser.add_argument("--ways", default="alternatives,instructions")
    parser.add_argument("--schema", default="off", help="of off, on: whether the schema of a reply is sent")
    parser.add_argument("--record", type=Path, help="a folder for calls.jsonl of each run; asked again, nothing is")
    parser.add_argument("--noise-seeds", type=int, default=3)
    options = parser.parse_args()
    cases = []
    for seed in range(options.seeds):
        rows = case(options, seed)
        cases.append(rows)
        best = min(rows[name]["calm"] for name in ("shortest", "lights", "rerouted"))
        noisy = min(rows[name]["noise"] for name in ("shortest", "lights", "rerouted"))
        head = "calm    noise   calm / best start   noise / best start   skill   calls  tokens   read  right"
        print(f"seed {seed}{'':20} {head}")
        for name, row in rows.items():
            skill = f"{row['skill']:8.2f}" if row.get("skill") is not None else " " * 8
            asked = f"{row.get('calls', 0):7} {row.get('tokens', 0):7}" if "calls" in row else ""
            asked += f" {row['read']:6.3f} {row['right']:6.3f}" if "read" in row else ""
            ratios = f"{row['calm'] / best:15.3f} {row['noise'] / noisy:20.3f}"
            print(f"{name:24} {row['calm']:8.1f} {row['noise']:8.1f} {ratios}   {skill} {asked}", flush=True)
    print(json.dumps({"benchmark": "planning", "model": options.model, "settings": options.set, "cases": cases}))


def case(options: argparse.Namespace, seed: int) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for way, schema in ways(options):
        planned = {"seed": seed, "model.name": options.model, "demonstration.planning": way}
        settings = settings_for_run(assignments=options.set, overrides=planned | {"model.structured": schema})
        label = f"{way}, schema" if schema else way
        folder = options.record / f"{label.replace(', ', '-')}-{seed}" if options.record else None
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        parts = open_parts(
            settings, folder=folder, progress=lambda line, way=way: print(f"{way}: {line}", file=sys.stderr)
        )
        try:
            if not rows:
                rows |= controls(parts, options)
            if way == "alternatives":
                parts.planner = counted = Counted()
            rows[label] = planned_by_graph(parts, options)
            if way == "alternatives":
                rows[label] |= counted.figures()
                gain = rows["coin"]["calm"] - rows["argmin"]["calm"]
                rows[label]["skill"] = (rows["coin"]["calm"] - rows[label]["calm"]) / gain if gain else None
        finally:
            parts.close()
        if way == "instructions" and "instructions by lot" not in rows:
            found = []
            for draw in range(options.draws):
                parts = open_parts(settings.changed({"seed": seed}))
                parts.planner, parts.scenario = ByLot(), replace(parts.scenario, seed=draw)
                try:
                    found.append(planned_by_graph(parts, options))
                finally:
                    parts.close()
            rows["instructions by lot"] = {kind: mean(row[kind] for row in found) for kind in ("calm", "noise")}
    return rows


def ways(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Ways of planning, and whether their replies are held to a schema."""
    return [(way, schema == "on") for way in options.ways.split(",") for schema in options.schema.split(",")]


def controls(parts: Parts, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The baselines, argmin, and the mean of the coin's draws."""
    fleet, rows = fleet_of(parts), {}
    for name, chooser in CHOOSERS.items():
        found = []
        for draw in range(options.draws if name == "coin" else 1):
            print(f"{name}, draw {draw}", file=sys.stderr)
            result, starts = looped(fleet, chooser, draw)
            if not rows:
                rows = {start: judged(fleet, routes, options) for start, routes in starts.items()}
            found.append(judged(fleet, result.routes, options))
        rows[name] = {kind: mean(row[kind] for row in found) for kind in ("calm", "noise")}
    return rows


def looped(fleet: FleetInTraffic, chooser: Any, draw: int) -> tuple[Coordination, dict[str, Routes]]:
    loop = fleet.new_loop()
    loop.seed = fleet.seed
    starts: dict[str, Routes] = {}
    drive = loop.drive

    def noted(routes: Routes, name: str, *more: Any, **named: Any) -> Any:
        if not more and not named:
            starts[name] = routes
        return drive(routes, name, *more, **named)

    loop.drive = noted  # type: ignore[method-assign]
    loop.begin()
    generator = np.random.default_rng([draw, 7])
    for _ in range(fleet.settings.rounds):
        questions = loop.questions()
        if not questions:
            break
        loop.answer(chooser(questions, generator))
    return loop.result(), starts


def planned_by_graph(parts: Parts, options: argparse.Namespace) -> dict[str, Any]:
    *_, state = onward_steps(Context(parts=parts))
    fleet, usage = fleet_of(parts), parts.caller.usage
    row = judged(fleet, {**fleet.loop.fixed, **fleet.ids(state["routes"])}, options)
    return {**row, "calls": usage.calls, "tokens": usage.input_tokens + usage.output_tokens}


def judged(fleet: FleetInTraffic, routes: Routes, options: argparse.Namespace) -> dict[str, Any]:
    judge = fleet.loop.judge
    calm = replace(judge, seeds=(23,), noise=None).drive(routes)
    noise = replace(judge, seeds=tuple(range(1, options.noise_seeds + 1)), noise=NOISY).drive(routes)
    ids = list(fleet.numbers)
    return {"calm": mean_time(calm, ids), "noise": mean_time(noise, ids), "teleports": calm[0].teleports}


def fleet_of(parts: Parts) -> FleetInTraffic:
    assert parts.fleet is not None
    return parts.fleet


if __name__ == "__main__":
    main()
