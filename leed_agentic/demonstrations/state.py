"""What passes from node to node, and the parts the nodes work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import TypedDict

from leed_agentic.demonstrations.critique import Critique
from leed_agentic.demonstrations.decision import ReviewLog
from leed_agentic.demonstrations.plan import Desk, Memory, Planned
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.stationarity import Stationarity
from leed_agentic.demonstrations.validate import Validation
from leed_agentic.models.caller import ModelCaller
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.settings import DemonstrationSettings
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Episode, Trajectory


class State(TypedDict, total=False):
    """The graph's state. It never holds keys or clients: LangGraph writes state to traces and checkpoints in clear."""

    round: int
    asked: list[int]
    """Agents to plan for in this round."""
    remarks: dict[int, str]
    """What the model is told about each agent's last route."""
    planned: Planned
    validation: Validation
    routes: dict[int, list[str]]
    """Valid routes kept so far, one per agent at most."""
    episode: Episode
    """The last drive of the kept routes (tau^e)."""
    critique: Critique | None
    stopped: str | None
    """Why no further call may be made: a cap was reached."""
    refused: str | None
    """Why a person's last decision could not be followed; the person is told and asked again."""


@dataclass
class Best:
    """The best validated set so far."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    episode: Episode | None = None
    critique: Critique | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """More agents with a valid route first, then a larger mean reward."""
        return len(self.routes), self.episode.mean_reward if self.episode else float("-inf")


@dataclass
class Workshop:
    """LangGraph's runtime context: the parts the nodes use. It is never written anywhere."""

    network: RoadNetwork
    scenario: Scenario
    env: RouteEnv
    caller: ModelCaller
    prompts: PromptSet
    settings: DemonstrationSettings
    seed: int
    own: Mapping[int, Trajectory] | None = None
    """The agents' own latest trajectories (tau^a), when there are any."""
    stationarity: Stationarity | None = None
    """How steadily they learned since the last question; None where no trainer asks."""
    review: ReviewLog | None = None
    """Takes the decisions of a person who is asked before routes are driven; None: nobody is asked."""
    alone: dict[int, float] = field(default_factory=dict)
    """Seconds of each agent's fastest path driven alone; filled on first use."""
    best: Best = field(default_factory=Best)
    rounds: list[Round] = field(default_factory=list)
    """One record per plan; here and not in the state, so that an interrupted run can still save them."""
    memory: Memory = field(default_factory=Memory)
    progress: Callable[[str], Any] = lambda line: None

    def desk(self, agents: list[int], remarks: Mapping[int, str]) -> Desk:
        """What a planner gets to work with."""
        return Desk(
            self.caller,
            self.prompts,
            self.network,
            self.scenario,
            self.settings,
            self.memory,
            agents,
            remarks,
            self.progress,
        )

    def spent(self) -> tuple[int, int, int]:
        """Calls, input tokens and output tokens so far; tokens of replayed calls count as none."""
        usage = self.caller.usage
        return usage.calls, usage.input_tokens, usage.output_tokens
