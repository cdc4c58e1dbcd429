"""The picture: a PNG of its own size, the same for the same map, always with the credit."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leed_agentic.errors import UnwritableError, UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.picture import COLOURS, TOLD_APART, draw_map

pytestmark = pytest.mark.pictures


@pytest.fixture
def city(settings):
    return open_map("braunschweig", settings)


def _routes(network, agents):
    count = len(network.edges)
    starts = [network.edges[(k * 7) % count].id for k in range(agents)]
    return {k: network.shortest_path(e, network.junctions[(k * 31) % 78].id) for k, e in enumerate(starts)}


def _pixels(file):
    from matplotlib.image import imread

    return imread(file)


@pytest.mark.slow
def test_same_map_same_picture(city, tmp_path):
    for name in ("a.png", "b.png"):
        draw_map(city, tmp_path / name, routes=_routes(city, 10))
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert b"OpenStreetMap contributors" in first


@pytest.mark.slow
def test_credit_is_printed(city, tmp_path):
    draw_map(city, tmp_path / "with.png")
    city.attribution = ""
    draw_map(city, tmp_path / "without.png")
    foot_with, foot_without = (_pixels(tmp_path / f"{name}.png")[-70:] for name in ("with", "without"))
    assert (foot_with != foot_without).any()
    assert (foot_without[:, foot_without.shape[1] // 2 :] < 0.9).any()  # it says that it does not know


@pytest.mark.long
def test_routes_show_in_their_colours(city, tmp_path):
    draw_map(city, tmp_path / "p.png", routes=_routes(city, 10))
    pixels = (_pixels(tmp_path / "p.png")[..., :3] * 255).round().astype(int).reshape(-1, 3)
    seen = {tuple(p) for p in np.unique(pixels, axis=0)}
    for colour in COLOURS:
        assert tuple(bytes.fromhex(colour[1:])) in seen


@pytest.mark.slow
def test_trips_without_routes_are_marked(city, tmp_path):
    start, goal = city.edges[0].id, city.junctions[5].id
    draw_map(city, tmp_path / "a.png", trips={3: (start, goal)})
    draw_map(city, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


@pytest.mark.slow
def test_forty_agents_at_one_place_still_draw(city, tmp_path):
    path = _routes(city, 1)[0]
    draw_map(city, tmp_path / "p.png", routes=dict.fromkeys(range(40), path), title="A street with $ and _")
    assert _pixels(tmp_path / "p.png").shape[0] > 500


@pytest.mark.slow
def test_a_crowd_is_drawn_as_volumes(city, tmp_path):
    few = {agent: city.shortest_path(city.edges[0].id, city.junctions[40].id) for agent in range(TOLD_APART + 1)}
    draw_map(city, tmp_path / "streets.png")
    draw_map(city, tmp_path / "crowd.png", routes=few)
    streets, crowd = (_pixels(tmp_path / name)[..., :3] for name in ("streets.png", "crowd.png"))
    blue = np.array([int(COLOURS[0][at : at + 2], 16) / 255 for at in (1, 3, 5)])
    assert (np.abs(crowd - blue).max(axis=2) < 0.01).sum() > 200 + (np.abs(streets - blue).max(axis=2) < 0.01).sum()
    with pytest.raises(UsageError, match="no edge"):
        draw_map(city, tmp_path / "wrong.png", routes={**few, 999: ["nowhere"]})


@pytest.mark.long
def test_any_walk_draws(settings, tmp_path):
    """U-turns, loops and single edges, on left-hand streets as well, give finite lines."""
    network = open_map("grid", settings)

    @hypothesis.settings(max_examples=30)
    @given(st.integers(0, 359), st.lists(st.integers(0, 2), max_size=12), st.booleans())
    def walks(start, turns, lefthand):
        network.lefthand = lefthand
        walk = [network.edges[start].id]
        for turn in turns:
            successors = network.edge(walk[-1]).successors
            walk.append(successors[turn % len(successors)])
        draw_map(network, tmp_path / "w.png", routes={0: walk, 1: walk[:1], 2: []}, dpi=20)

    with np.errstate(all="raise", under="ignore"):
        walks()


@pytest.mark.slow
def test_route_of_another_map_is_refused(city, tmp_path):
    with pytest.raises(UsageError, match="has no edge"):
        draw_map(city, tmp_path / "p.png", routes={0: ["nowhere"]})
    assert not (tmp_path / "p.png").exists()


@pytest.mark.slow
def test_unwritable_picture_is_refused(city, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError, match="Cannot write"):
        draw_map(city, tmp_path / "file" / "p.png")
