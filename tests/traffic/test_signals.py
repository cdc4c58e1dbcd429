"""Red lights as a driver can know them, beside what SUMO's lights really show."""

from __future__ import annotations

import gzip
import math

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.roads.build import generate_network
from leed_agentic.traffic.signals import OPEN, Waits, read_signals
from leed_agentic.traffic.sumo_run import drive_routes, elements

CROSS = """<net>
<tlLogic id="J" type="{kind}" programID="0" offset="{offset}">
  <phase duration="20" state="Gr"/><phase duration="5" state="yr"/>
  <phase duration="10" state="rg"/><phase duration="5" state="ry"/>
</tlLogic>
<connection from="a" to="c" fromLane="0" toLane="0" tl="J" linkIndex="0" dir="s" state="O"/>
<connection from="b" to="c" fromLane="0" toLane="0" tl="J" linkIndex="1" dir="s" state="o"/>
<connection from="c" to="d" fromLane="0" toLane="0" dir="s" state="M"/>
<connection from=":J_0" to="c" fromLane="0" toLane="0" tl="J" linkIndex="1" dir="s" state="M"/>
</net>"""


def cross(folder, kind="static", offset="0"):
    file = folder / "cross.net.xml"
    file.write_text(CROSS.format(kind=kind, offset=offset), encoding="utf-8")
    return file


def test_the_wait_at_every_second(tmp_path):
    signals = read_signals(cross(tmp_path))
    assert [signals.wait("a", "c", second) for second in (0, 19.9, 20, 39, 40, 4000)] == [0, 0, 20, 1, 0, 0]
    assert [signals.wait("b", "c", second) for second in (0, 25, 34.9, 35, 65)] == [25, 0, 0, 30, 0]
    assert signals.wait("c", "d", 7) == 0.0


@pytest.mark.parametrize(("offset", "second", "wait"), [("15", 15, 0), ("15", 0, 15), ("-15", 0, 0), ("-15", 5, 20)])
def test_offsets(tmp_path, offset, second, wait):
    assert read_signals(cross(tmp_path, offset=offset)).wait("a", "c", second) == wait


@pytest.mark.parametrize(("kind", "offset"), [("actuated", "0"), ("delay_based", "0"), ("static", "begin")])
def test_what_no_file_tells_is_none(tmp_path, kind, offset):
    signals = read_signals(cross(tmp_path, kind, offset))
    assert signals.wait("a", "c", 0) is None
    assert not signals.static


def test_a_link_that_never_opens():
    assert Waits(0, (math.inf,) * 3).at(8) == math.inf


def test_an_additional_file_replaces_a_programme(tmp_path):
    more = tmp_path / "more.add.xml.gz"
    with gzip.open(more, "wt") as stream:
        stream.write(
            '<additional><tlLogic id="J" type="static"><phase duration="9" state="rG"/></tlLogic></additional>'
        )
    signals = read_signals(cross(tmp_path), [more])
    assert signals.wait("a", "c", 3) == math.inf
    assert signals.wait("b", "c", 3) == 0


@pytest.mark.slow
def test_as_sumo_shows_them(tmp_path):
    """Every light of a net with offsets, second by second, in a simulation that begins in the afternoon."""
    net = tmp_path / "grid.net.xml"
    options = ("--grid", "--grid.number=4", "--grid.length=120", "--default-junction-type=traffic_light")
    generate_network(net, options, "Invented streets")
    text = net.read_text(encoding="utf-8")
    for number, offset in enumerate((7, -13, 200)):
        light = f'<tlLogic id="B{number}" type="static" programID="0" offset="0"'
        assert light in text
        text = text.replace(light, light.replace('offset="0"', f'offset="{offset}"'))
    net.write_text(text, encoding="utf-8")
    signals = read_signals(net)
    turns = {}
    for turn in elements(net, "connection"):
        if turn.get("tl") and not turn.get("from").startswith(":"):
            light = turns.setdefault(turn.get("tl"), {})
            light.setdefault((turn.get("from"), turn.get("to")), []).append(int(turn.get("linkIndex")))
    events = "".join(f'<timedEvent type="SaveTLSStates" source="{light}" dest="states.xml"/>' for light in turns)
    additional, routes = tmp_path / "save.add.xml", tmp_path / "one.rou.xml"
    additional.write_text(f"<additional>{events}</additional>", encoding="utf-8")
    # A car that cannot leave before the end keeps the simulation running.
    routes.write_text(
        '<routes><vehicle id="a" depart="57617"><route edges="A0A1 A1A2"/></vehicle>'
        '<vehicle id="b" depart="57730"><route edges="A0A1 A1A2"/></vehicle></routes>',
        encoding="utf-8",
    )
    drive_routes(net, [routes], begin=57617, end=57760, additional_files=[additional], folder=tmp_path)
    seconds = set()
    for state in elements(tmp_path / "states.xml", "tlsState"):
        second = float(state.get("time"))
        seconds.add(second)
        for (before, after), links in turns[state.get("id")].items():
            is_open = any(state.get("state")[link] in OPEN for link in links)
            assert (signals.wait(before, after, second) == 0) == is_open, (state.get("id"), second)
    assert len(seconds) > 100


ENDLESS = '<net><tlLogic id="a"><phase duration="1e9"/></tlLogic></net>'


@pytest.mark.parametrize("content", ["", "<net", "no xml", ENDLESS])
def test_no_net_is_one_sentence(tmp_path, content):
    file = tmp_path / "bad.net.xml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"lights of .* cannot be read"):
        read_signals(file)
    with pytest.raises(UsageError, match="Cannot read"):
        read_signals(tmp_path / "none.net.xml")
