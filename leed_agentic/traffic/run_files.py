"""The files from which plain SUMO drives an episode of the environment again, every arrival to the second."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import tostring

from defusedxml.ElementTree import fromstring

from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import EnvironmentSettings
from leed_agentic.traffic.additional import additional_text, driven_routes_text
from leed_agentic.traffic.closures import OpenStreets
from leed_agentic.traffic.reproduction import write_reproduction
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.simulation import SUMO_SEEDS, options_of
from leed_agentic.traffic.trajectory import Drive


def write_sumo_run(
    folder: Path,
    network: RoadNetwork,
    scenario: Scenario,
    routes: Mapping[int, Sequence[str]],
    settings: EnvironmentSettings,
    drive: Drive | None = None,
) -> None:
    """Net, routes of all that drove, types, closures, lights and configuration: `sumo -c run.sumocfg` drives it again.

    Args:
        routes: edge ids by agent number; agents without one stay at home.
        drive: how the environment drove them; None: it did not; the others take their routes or fastest paths,
            and closures are left out.

    Raises:
        UnwritableError: the folder cannot be written.
    """
    if drive is None:
        streets = OpenStreets(network, scenario.closures)
        others = {
            trip.id: list(trip.route) or streets.path(trip.start_edge, trip.goal, trip.departure)
            for trip in scenario.background
        }
        additional = additional_text(replace(scenario, closures=()), settings.driver_noise, {}, {})
        drive = Drive(scenario, routes, others, additional, scenario.begin + settings.planned_seconds, 0)
    with tempfile.TemporaryDirectory(prefix="leed-run-") as name:
        routes_file, rest_file = Path(name) / "routes.rou.xml", Path(name) / "additional.add.xml"
        rest = fromstring(drive.additional)
        types = rest.findall("vType")
        for kind in types:
            rest.remove(kind)
        routes_file.write_text(driven_routes_text(drive.scenario, drive.routes, drive.others, types), encoding="utf-8")
        rest_file.write_text(tostring(rest, encoding="unicode") + "\n", encoding="utf-8")
        write_reproduction(
            folder,
            network.net_file,
            routes_file,
            begin=scenario.begin,
            end=drive.end,
            seed=drive.seed % SUMO_SEEDS,
            teleport_seconds=settings.teleport_seconds,
            additional_files=[rest_file] if len(rest) else [],
            options=options_of(scenario, settings),
            fleet=[scenario.agents[agent].id for agent in drive.routes],
            closures=scenario.closures,
        )
