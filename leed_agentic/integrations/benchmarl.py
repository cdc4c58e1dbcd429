"""BenchMARL: the environment as a task, with masks and, for centralised critics, the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leed_agentic.integrations.tried import need

need("benchmarl")

from benchmarl.environments.common import Task  # noqa: E402 - behind the sentence on what is missing
from benchmarl.environments.pettingzoo.common import PettingZooClass  # noqa: E402
from torchrl.envs import EnvBase  # noqa: E402

from leed_agentic.integrations.torchrl import torchrl_env  # noqa: E402

LONGEST = 1_000
"""Calls of `step` in an episode where the task names no `max_cycles`; BenchMARL wants to know."""


class RouteTask(PettingZooClass):
    """The environment as BenchMARL reads any of PettingZoo's."""

    def get_env_fun(
        self, num_envs: int, continuous_actions: bool, seed: int | None, device: Any
    ) -> Callable[[], EnvBase]:
        made_of = {"max_cycles": LONGEST, "seed": seed or 0, **self.config}
        return lambda: torchrl_env(return_state=True, device=device, **made_of)

    def supports_continuous_actions(self) -> bool:
        return False

    def supports_discrete_actions(self) -> bool:
        return True

    def has_state(self) -> bool:
        return True

    def has_render(self, env: EnvBase) -> bool:
        return self.config.get("render_mode") is not None

    def max_steps(self, env: EnvBase) -> int:
        return int(self.config.get("max_cycles", LONGEST))

    @staticmethod
    def env_name() -> str:
        return "leed"


class LeedTask(Task):
    """`LeedTask.ROUTE.get_task({"agents": 4})`: the dict holds what `make_env` takes."""

    ROUTE = None

    @staticmethod
    def associated_class() -> type[RouteTask]:
        return RouteTask
