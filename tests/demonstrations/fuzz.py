"""Many more replies than a test has time for: `python -m tests.demonstrations.fuzz 300000 7` draws them from seed 7."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import sumo

from leed_agentic.demonstrations.reply import read_reply
from leed_agentic.demonstrations.validate import validate
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ScenarioSettings
from leed_agentic.traffic.scenario import draw_scenario
from tests.demonstrations.replies import a_reply

# In a process of its own: one simulation a process.
REFUSED = """
import sys, libsumo
libsumo.start(["sumo", "-n", sys.argv[1], "--no-step-log", "--no-warnings"])
for number, line in enumerate(sys.stdin):
    try:
        libsumo.route.add(f"r{number}", line.split())
        libsumo.vehicle.add(f"v{number}", f"r{number}")
        valid = libsumo.vehicle.isRouteValid(f"v{number}")
    except Exception:
        valid = False
    print(int(not valid))
"""


def refused(net_file: Path, routes: Sequence[Sequence[str]]) -> list[bool]:
    """Which of the routes SUMO itself refuses."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(net_file)],
        input="\n".join(map(" ".join, routes)),
        capture_output=True,
        text=True,
        check=True,
    )
    return [line == "1" for line in done.stdout.split()]


def main() -> None:
    """From the command line, by hand."""
    examples, seed = int(sys.argv[1]), int(sys.argv[2])
    tools = Path(sumo.SUMO_HOME, "tools", "game")
    networks = [RoadNetwork(tools / "bs3d" / "bs.net.xml", name="a"), RoadNetwork(tools / "DRT" / "osm.net.xml")]
    worlds = [(n, draw_scenario(n, ScenarioSettings(agents=3), seed=s)) for n in networks for s in range(20)]
    accepted: list[set[tuple[str, ...]]] = [set() for _ in networks]
    routes = raised = 0
    slowest = 0.0
    for example in range(examples):
        chance = random.Random(f"{seed} {example}")
        which = chance.randrange(len(worlds))
        network, scenario = worlds[which]
        text = a_reply(chance, network, scenario)
        began = time.perf_counter()
        try:
            reply = read_reply(text, [0, 1, 2], network, scenario)
            valid = validate(network, scenario, reply.routes, reply.problems).valid
        except Exception as error:  # noqa: BLE001 - what is counted
            raised += 1
            print(f"example {example}: {type(error).__name__}: {error}")
            continue
        slowest = max(slowest, time.perf_counter() - began)
        for trip in scenario.agents:
            if (route := valid.get(trip.agent)) is not None:
                if route[0] != trip.start_edge or not trip.ends_at(network.edge(route[-1])):
                    print(f"example {example}: the route of agent {trip.agent} is not its trip's")
                routes += 1
                accepted[which // 20].add(tuple(route))
    bad = [sum(refused(n.net_file, sorted(found))) for n, found in zip(networks, accepted, strict=True)]
    print(
        f"{examples} replies: {raised} exceptions, the slowest {slowest:.3f} s; {routes} routes accepted, "
        f"{sum(map(len, accepted))} different ones, of which SUMO refuses {sum(bad)}"
    )


if __name__ == "__main__":
    main()
