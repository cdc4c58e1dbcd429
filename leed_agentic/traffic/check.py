"""Whether an environment, with your own reward or observation or your own altogether, keeps what trainers rely on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from leed_agentic.errors import UsageError

LONGEST = 10_000
"""Calls of `step` after which an episode is taken to have no end."""


def check_env(make: Callable[[], ParallelEnv], seed: int = 0) -> None:
    """PettingZoo's own test of the parallel API, and whole episodes of random legal actions: everything told is of its
    space, finite and a number, masks leave an action, whoever ended is gone, equal seeds tell the same to the bit.

    Args:
        make: makes the environment, such as `lambda: make_env(reward="my_module.my_reward")`; it is called several
            times, one environment after the other.
        seed: of the episodes.

    Raises:
        UsageError: it breaks a promise; the message says which.
        LeedError: its own, where it does not start.
    """
    from pettingzoo.test import parallel_api_test

    with closing(make()) as env, warnings.catch_warnings():
        # It warns of what is unusual, such as spaces without bounds; what is wrong it asserts.
        warnings.simplefilter("ignore")
        try:
            parallel_api_test(env, num_cycles=200)
        except AssertionError as broken:
            told = " ".join(str(broken).split()) or "an assertion of parallel_api_test"
            raise UsageError(f"The environment must keep PettingZoo's parallel API: {told}") from broken
    first, again = (_episode(make, seed) for _ in range(2))
    _demand(len(first) == len(again), "must have episodes of equal length from equal seeds and actions")
    for number, (here, there) in enumerate(zip(first, again, strict=True)):
        _demand(_same(here, there), f"must tell the same from equal seeds and actions; step {number} differs")


def _episode(make: Callable[[], ParallelEnv], seed: int) -> list[Any]:
    generator = np.random.default_rng(seed)
    told: list[Any] = []
    with closing(make()) as env:
        observations, infos = env.reset(seed=seed)
        _check_told(env, observations, infos)
        told.append((observations, infos))
        while env.agents:
            _demand(len(told) <= LONGEST, f"must end an episode within {LONGEST} steps")
            actions = {
                name: _legal(env, name, observations[name], infos.get(name, {}), generator) for name in env.agents
            }
            before = set(env.agents)
            observations, rewards, terminated, truncated, infos = env.step(actions)
            _check_told(env, observations, infos)
            for part in (observations, rewards, terminated, truncated, infos):
                _demand(before <= set(part), "must tell every agent under way what its step gave")
            _demand(all(np.isfinite(value) for value in rewards.values()), "must give finite rewards")
            ended = {name for name in before if terminated[name] or truncated[name]}
            _demand(not ended & set(env.agents), "must not ask agents that have ended")
            told.append((observations, rewards, terminated, truncated, infos))
    return told


def _legal(
    env: ParallelEnv, name: str, observation: Any, info: Mapping[str, Any], generator: np.random.Generator
) -> int:
    mask = info.get("action_mask")
    if mask is None and isinstance(observation, Mapping):
        mask = observation.get("action_mask")
    space: Any = env.action_space(name)
    legal = np.arange(space.n) if mask is None else np.flatnonzero(mask)
    _demand(len(legal) > 0, f"must leave {name} a legal action")
    return int(generator.choice(legal))


def _check_told(env: ParallelEnv, observations: Mapping[str, Any], infos: Mapping[str, Any]) -> None:
    for name, observation in observations.items():
        _demand(env.observation_space(name).contains(observation), f"must observe {name} within its observation space")
    for name, info in infos.items():
        for key, value in info.items():
            number = np.asarray(value).dtype.kind in "biuf"
            _demand(number, f"must put numbers and arrays of them into infos; {name}'s {key!r} is none")


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(np.array_equal(one, other))


def _demand(kept: bool, promise: str) -> None:
    if not kept:
        raise UsageError(f"The environment {promise}.")
