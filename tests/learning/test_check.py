"""check_algorithm and check_source: what keeps the promises passes, and each broken one is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import algorithms
from leed_agentic.learning.algorithms.leed import Leed
from leed_agentic.learning.algorithms.ppo import Ippo
from leed_agentic.learning.check import check_algorithm, check_source
from leed_agentic.learning.metrics import Metric
from leed_agentic.learning.session import make_world
from leed_agentic.learning.sources import RouteSource, sources
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.settings import load_settings


@pytest.mark.parametrize("name", algorithms.names())
def test_every_algorithm_keeps_its_promises(name):
    few = {"mappo": {"batch_episodes": 2}, "qmix": {"batch": 2, "updates": 2}}
    check_algorithm(name, LearningSettings(hidden=8, episodes=4, **few))


class ActsBlindly(Ippo):
    def choose(self, agent, observation, mask):
        return 0


class SeedsTorch(Ippo):
    def __init__(self, *given):
        torch.manual_seed(0)
        super().__init__(*given)


class TakesThreads(Ippo):
    def __init__(self, *given):
        torch.set_num_threads(torch.get_num_threads() + 1)
        super().__init__(*given)


class DrawsFromTheAir(Ippo):
    def update(self, experiences, experts, episode):
        with torch.no_grad():
            self.policy.bias2.add_(float(np.random.default_rng().normal()))
        return super().update(experiences, experts, episode)


class Forgets(Ippo):
    def load_random_state(self, state):
        pass


class ForgetsItsOptimiser(Leed):
    def tensors(self):
        return {key: tensor for key, tensor in super().tensors().items() if not key.startswith("adam")}


class SaysTooMuch(Ippo):
    def update(self, experiences, experts, episode):
        return {"weights": self.policy.weight0}


class KeepsWhatNoFileHolds(Ippo):
    def random_state(self):
        return {"generator": self.generator}


class TakesAnything(Ippo):
    def load_tensors(self, tensors):
        if tensors:
            super().load_tensors(tensors)


class DescribesTwice(Ippo):
    metrics = (Metric("entropy", "Entropy once more"),)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (ActsBlindly, "must choose a legal action"),
        (SeedsTorch, "must change nothing outside it"),
        (TakesThreads, "must change nothing outside it"),
        (DrawsFromTheAir, "must learn the same from the same seed"),
        (Forgets, "must act alike after saving"),
        (ForgetsItsOptimiser, "must learn alike after saving"),
        (SaysTooMuch, "array of one per agent"),
        (KeepsWhatNoFileHolds, "must be what JSON holds"),
        (TakesAnything, "must refuse tensors that are not its own"),
        (DescribesTwice, "must not describe a metric twice"),
        (dict, "must be a subclass"),
    ],
)
def test_a_broken_promise_is_named(broken, words):
    threads = torch.get_num_threads()
    try:
        with pytest.raises(UsageError, match=words) as raised:
            check_algorithm(broken)
        assert broken.__name__ in str(raised.value)
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world():
    settings = load_settings(overrides={"scenario.agents": 2, "environment.max_steps": 60}, environment={})
    world = make_world(settings)
    yield settings, world.env
    world.env.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["graph", "lights", "logit", "shortest-path"])
def test_every_source_keeps_its_promises(world, name):
    settings, env = world
    source = sources.get(name)(settings.changed({"model.name": "stand-in"}), env, None)
    check_source(source, env)
    source.close()


class Fixed(RouteSource):
    name = "fixed"

    def routes(self, env):
        return {t.agent: env.network.shortest_path(t.start_edge, t.destination) for t in env.scenario.agents}


class Nameless(Fixed):
    name = ""


class OfNobody(Fixed):
    def demonstrations(self, episode, agents_trajectories, env):
        return {7: super().demonstrations(episode, agents_trajectories, env)[0]}


class GrowsForgetful(Fixed):
    asked = 0

    def routes(self, env):
        self.asked += 1
        return dict(list(super().routes(env).items())[: 1 + self.asked % 2])


class KeepsObjects(Fixed):
    def state(self):
        return {"self": self}


def test_a_source_is_five_lines_and_its_broken_promises_are_named(world):
    _, env = world
    check_source(Fixed(), env)
    for broken, words in (
        (Nameless, "must have a name"),
        (OfNobody, "no trajectory of an agent under 7"),
        (GrowsForgetful, "the same demonstrations again"),
        (KeepsObjects, "must be what JSON holds"),
    ):
        with pytest.raises(UsageError, match=words):
            check_source(broken(), env)
