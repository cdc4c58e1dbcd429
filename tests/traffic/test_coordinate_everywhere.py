"""Twenty random demands on three maps: coordination never ends behind what it began with."""

from __future__ import annotations

import pytest

from leed_agentic.roads.catalogue import open_map
from leed_agentic.setting_groups import MapSettings, ScenarioSettings
from leed_agentic.traffic.coordinate import CoordinationSettings, coordinate
from leed_agentic.traffic.judge import Judge, mean_time
from leed_agentic.traffic.paths import Costs
from leed_agentic.traffic.scenario import draw_scenario
from leed_agentic.traffic.signals import read_signals
from leed_agentic.traffic.starts import shortest_paths
from leed_agentic.traffic.street_graph import StreetGraph
from leed_agentic.traffic.trip_files import TripFile
from leed_agentic.traffic.trips import Trips


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "seeds"),
    [("braunschweig", range(7)), ("berlin", range(7, 14)), ("grid", range(14, 20))],
)
def test_never_worse_than_its_own_baselines(place, seeds, tmp_path):
    network = open_map(place, MapSettings())
    graph = StreetGraph.of(network, read_signals(network.net_file))
    for seed in seeds:
        drawn = draw_scenario(network, ScenarioSettings(agents=10 + seed, departure_window=30.0), seed)
        file = tmp_path / f"{seed}.trips.xml"
        rows = (
            f'<trip id="{t.agent}" depart="{t.departure}" from="{t.start_edge}" toJunction="{t.destination}"/>'
            for t in drawn.agents
        )
        file.write_text(f"<routes>{''.join(rows)}</routes>", encoding="utf-8")
        trips = Trips.of(TripFile.gather([file], network.net_file, tmp_path / str(seed)), graph)
        judge = Judge(trips, network.net_file, 1800.0)
        result = coordinate(trips, judge, CoordinationSettings(rounds=2), seed=seed)
        best = mean_time(judge.drive(result.routes))
        assert best <= mean_time(judge.drive(shortest_paths(trips, Costs(graph))))
        assert all(best <= start.score for start in result.starts.values())
