"""Whether an algorithm or a source of demonstrations of your own keeps what the trainer relies on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from leed_agentic.errors import UsageError
from leed_agentic.learning.algorithms import Algorithm, algorithm_class, group_of
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.metrics import METRICS
from leed_agentic.learning.sources import DemonstrationSource
from leed_agentic.setting_groups import LearningSettings
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import Trajectory

AGENTS, ACTIONS, COLUMNS = 3, 4, 5


def check_algorithm(algorithm: type[Algorithm] | str, settings: LearningSettings | None = None, seed: int = 0) -> None:
    """Make it, let it act and learn on made-up episodes, save it, and go on from there; takes no SUMO.

    Args:
        algorithm: the class, its registered name or its dotted path.
        settings: with the algorithm's group, if it shall not be checked at its defaults.

    Raises:
        UsageError: it breaks a promise; the message says which.
    """
    kind = algorithm_class(algorithm) if isinstance(algorithm, str) else algorithm
    name = getattr(kind, "__name__", str(kind))
    demand = partial(_demand, f"Algorithm {name}")
    demand(isinstance(kind, type) and issubclass(kind, Algorithm), "must be a subclass of Algorithm")
    demand(group_of(kind) not in LearningSettings.model_fields, f"must not name its group {group_of(kind)!r}")
    new, known = [metric.name for metric in kind.metrics], {metric.name for metric in METRICS}
    demand(len({*new, *known}) == len(new) + len(known), "must not describe a metric twice or one that is known")
    settings = settings or LearningSettings(hidden=8, episodes=4)

    def make() -> Algorithm:
        return kind(AGENTS, ACTIONS, Encoding(COLUMNS, plain=True), settings, seed)

    before = _global_state()
    learner, twin = make(), make()
    demand(_global_state() == before, "must change nothing outside it when it is made, such as torch's threads or seed")
    demand(_actions(learner, seed) == _actions(twin, seed), "must draw the same actions from the same seed")
    for episode in range(2):
        for one in (learner, twin):
            _check_figures(_update(one, episode, seed), demand)
    demand(_same(learner.tensors(), twin.tensors()), "must learn the same from the same seed and data")
    saved = {key: tensor.clone() for key, tensor in learner.tensors().items()}
    state = _through_json(learner.random_state(), f"Algorithm {name}: random_state")
    taken_up = make()
    taken_up.load_tensors(saved)
    taken_up.load_random_state(state)
    for episode in range(2, 4):
        demand(_actions(learner, episode) == _actions(taken_up, episode), "must act alike after saving and loading")
        for one in (learner, taken_up):
            _update(one, episode, seed)
    demand(_same(learner.tensors(), taken_up.tensors()), "must learn alike after saving and loading")
    learner.deterministic = True
    demand(_actions(learner, seed) == _actions(learner, seed), "must not draw anything while `deterministic` is set")
    try:
        make().load_tensors({})
    except UsageError:
        return
    demand(False, "must refuse tensors that are not its own with a UsageError")


def check_source(source: DemonstrationSource, env: RouteEnv) -> None:
    """Ask it twice, and once more after its memory was saved and loaded.

    Raises:
        UsageError: it breaks a promise; the message says which.
        LeedError: its own, when it has no demonstration.
    """
    name = getattr(source, "name", None)
    demand = partial(_demand, f"Source {name or type(source).__name__}")
    demand(isinstance(name, str) and name, "must have a name")
    own = source.demonstrations(0, None, env)
    _check_trajectories(own, env, demand)
    source.learned({agent: t.total_reward for agent, t in own.items()}, dict.fromkeys(own, 0.0))
    state = _through_json(source.state(), f"Source {name}: state")
    first = source.demonstrations(1, own, env)
    _check_trajectories(first, env, demand)
    source.load_state(state)
    again = source.demonstrations(1, own, env)
    same = {agent: t.route for agent, t in first.items()} == {agent: t.route for agent, t in again.items()}
    demand(same, "must give the same demonstrations again once its memory was put back by load_state")
    usage = source.usage
    demand(all(isinstance(x, int | float) and x >= 0 for x in usage.values()), "must count its usage in numbers")
    demand(isinstance(source.report(), Mapping) and isinstance(source.record(), Mapping), "must report by mappings")


def _demand(who: str, kept: Any, promise: str) -> None:
    if not kept:
        raise UsageError(f"{who} {promise}.")


def _through_json(data: Any, what: str) -> Any:
    try:
        return json.loads(json.dumps(data))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} must be what JSON holds, because checkpoints are JSON ({error}).") from error


def _global_state() -> tuple[Any, ...]:
    return torch.get_num_threads(), torch.get_rng_state().numpy().tobytes(), str(np.random.get_state())


def _same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def _actions(learner: Algorithm, seed: int) -> list[int]:
    generator, actions = np.random.default_rng(seed), []
    for step in range(30):
        observation, mask = _observations(generator, 1)[0], _masks(generator, 1)[0]
        action = learner.choose(step % AGENTS, observation, mask)
        if not 0 <= action < ACTIONS or not mask[action]:
            raise UsageError(f"Algorithm {type(learner).__name__} must choose a legal action, not {action} of {mask}.")
        actions.append(int(action))
    return actions


def _update(learner: Algorithm, episode: int, seed: int) -> Mapping[str, Any]:
    """One agent arrives, one is cut off; in odd episodes the third takes no part, in even ones it decides nothing."""
    generator = np.random.default_rng([seed, episode])
    taus = {agent: _trajectory(generator, agent, (6, 9, 0)[agent], agent == 0) for agent in range(AGENTS - episode % 2)}
    experts = {0: _trajectory(generator, 0, 4, True)} if learner.uses_demonstrations and episode else {}
    return learner.update(taus, experts, episode)


def _check_figures(figures: Any, demand: Any) -> None:
    demand(isinstance(figures, Mapping), "must return a mapping of figures from `update`")
    for name, value in figures.items():
        array = np.asarray(None if isinstance(value, torch.Tensor) else value)
        fits = array.dtype.kind in "fiub" and array.shape in ((), (AGENTS,)) and not np.isinf(array).any()
        demand(
            isinstance(name, str) and fits,
            f"must return a number, or an array of one per agent, as {name!r}, not {value!r}"[:300],
        )


def _check_trajectories(found: Any, env: RouteEnv, demand: Any) -> None:
    demand(isinstance(found, Mapping) and found, "must give a mapping from agents to trajectories, or raise LeedError")
    trips = {trip.agent: trip for trip in env.scenario.agents}
    for agent, tau in found.items():
        demand(agent in trips and isinstance(tau, Trajectory), f"gave no trajectory of an agent under {agent!r}")
        demand(tau.route and tau.route[0] == trips[agent].start_edge, f"must begin agent {agent}'s route at its start")
        hops = (after in env.network.edge(before).successors for before, after in pairwise(tau.route))
        demand(all(hops), f"must give agent {agent} a route of edges that lead into each other")


def _observations(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.normal(size=(count, COLUMNS)).astype(np.float32)


def _masks(generator: np.random.Generator, count: int) -> np.ndarray:
    masks = generator.integers(0, 2, (count, ACTIONS)).astype(np.int8)
    masks[np.arange(count), generator.integers(0, ACTIONS, count)] = 1
    return masks


def _trajectory(generator: np.random.Generator, agent: int, steps: int, arrived: bool) -> Trajectory:
    masks = _masks(generator, steps)
    return Trajectory(
        agent=agent,
        observations=_observations(generator, steps),
        masks=masks,
        actions=masks.argmax(1) if steps else np.zeros(0, np.int64),
        rewards=generator.normal(size=steps),
        times=np.arange(steps, dtype=np.float64),
        route=(),
        positions=100 * generator.normal(size=(steps + 1, 2)),
        arrived=arrived,
        travel_seconds=None,
        last_observation=_observations(generator, 1)[0],
        last_mask=_masks(generator, 1)[0],
    )
