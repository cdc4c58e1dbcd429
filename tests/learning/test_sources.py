"""Demonstration files that cannot be used: each gets one sentence that names the file and what is wrong with it."""

from __future__ import annotations

import json

import pytest

from leed_agentic.errors import UsageError
from leed_agentic.learning.session import begin
from leed_agentic.settings import load_settings

WANTED = {
    "scenario.agents": 2,
    "learning.episodes": 2,
    "learning.hidden": 8,
    "learning.source": "shortest-path",
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Demonstrations as a run saves them."""
    folder = tmp_path_factory.mktemp("run")
    session = begin(load_settings(overrides=WANTED, environment={}), folder)
    session.trainer.run()
    session.close()
    return json.loads((folder / "demonstrations" / "000000.json").read_text())


def use(file, **changes):
    more = {"learning.source": "file", "learning.demonstrations": file, **changes}
    session = begin(load_settings(overrides={**WANTED, **more}, environment={}), None)
    try:
        return session.trainer.run()
    finally:
        session.close()


@pytest.mark.slow
def test_what_a_run_saved_can_be_used(good, tmp_path):
    file = tmp_path / "good.json"
    file.write_text(json.dumps(good))
    rows = use(file)
    assert rows[0]["triggers"] == 1
    assert rows[0]["source_failures"] == 0
    assert rows[0]["expert_reward_mean"] == pytest.approx(sum(good["rewards"].values()) / 2)


@pytest.mark.slow
def test_a_route_that_the_episode_cut_short_does_not_spoil_the_file(tmp_path):
    session = begin(load_settings(overrides={**WANTED, "environment.max_steps": 40}, environment={}), tmp_path)
    session.trainer.run()
    session.close()
    file = tmp_path / "demonstrations" / "000000.json"
    kept = json.loads(file.read_text())
    assert (list(kept["routes"]), list(kept["cut_short"])) == (["0"], ["1"])
    assert use(file)[0]["source_failures"] == 0


def edited(data, path, value):
    data = json.loads(json.dumps(data))
    *way, last = path
    place = data
    for part in way:
        place = place[part]
    place[last] = value
    return data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("routes", "0", 1), "no_such_edge", "mask forbids"),
        (("routes", "0", 2), "-7782975#4", "mask forbids"),
        (("routes", "0", 0), "-7782975#4", "must begin with its start edge"),
        (("routes", "0"), [], "must begin with its start edge"),
        (("routes", "0"), "text", "must begin with its start edge"),
        (("routes", "0"), 5, "Cannot read the demonstrations"),
        (("routes", "9"), ["-7782975#4"], "route for agent 9; the scenario has 2 agents"),
        (("routes", "x"), [], "Cannot read the demonstrations"),
        (("routes",), [], "Cannot read the demonstrations"),
        (("scenario", "seed"), 7, "another scenario"),
        (("scenario", "map"), "berlin", "another scenario"),
        (("scenario", "agents"), [], "another scenario"),
        (("scenario", "agents", 0, "departure"), float("nan"), "finite"),
        (("scenario",), None, "not a scenario"),
        (("format",), "other", "not of format leed-demonstrations 1"),
        (("version",), 2, "not of format leed-demonstrations 1"),
    ],
)
def test_a_file_that_does_not_fit(good, tmp_path, path, value, words):
    file = tmp_path / "edited.json"
    file.write_text(json.dumps(edited(good, path, value)))
    with pytest.raises(UsageError, match=words) as raised:
        use(file)
    assert str(file) in str(raised.value)


@pytest.mark.slow
def test_a_route_that_stops_short_or_an_agent_too_many(good, tmp_path):
    file = tmp_path / "short.json"
    short = edited(good, ("routes", "0"), good["routes"]["0"][:-1])
    file.write_text(json.dumps(short))
    with pytest.raises(UsageError, match="does not reach its destination"):
        use(file)
    file.write_text(json.dumps(good))
    with pytest.raises(UsageError, match=r"another scenario \(map braunschweig, seed 0, 2 agents\)"):
        use(file, **{"scenario.agents": 3})


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "[" * 100_000, '{"format": "leed-demonstrations"'])
def test_a_file_that_is_not_json_of_ours(tmp_path, text):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.json"):
        use(file)


@pytest.mark.slow
def test_no_file_at_all(tmp_path):
    with pytest.raises(UsageError, match=r"There is no .*missing\.json.*leed demo generate"):
        use(tmp_path / "missing.json")
    with pytest.raises(UsageError, match=r"learning\.demonstrations=FILE"):
        use(None)
