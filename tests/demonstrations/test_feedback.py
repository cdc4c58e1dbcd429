"""Feedback strategies through the graph: what each tells the model, and one of the user's own as the docs have it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from leed_agentic.demonstrations.feedback import Assessment, Stationarity, feedbacks, remarks_of
from leed_agentic.demonstrations.generate import generate
from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.source import GraphSource
from leed_agentic.errors import UsageError
from leed_agentic.learning.session import begin
from leed_agentic.roads.catalogue import open_map
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv

PAGE = Path(__file__).parents[2] / "docs" / "demonstrations.md"
# The stand-in finds no slow route where a prompt holds the fast ones alone.
WHOLE = {"demonstration.corridor_paths": 0, "demonstration.prompt_tokens": 100_000}
WANTED = {"scenario.agents": 3, "model.name": "stand-in", "demonstration.rounds": 1, **WHOLE}
FINDING = re.compile(r"it must begin with|it is not possible|there is no edge|the route stops|takes .* twice")


def asked(run: Path) -> list[str]:
    """The last message of every call, as the model got it."""
    calls = [json.loads(line)["messages"] for line in (run / "calls.jsonl").read_text().splitlines()[1:]]
    # A long message that was sent before is named instead of written again.
    known = {message["id"]: message["content"] for messages in calls for message in messages if "id" in message}
    return [last["content"] if "content" in last else known[last["same_as"]] for *_, last in calls]


def again(run: Path, name: str, **more) -> str:
    """The request to plan again under a strategy."""
    overrides = {**WANTED, "demonstration.feedback": name, **more}
    generate(settings_for_run(overrides=overrides), run)
    return asked(run)[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "findings"), [("leed", 3), ("validity", 3), ("reled", 3), ("none", 0)])
def test_after_invalid_routes(tmp_path, name, findings):
    told = again(tmp_path / "run", name, **{"model.stand_in_error_rate": 1.0})
    remarks = [line for line in told.splitlines() if line.startswith("- ")]
    assert len(remarks) == 3
    assert len([line for line in remarks if FINDING.search(line)]) == findings
    assert told.count("Plan this route again.") == 3 - findings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("leed", "times the fastest path's time"),
        ("reled", "times the fastest path's time"),
        ("validity", "\n- Plan again.\n"),
        ("none", "Plan this route again."),
    ],
)
def test_after_slow_drives(tmp_path, name, says):
    more = {"model.stand_in_error_rate": 0.0, "demonstration.accept_ratio": 1.0}
    told = again(tmp_path / "run", name, **more)
    assert says in told
    assert not FINDING.search(told)


def test_every_strategy_is_tested_here():
    assert feedbacks.names() == ["leed", "none", "reled", "validity"]


def test_stationarity_is_what_it_says():
    steady = Stationarity()
    assert (steady.volatility(0), steady.divergence(0)) == (None, None)
    steady.add({0: 1.0, 1: 5.0}, {0: 0.02, 1: float("nan")})
    assert steady.volatility(0) is None
    steady.add({0: 3.0}, {0: 0.04})
    steady.add({0: 5.0}, {0: -0.03, 1: -0.5})
    assert steady.volatility(0) == pytest.approx((8 / 3) ** 0.5)
    assert steady.divergence(0) == pytest.approx(0.01)
    assert (steady.volatility(1), steady.divergence(1)) == (None, 0.0)
    assert Stationarity.from_json(json.loads(json.dumps(steady.to_json()))) == steady
    assert Stationarity.from_json({}) == Stationarity()


@pytest.mark.slow
def test_reled_tells_what_a_trainer_told_since_the_last_question(tmp_path):
    more = {"demonstration.feedback": "reled", "demonstration.accept_ratio": 1.0, "model.stand_in_error_rate": 0.0}
    settings = settings_for_run(overrides=WANTED | more)
    network = open_map(settings.map.name, settings.map)
    env = RouteEnv(network, scenario_for(network, settings), settings.environment)
    source = GraphSource(settings, env, tmp_path)
    source.demonstrations(0, None, env)
    first = len(asked(tmp_path))
    for earned in (10.0, 30.0):
        source.learned(dict.fromkeys(range(3), earned), {0: 0.01, 1: 0.02, 2: 0.03})
    # What was told survives a checkpoint.
    resumed = GraphSource(settings, env)
    resumed.load_state(json.loads(json.dumps(source.state())))
    assert resumed.stationarity == source.stationarity
    source.demonstrations(2, None, env)
    told = asked(tmp_path)[first]
    assert "over its last 2 episodes the agent's own reward had a standard deviation of 10.0" in told
    assert "its policy moved by a KL divergence of 0.0" in told
    assert source.stationarity == Stationarity()
    source.close()
    env.close()


@pytest.mark.slow
def test_a_trainer_tells_rewards_and_divergence(tmp_path):
    more = {"demonstration.feedback": "reled", "demonstration.accept_ratio": 1.0, "demonstration.planning": "fleet"}
    learning = {"learning.episodes": 5, "learning.q": 4, "learning.hidden": 8, "environment.max_steps": 40}
    session = begin(settings_for_run(overrides={**WANTED, **more, **learning}), tmp_path, GraphSource)
    session.trainer.run()
    session.close()
    later = asked(tmp_path)[-1]
    assert "over its last 4 episodes" in later
    assert re.search(r"moved by a KL divergence of [\d.e-]+ per update", later)


@pytest.mark.slow
def test_the_page_s_own_strategy(tmp_path, monkeypatch):
    code = re.search(r"```python\n(# my_feedback.py\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "my_feedback.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    told = again(tmp_path / "run", "my_feedback.first_mistake", **{"model.stand_in_error_rate": 1.0})
    assert len(re.findall(r"^- Your route for agent \d goes wrong at edge number \d+ ", told, re.MULTILINE)) == 3


@pytest.mark.parametrize("given", ["nothing", "a list", "numbers"])
def test_a_strategy_that_gives_something_else_is_one_sentence(monkeypatch, given):
    answers = {"nothing": None, "a list": ["again"], "numbers": {0: 1}}
    monkeypatch.setitem(feedbacks._items, "of_a_test", lambda assessment: answers[given])
    with pytest.raises(UsageError, match=r"'of_a_test' must return a dictionary of agent number to text"):
        remarks_of("of_a_test", Assessment(None, None))


def test_a_wrong_name_is_found_before_training():
    settings = settings_for_run(overrides={**WANTED, "demonstration.feedback": "relied"})
    network = open_map(settings.map.name, settings.map)
    env = RouteEnv(network, scenario_for(network, settings), settings.environment)
    with pytest.raises(UsageError, match="did you mean 'reled'"):
        GraphSource(settings, env)
    env.close()
