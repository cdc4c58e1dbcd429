"""The graph as a trainer's source: its memory goes on from trigger to trigger and through a checkpoint."""

from __future__ import annotations

import json

import pytest

from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.demonstrations.source import GraphSource
from leed_agentic.errors import LeedError, UnavailableError, UsageError
from leed_agentic.roads.catalogue import open_map
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import drive, random_policy
from tests.model_server import Answer, Say


@pytest.fixture
def parts(model_server):
    wanted = {"scenario.agents": 3, "model.name": "openai:test", "model.base_url": model_server.url}
    settings = settings_for_run(overrides={**wanted, "demonstration.rounds": 1, "demonstration.accept_ratio": 10.0})
    network = open_map(settings.map.name, settings.map)
    env = RouteEnv(network, scenario_for(network, settings), settings.environment)
    yield settings, env
    env.close()


@pytest.mark.slow
def test_triggers_refine_against_the_agents_and_survive_a_checkpoint(parts, model_server, tmp_path):
    settings, env = parts
    good = {t.agent: env.network.shortest_path(t.start_edge, t.destination) for t in env.scenario.agents}
    model_server.default = Say(json.dumps({str(agent): route for agent, route in good.items()}))
    source = GraphSource(settings, env, tmp_path)
    expert = source.demonstrations(0, None, env)
    assert {agent: list(t.route) for agent, t in expert.items()} == good
    assert all(t.arrived for t in expert.values())

    # Agents that wander earn less than the expert: nothing to refine, nothing asked, but compared all the same.
    wandering = drive(env, random_policy(0)).trajectories
    source.demonstrations(5, wandering, env)
    assert source.usage["triggers"] == 2
    assert source.usage["calls"] == len(model_server.requests) == 1
    assert source.best.critique.mean("dtw") > 0

    # An agent that beats its expert is one the model hears about.
    praised = {a: t.__class__(**{**vars(t), "rewards": t.rewards + 1.0}) for a, t in expert.items()}
    source.demonstrations(10, praised, env)
    assert "earned" in model_server.requests[1]["messages"][-1]["content"]
    record = source.record()
    assert {tuple(r["asked"]) for r in record["rounds"]} == {(0, 1, 2)}
    assert record["provenance"]["model"] == "openai:test"
    assert {agent: list(route) for agent, route in source.best.routes.items()} == good

    state = json.loads(json.dumps(source.state()))
    resumed = GraphSource(settings, env)
    resumed.load_state(state)
    assert resumed.state() == source.state()
    assert {a: t.route for a, t in resumed.best.episode.trajectories.items()} == {a: t.route for a, t in expert.items()}
    source.close()


def test_a_model_without_a_valid_route_is_an_error_the_trainer_can_survive(parts, model_server):
    settings, env = parts
    model_server.default = Say("no idea")
    source = GraphSource(settings, env)
    with pytest.raises(LeedError, match="no valid route"):
        source.demonstrations(0, None, env)
    assert source.usage["calls"] == 2


@pytest.mark.slow
def test_agents_that_went_without_are_asked_for_again(parts, model_server):
    settings, env = parts
    good = {str(t.agent): env.network.shortest_path(t.start_edge, t.destination) for t in env.scenario.agents}
    model_server.default = Say(json.dumps({"1": good["1"]}))
    source = GraphSource(settings, env)
    assert list(source.demonstrations(0, None, env)) == [1]
    model_server.default = Say(json.dumps(good))
    assert sorted(source.demonstrations(5, None, env)) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "kind"), [(404, UsageError), (503, UnavailableError)])
def test_what_asking_again_would_not_help_is_a_usage_error(parts, model_server, status, kind):
    settings, env = parts
    model_server.default = Answer(status)
    source = GraphSource(settings.changed({"model.retries": 0}), env)
    with pytest.raises(kind):
        source.demonstrations(0, None, env)
    # The memory is as it was, and the next question works.
    good = {str(t.agent): env.network.shortest_path(t.start_edge, t.destination) for t in env.scenario.agents}
    model_server.default = Say(json.dumps(good))
    assert sorted(source.demonstrations(5, None, env)) == [0, 1, 2]
