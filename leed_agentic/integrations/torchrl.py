"""TorchRL: the environment as an EnvBase with one group of agents, masks included."""

from __future__ import annotations

from typing import Any

from leed_agentic.integrations.tried import need

need("torchrl")

from torchrl.envs import PettingZooWrapper  # noqa: E402 - behind the sentence on what is missing

from leed_agentic.traffic.route_v0 import parallel_env  # noqa: E402

GROUP = "agents"
"""Name of the one group that all agents are in."""


def torchrl_env(return_state: bool = False, **made_of: Any) -> PettingZooWrapper:
    """What `make_env` makes, for TorchRL. Whoever arrived stays until all are done: its tensors keep their shape.

    Args:
        return_state: hand `env.state()` on as "state".
        made_of: what `make_env` takes; and `device`, where the tensors shall be.
    """
    device = made_of.pop("device", "cpu")
    env = parallel_env(**{"backend": "process", **made_of, "arrived": "keep"})
    # `process`: collectors hold several in one program.
    return PettingZooWrapper(
        env=env,
        group_map={GROUP: env.possible_agents},
        return_state=return_state,
        categorical_actions=True,
        device=device,
    )
