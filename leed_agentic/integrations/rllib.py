"""RLlib's new API stack: the environment as a MultiAgentEnv, and PPO with its masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

from leed_agentic.integrations.tried import need

need("ray.rllib")

from ray.rllib.algorithms.ppo import PPOConfig  # noqa: E402 - behind the sentence on what is missing
from ray.rllib.core.rl_module.rl_module import RLModuleSpec  # noqa: E402
from ray.rllib.env.multi_agent_env import MultiAgentEnv  # noqa: E402
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule  # noqa: E402

from leed_agentic.traffic.route_v0 import parallel_env  # noqa: E402


class RouteMultiAgentEnv(MultiAgentEnv):
    """What `make_env` makes of `config`. Only who decides is in the observations, so that nobody is asked in vain, and
    what was gained in mid-edge is handed over with the next decision."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.env = env = parallel_env(**{"backend": "process", **dict(config or {}), "mask_in_observation": True})
        self.possible_agents = list(env.possible_agents)
        self.agents = list(env.possible_agents)
        inner: Any = env.observation_space(env.possible_agents[0])
        mask = spaces.Box(0.0, 1.0, inner["action_mask"].shape)
        # The keys that RLlib's masking module wants.
        space = spaces.Dict({"action_mask": mask, "observations": inner["observation"]})
        self.observation_spaces = dict.fromkeys(self.possible_agents, space)
        self.action_spaces = {name: env.action_space(name) for name in self.possible_agents}
        self._gained: dict[str, float] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        observations, _ = self.env.reset(seed=seed, options=options)
        self.agents = list(self.env.agents)
        self._gained = dict.fromkeys(self.agents, 0.0)
        while self.env.agents and not self.env.deciding:
            observations, *_ = self._go_on({})
        return self._for_deciders(observations), {}

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        ended: dict[str, Any] = {}
        terminated: dict[str, bool] = {}
        truncated: dict[str, bool] = {}
        while True:
            observations, rewards, terminations, truncations, _ = self._go_on(actions)
            for name in rewards:
                if terminations[name] or truncations[name]:
                    ended[name] = _named(observations[name])
                    terminated[name], truncated[name] = terminations[name], truncations[name]
            if self.env.deciding or not self.env.agents:
                break
            actions = {}
        observed = {**ended, **self._for_deciders(observations)}
        gained = {name: self._gained[name] for name in observed}
        self._gained.update(dict.fromkeys(observed, 0.0))
        self.agents = list(self.env.agents)
        over = not self.agents
        terminated["__all__"] = over and all(terminated.values())
        truncated["__all__"] = over and not terminated["__all__"]
        return observed, gained, terminated, truncated, {}

    def _go_on(self, actions: Mapping[str, int]) -> tuple[Any, ...]:
        told = self.env.step(actions)
        for name, reward in told[1].items():
            self._gained[name] += reward
        return told

    def _for_deciders(self, observations: Mapping[str, Any]) -> dict[str, Any]:
        names = (self.possible_agents[agent] for agent in self.env.deciding)
        return {name: _named(observations[name]) for name in names}

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()


def _named(observation: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action_mask": observation["action_mask"].astype("float32"),
        "observations": observation["observation"],
    }


def ppo_config(**made_of: Any) -> PPOConfig:
    """PPO with one policy for all agents that respects the masks; what `make_env` takes says which streets."""
    return (
        PPOConfig()
        .environment(RouteMultiAgentEnv, env_config=made_of)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **named: "shared")
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ActionMaskingTorchRLModule))
    )
