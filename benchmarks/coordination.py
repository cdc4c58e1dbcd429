"""What coordination gains on a demand, beside simple ways of routing and beside duaIterate at as many SUMO runs.

    python benchmarks/coordination.py portland.net.xml portland_500_seed*.trips.xml.gz --rounds 5 --signals off,on

Every plan is a list of fixed routes (rerouting: SUMO's device under way). It is driven once with drivers that are all
alike, by which plans are chosen, and then in noise: sigma 0.5, speedDev 0.1, other SUMO seeds. Means of seconds from
the planned departure to the arrival; who has not arrived counts to the end. Prints tables and, as its last line, one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean
from typing import Any
from xml.etree.ElementTree import ElementTree

import numpy as np
import sumolib
from defusedxml.ElementTree import parse

from leed_agentic.traffic.alternatives import CHOOSERS
from leed_agentic.traffic.baselines import Task, make_plan
from leed_agentic.traffic.coordinate import CoordinationSettings, Round, coordinate
from leed_agentic.traffic.judge import NOISY, Judge, mean_time
from leed_agentic.traffic.limits import Limits
from leed_agentic.traffic.paths import Costs, fastest_path
from leed_agentic.traffic.signals import read_signals
from leed_agentic.traffic.starts import Routes, shortest_paths
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.sumo_run import REROUTING
from leed_agentic.traffic.trip_files import TripFile, read_routes
from leed_agentic.traffic.trips import Trips

SIMPLE = ("shortest-path", "shortest-path-noise", "duarouter", "rerouting")


class Case:
    """One demand on one net, everything that is compared on it, and what each plan gave."""

    def __init__(self, net_file: Path, demand: Path, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder, self.net_file = options, folder, net_file
        gathered = TripFile.gather([demand], net_file, folder)
        generator = np.random.default_rng(options.seed)
        if options.vehicles:
            kept = set(generator.permutation(list(gathered.trips))[: options.vehicles].tolist())
            gathered = replace(gathered, trips={k: trip for k, trip in gathered.trips.items() if k in kept})
            gathered.write()
        self.closed: list[str] = []
        if options.closures:
            self.closed = self.close_streets(gathered)
        self.trips = Trips.of(gathered, read_graph(self.net_file))
        names = list(self.trips.vehicles)
        self.fleet = sorted(generator.permutation(names)[: options.fleet].tolist()) if options.fleet else names
        self.calm = self.judge()
        self.noise = self.judge(noise=NOISY, seeds=tuple(range(1, options.noise_seeds + 1)))
        self.rows: dict[str, dict[str, Any]] = {}
        self.free = shortest_paths(self.trips, Costs(self.trips.graph))

    def judge(self, **given: Any) -> Judge:
        return Judge(self.trips, self.net_file, self.options.end, self.options.begin, **given)

    def close_streets(self, demand: TripFile) -> list[str]:
        """Shut the streets that most of the shortest paths use, of those that no trip needs, in a copy of the net."""
        trips = Trips.of(demand, read_graph(self.net_file))
        graph, closed = trips.graph, set[int]()
        ends = {trip.start for trip in trips.vehicles.values()} | {e for t in trips.vehicles.values() for e in t.goal}
        used = Counter(e for route in shortest_paths(trips, Costs(graph)).values() for e in route)
        for street, _ in used.most_common():
            attempt = Costs(graph, closed=frozenset(closed | {street}))
            if street not in ends and all_arrive(trips, attempt):
                closed.add(street)
            if len(closed) == self.options.closures:
                break
        ids = [graph.ids[street] for street in sorted(closed)]
        self.net_file = shut(self.net_file, set(ids), self.folder / "closed.net.xml")
        return ids

    def simple(self) -> None:
        for name in self.options.simple.split(","):
            self.add_baseline(name, 1)

    def add_baseline(self, name: str, iterations: int, label: str = "") -> None:
        label = label or name
        folder = self.folder / label
        folder.mkdir()
        task = Task(
            self.net_file, self.trips.demand, self.options.begin, self.options.end, folder, iterations=iterations
        )
        if name == "rerouting":
            routes, options = self.free, self.rerouting_options()
        else:
            index = self.trips.graph.index
            planned = read_routes(make_plan(name, task).route_files[0])
            routes, options = {k: tuple(index[e] for e in route) for k, route in planned.items()}, ()
        self.add(label, {k: routes[k] if k in set(self.fleet) else self.free[k] for k in self.free}, options)

    def rerouting_options(self) -> tuple[str, ...]:
        if len(self.fleet) == len(self.free):
            return REROUTING
        return ("--device.rerouting.explicit", ",".join(self.fleet), *REROUTING[2:])

    def add(self, label: str, routes: Routes, options: tuple[str, ...] = (), **more: Any) -> None:
        calm, noisy = self.calm.drive(routes, options), self.noise.drive(routes, options)
        others = [name for name in self.free if name not in set(self.fleet)]
        drove = {edge for run in calm for drive in run.vehicles.values() for edge in drive.route}
        self.rows[label] = {
            "mean": mean_time(calm, self.fleet),
            "noise": mean_time(noisy, self.fleet),
            "others": mean_time(calm, others) if others else None,
            "others_noise": mean_time(noisy, others) if others else None,
            "teleports": calm[0].teleports,
            "teleports_noise": mean(run.teleports for run in noisy),
            "unfinished": calm[0].unfinished,
            "on_closed": len(drove & set(self.closed)),
            **more,
        }
        row = self.rows[label]
        print(f"  {label:28} {row['mean']:8.1f} {row['noise']:8.1f} {row['teleports']:5}", file=sys.stderr, flush=True)

    def coordinated(self, chooser: str, signals: str, draws: int) -> None:
        """Means over the draws of a chooser that needs them; the rounds of the first."""
        options = self.options
        starts = tuple(s for s in options.starts.split(",") if signals != "off" or s != "lights")
        settings = CoordinationSettings(
            rounds=options.rounds,
            starts=starts,
            share=options.share,
            signals=signals,
            limits=Limits(max_detour=options.max_detour),
        )
        for draw in range(draws):
            # Other seeds than those that judge the chosen plan.
            noisy = {"noise": NOISY, "seeds": tuple(range(101, 101 + options.chosen_in_noise))}
            judge, began = self.judge(**(noisy if options.chosen_in_noise else {})), time.process_time()
            rounds: list[Round] = []
            found = coordinate(
                self.trips,
                judge,
                settings,
                fleet=self.fleet,
                others={k: route for k, route in self.free.items() if k not in set(self.fleet)},
                chooser=CHOOSERS[chooser],
                seed=draw,
                on_round=rounds.append,
            )
            label = f"{chooser}, signals {signals}" + (f", draw {draw}" if draws > 1 else "")
            self.add(
                label,
                found.routes,
                runs=judge.runs,
                own_seconds=time.process_time() - began,
                sumo_seconds=judge.seconds,
                rounds=[asdict(one) for one in rounds],
            )


def read_graph(net_file: Path) -> StreetGraph:
    return StreetGraph.read(sumolib.net.readNet(str(net_file), lxml=False), read_signals(net_file))


def all_arrive(trips: Trips, costs: Costs) -> bool:
    return all(fastest_path(costs, t.start, t.goal, t.departure) is not None for t in trips.vehicles.values())


def shut(net_file: Path, edges: set[str], out: Path) -> Path:
    """A copy of a net in which nobody may drive on these edges; its lights stay as they are."""
    tree: ElementTree = parse(net_file)
    for edge in tree.iter("edge"):
        if edge.get("id") in edges:
            for lane in edge.iter("lane"):
                lane.attrib.pop("allow", None)
                lane.set("disallow", "all")
    tree.write(out)
    return out


def ratios(rows: dict[str, dict[str, Any]], label: str, dua: str | None) -> dict[str, float]:
    """Of a plan to the best simple way of routing, calm and in noise, and to duaIterate."""
    best, noise = (min(rows[name][kind] for name in SIMPLE if name in rows) for kind in ("mean", "noise"))
    found = {"simple": rows[label]["mean"] / best, "simple_noise": rows[label]["noise"] / noise}
    if dua:
        found |= {
            "dua": rows[label]["mean"] / rows[dua]["mean"],
            "dua_noise": rows[label]["noise"] / rows[dua]["noise"],
        }
    if rows[label]["others"] and (before := rows.get("shortest-path")):
        found |= {"others": rows[label]["others"] / before["others"]}
        found |= {"others_noise": rows[label]["others_noise"] / before["others_noise"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", type=Path)
    parser.add_argument("demand", type=Path, nargs="+", help="SUMO trips; each file is a case")
    parser.add_argument("--begin", type=float, default=0.0)
    parser.add_argument("--end", type=float, default=3600.0)
    parser.add_argument("--vehicles", type=int, help="only so many of each demand, drawn by lot")
    parser.add_argument(
        "--fleet", type=int, help="so many drawn by lot are coordinated; the others keep shortest paths"
    )
    parser.add_argument("--closures", type=int, default=0, help="shut so many of the streets most used")
    parser.add_argument("--simple", default=",".join(SIMPLE), help="of these, with shortest-path")
    parser.add_argument("--starts", default="shortest,lights")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--max-detour", type=float)
    parser.add_argument("--signals", default="off,on", help="of off, on, auto")
    parser.add_argument("--choosers", default="argmin,coin")
    parser.add_argument("--draws", type=int, default=2, help="of the coin")
    parser.add_argument("--dua", type=int, default=6, help="iterations of duaIterate; 0: without it")
    parser.add_argument("--noise-seeds", type=int, default=3)
    parser.add_argument("--chosen-in-noise", type=int, default=0, help="so many noisy runs choose among the plans")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cases = {}
    for demand in options.demand:
        print(demand.name, file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="leed-coordination-") as folder:
            case = Case(options.net, demand, options, Path(folder))
            case.simple()
            if options.dua:
                case.add_baseline("dua-iterate", options.dua, f"dua-iterate {options.dua}")
            for signals in options.signals.split(","):
                for chooser in options.choosers.split(","):
                    case.coordinated(chooser, signals, options.draws if chooser == "coin" else 1)
            cases[demand.name.split(".")[0]] = case.rows
    report(cases, f"dua-iterate {options.dua}" if options.dua else None)
    settings = {k: str(v) for k, v in vars(options).items() if k not in ("demand", "net")}
    print(json.dumps({"benchmark": "coordination", "net": options.net.name, **settings, "cases": cases}))


def report(cases: dict[str, dict[str, dict[str, Any]]], dua: str | None) -> None:
    labels = list(next(iter(cases.values())))
    print(f"{'seconds':28} " + " ".join(f"{name[-12:]:>17}" for name in cases) + "    (calm / noise)")
    for label in labels:
        cells = [f"{rows[label]['mean']:8.1f} {rows[label]['noise']:8.1f}" for rows in cases.values()]
        print(f"{label:28} " + " ".join(cells))
    print("\nratios, mean over the cases [least, most]")
    for label in labels:
        found = [ratios(rows, label, dua) for rows in cases.values()]
        spans = {k: [row[k] for row in found] for k in found[0]}
        print(f"{label:28} " + "  ".join(f"{k} {mean(v):.3f} [{min(v):.2f} {max(v):.2f}]" for k, v in spans.items()))


if __name__ == "__main__":
    main()
