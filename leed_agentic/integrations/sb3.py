"""Stable-Baselines3: environments as one VecEnv with a row per car, for MaskablePPO of sb3-contrib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leed_agentic.integrations.tried import need

need("sb3_contrib")

from stable_baselines3.common.vec_env import VecEnv  # noqa: E402 - behind the sentence on what is missing

from leed_agentic.traffic.vector import VectorRouteEnv, vector_env  # noqa: E402


class RouteVecEnv(VecEnv):
    """Every car of every environment is one of SB3's environments: one policy drives them all."""

    def __init__(self, vector: VectorRouteEnv) -> None:
        self.vector = vector
        self.render_mode = vector.render_mode
        super().__init__(vector.num_envs, vector.single_observation_space, vector.single_action_space)
        self._seed: int | None = None

    def reset(self) -> np.ndarray:
        observations, _ = self.vector.reset(seed=self._seed)
        self._seed = None
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, facts = self.vector.step(self._actions)
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(cut)} for cut in truncated]
        if "final_obs" in facts:
            for row in np.flatnonzero(facts["_final_obs"]):
                infos[row]["terminal_observation"] = facts["final_obs"][row]
        return observations, rewards, terminated | truncated, infos

    def close(self) -> None:
        self.vector.close()

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Of the next reset."""
        self._seed = seed
        return [None if seed is None else seed + row for row in range(self.num_envs)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        return self.vector.render() or [None]

    def has_attr(self, name: str) -> bool:
        return name == "action_masks" or hasattr(self.vector, name)

    def get_attr(self, name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.vector, name)] * len(list(self._get_indices(indices)))

    def set_attr(self, name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"Nothing is set in these environments, {name!r} neither; make others.")

    def env_method(self, name: str, *args: Any, indices: Any = None, **named: Any) -> list[Any]:
        """`action_masks`: the masks by row, which MaskablePPO asks for."""
        if name != "action_masks":
            raise AttributeError(f"These environments have no method {name!r}; they have action_masks.")
        return [self.vector.action_masks[row].astype(bool) for row in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def vec_env(n: int = 1, **made_of: Any) -> RouteVecEnv:
    """n environments for SB3; see `vector_env` for the rest."""
    return RouteVecEnv(vector_env(n, **made_of))
