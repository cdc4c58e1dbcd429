"""One plain run of SUMO: what is read of every vehicle, and driver noise written into types."""

from __future__ import annotations

import gzip

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.traffic.driver_noise import DriverNoise, with_noise
from leed_agentic.traffic.sumo_run import EDGE_DATA, drive_routes, elements


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """Three streets in a row, 300 m each, one lane, 10 m/s: A0B0, B0C0, C0D0."""
    file = tmp_path_factory.mktemp("net") / "row.net.xml"
    options = ("--grid", "--grid.x-number=4", "--grid.y-number=1", "--grid.length=300", "--default.speed=10")
    generate_network(file, options, "Invented streets")
    return file


def routes(folder, *vehicles, types=""):
    file = folder / "fleet.rou.xml"
    file.write_text(f"<routes>{types}{''.join(vehicles)}</routes>", encoding="utf-8")
    return file


def vehicle(name, depart=0, edges="A0B0 B0C0 C0D0", more=""):
    return f'<vehicle id="{name}" depart="{depart}" {more}><route edges="{edges}"/></vehicle>'


def test_a_lone_car(net, tmp_path):
    file = routes(tmp_path, vehicle("mine", 3))
    driven = drive_routes(net, with_noise([file], DriverNoise(), tmp_path), end=600)
    car = driven.vehicles["mine"]
    assert car.planned == car.departed == 3
    assert car.route == ("A0B0", "B0C0", "C0D0")
    assert car.exit_times[-1] == car.arrived
    # 900 m less the car's own length at 10 m/s, and the time to speed up from rest.
    assert 89 <= car.travel_time(driven.end) <= 100
    assert driven.unfinished == driven.teleports == driven.collisions == 0
    assert car.co2 is None


def test_insertion_delay_counts_and_so_does_who_does_not_arrive(net, tmp_path):
    """Cars that all want to leave at second 0 by one lane: they wait outside, and not all get in before the end."""
    file = routes(tmp_path, *(vehicle(f"v{k}") for k in range(200)))
    driven = drive_routes(net, with_noise([file], DriverNoise(), tmp_path), end=120)
    assert len(driven.vehicles) == 200
    assert {drive.planned for drive in driven.vehicles.values()} == {0.0}
    never = [drive for drive in driven.vehicles.values() if drive.departed is None]
    late = [drive for drive in driven.vehicles.values() if drive.arrived is not None and drive.insertion_delay > 0]
    assert never
    assert late
    assert {drive.travel_time(driven.end) for drive in never} == {120.0}
    assert all(drive.travel_time(driven.end) >= drive.insertion_delay + 85 for drive in late)
    assert driven.unfinished > len(never)
    assert driven.mean_travel_time == pytest.approx(driven.travel_times.mean())


def test_the_same_seed_gives_the_same_run_and_another_one_under_noise_does_not(net, tmp_path):
    file = routes(tmp_path, *(vehicle(f"v{k}", 5 * k) for k in range(8)))
    noisy = with_noise([file], DriverNoise(0.5, 0.1), tmp_path)
    first, again, other = (drive_routes(net, noisy, end=600, seed=seed) for seed in (1, 1, 2))
    assert first.vehicles == again.vehicles
    assert first.vehicles != other.vehicles


def test_trips_and_flows_are_driven_too_and_gzipped_files_read(net, tmp_path):
    flow = '<flow id="f" begin="1" end="9" number="3" from="A0B0" to="B0C0"/>'
    text = f'<routes><trip id="t" depart="0" from="A0B0" to="C0D0"/>{flow}</routes>'
    file = tmp_path / "mixed.rou.xml.gz"
    file.write_bytes(gzip.compress(text.encode()))
    assert len(drive_routes(net, [file], end=600).vehicles) == 4
    driven = drive_routes(net, with_noise([file], DriverNoise(), tmp_path), end=600)
    assert set(driven.vehicles) == {"t", "f.0", "f.1", "f.2"}


@pytest.mark.slow
def test_outputs_by_option(net, tmp_path):
    file = routes(tmp_path, vehicle("mine"))
    driven = drive_routes(net, [file], end=600, folder=tmp_path / "run", edge_data_seconds=60, emissions=True)
    assert driven.vehicles["mine"].co2 > 10
    assert {edge.get("id") for edge in elements(tmp_path / "run" / EDGE_DATA, "edge")} == {"A0B0", "B0C0", "C0D0"}


def test_noise_is_written_into_every_type(net, tmp_path):
    types = '<vType id="a" sigma="0.9" speedFactor="normc(0.8,0.2,0.2,2)"/><vType id="b" speedDev="0.3"></vType>'
    file = routes(tmp_path, vehicle("x", more='type="a"'), vehicle("y", more='type="b"'), types=types)
    (copy,) = with_noise([file], DriverNoise(0.25, 0.05), tmp_path)
    text = copy.read_text()
    assert text.count('sigma="0.25"') == text.count('speedDev="0.05"') == 3
    assert "normc(0.8,0.05,0.2,2)" in text
    assert "0.9" not in text
    assert drive_routes(net, [copy], end=600).unfinished == 0
    (copy,) = with_noise([file], DriverNoise(0.25, None), tmp_path)
    text = copy.read_text()
    assert text.count('sigma="0.25"') == 3
    assert 'speedFactor="normc(0.8,0.2,0.2,2)"' in text
    assert text.count("speedDev") == 1


@pytest.mark.parametrize(
    ("edges", "words"), [("A0B0 nowhere", "nowhere"), ("A0B0 C0D0", "No connection|not connected|no valid route")]
)
def test_what_sumo_refuses_is_one_sentence(net, tmp_path, edges, words):
    with pytest.raises(UsageError, match=words):
        drive_routes(net, [routes(tmp_path, vehicle("bad", edges=edges))], end=60)


def test_an_end_before_the_first_departure(net, tmp_path):
    with pytest.raises(UsageError, match="No vehicle departs"):
        drive_routes(net, [routes(tmp_path, vehicle("late", 500))], end=60)


def test_noise_out_of_range():
    with pytest.raises(UsageError, match="0 to 1"):
        DriverNoise(sigma=1.5)
