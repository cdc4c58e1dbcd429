"""Several environments at once, as Gymnasium's vector API: one row for every car of every environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from leed_agentic.errors import UsageError
from leed_agentic.traffic.environment import ProcessEnv
from leed_agentic.traffic.route_v0 import parallel_env

log = logging.getLogger(__name__)


class VectorRouteEnv(VectorEnv):
    """n environments, each with SUMO in a process of its own, that step at the same time.

    Row `environment * agents + agent` is that agent's. Whoever arrived stays with its last observation, one action and
    reward 0 until its environment's last agent is done; then the whole environment begins anew in the same step, and
    `infos["final_obs"]` holds what was observed before (Gymnasium's same-step reset).

    Observations have shape (n * agents, d); actions, rewards, terminations and truncations (n * agents,). Every info is
    an array with a row per car: `action_mask` (n * agents, m), `decides`, `edge`, `illegal_action`; where an
    environment began anew they are those of its first step.

    Args:
        environments: made with backend `process` and arrived `keep`, of equal spaces and without masks in observations.
    """

    def __init__(self, environments: Sequence[ProcessEnv]) -> None:
        first = environments[0]
        self.environments = list(environments)
        self.agent_count = first.agent_count
        self.num_envs = len(self.environments) * first.agent_count
        self.metadata = {**first.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = first.render_mode
        self.single_observation_space = first.observation_space(first.possible_agents[0])
        self.single_action_space = spaces.Discrete(first.network.max_successors)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.action_masks = np.ones((self.num_envs, first.network.max_successors), dtype=np.int8)
        """The masks of the moment, shape (n * agents, m)."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin every environment: number i with `seed + i`, or the i-th of several seeds."""
        count = len(self.environments)
        if seed is None or isinstance(seed, int | np.integer):
            seeds: Sequence[int | None] = [None if seed is None else int(seed) + i for i in range(count)]
        else:
            seeds = list(seed)
            if len(seeds) != count:
                raise UsageError(f"{len(seeds)} seeds for {count} environments; give one for each, or one for all.")
        for env, one in zip(self.environments, seeds, strict=True):
            env.send_reset(one, options)
        told = [env.receive_reset() for env in self.environments]
        return self._rows([observations for observations, _ in told]), self._infos([infos for _, infos in told])

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        chosen = np.asarray(actions).reshape(len(self.environments), self.agent_count).tolist()
        for env, row in zip(self.environments, chosen, strict=True):
            env.send_step(dict(zip(env.possible_agents, row, strict=True)))
        told = [env.receive_step() for env in self.environments]
        observations, infos = [list(part) for part in zip(*((t[0], t[4]) for t in told), strict=True)]
        over = [i for i, env in enumerate(self.environments) if not env.agents]
        final = self._rows(observations) if over else None
        for i in over:
            self.environments[i].send_reset()
        for i in over:
            observations[i], infos[i] = self.environments[i].receive_reset()
        facts = self._infos(infos)
        if final is not None:
            ended = np.zeros(self.num_envs, dtype=bool)
            ended.reshape(len(told), -1)[over] = True
            facts |= {"final_obs": final, "_final_obs": ended}
        rewards, terminated, truncated = (
            np.array([list(t[part].values()) for t in told]).reshape(-1) for part in (1, 2, 3)
        )
        return self._rows(observations), rewards, terminated, truncated, facts

    def render(self) -> tuple[Any, ...] | None:
        """A picture of every environment; None without a render mode."""
        return tuple(env.render() for env in self.environments) if self.render_mode else None

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.environments:
            env.close()

    def _rows(self, observations: Sequence[Mapping[str, Any]]) -> np.ndarray:
        return np.array([row for one in observations for row in one.values()])

    def _infos(self, infos: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
        each = [info for one in infos for info in one.values()]
        facts = {name: np.array([info[name] for info in each]) for name in each[0]}
        self.action_masks = facts["action_mask"]
        return facts


def vector_env(n: int, **made_of: Any) -> VectorRouteEnv:
    """n environments that step at the same time.

    Args:
        n: how many.
        made_of: what `make_env` takes; environment i draws its first trips from `seed + i`.

    Raises:
        UsageError: as `make_env`, or n is below 1.
    """
    if n < 1:
        raise UsageError(f"There cannot be {n} environments; give 1 or more.")
    cores = os.cpu_count() or 1
    if n > 4 * cores:
        log.warning("%d environments on %d cores: they take turns; about as many as cores are fastest.", n, cores)
    refused = {"backend": "process", "arrived": "keep", "mask_in_observation": False}
    for name, value in refused.items():
        if made_of.setdefault(name, value) != value:
            raise UsageError(f"A vector of environments needs {name}={value}; leave {name} out.")
    seed = made_of.pop("seed", 0)
    first = parallel_env(seed=seed, **made_of)
    environments = [first, *(first.like(seed + i) for i in range(1, n))]
    return VectorRouteEnv(environments)
