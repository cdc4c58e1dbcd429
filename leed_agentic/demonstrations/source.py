"""What a trainer asks the graph: new demonstrations for its scenario, given how the agents drive by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.execute import execute
from leed_agentic.demonstrations.feedback import Stationarity
from leed_agentic.demonstrations.graph import steps
from leed_agentic.demonstrations.parts import open_parts
from leed_agentic.demonstrations.results import provenance_of
from leed_agentic.demonstrations.state import Best, Context, State, again
from leed_agentic.errors import LeedError
from leed_agentic.settings import Settings
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import Trajectory

_COUNTED = ("calls", "input_tokens", "output_tokens", "seconds")


class GraphSource:
    """Demonstrations from the graph. Its memory goes on from trigger to trigger: d <- d with {tau^a, tau^e}.

    Raises:
        UsageError: the settings name no usable model, key, recording, prompt folder, planner or feedback strategy.
    """

    name = "graph"

    def __init__(
        self,
        settings: Settings,
        env: RouteEnv,
        folder: Path | None = None,
        progress: Callable[[str], Any] = lambda line: None,
    ) -> None:
        self.parts = open_parts(settings, env.network, env.scenario, folder=folder, env=env, progress=progress)
        self.triggers = 0
        self._before = dict.fromkeys(_COUNTED, 0)
        """Counts of earlier processes of the run."""
        self.stationarity = Stationarity()
        self._state = State()

    def learned(self, rewards: Mapping[int, float], divergences: Mapping[int, float]) -> None:
        """Told by the trainer after every update: what each agent earned, and how far its policy moved (KL)."""
        self.stationarity.add(rewards, divergences)

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        """The expert trajectories tau^e after one more run of the graph; agents without a valid route are absent.

        Raises:
            UsageError: the model cannot be asked at all: unknown, its request refused; asking again would not help.
            LeedError: the model gave no valid route at all, or is out of reach just now; the memory is kept.
        """
        if env.scenario != self.parts.scenario:
            # What was learned of other trips' routes says nothing of these.
            self.parts, self._state = replace(self.parts, scenario=env.scenario), State()
        earlier = again(self._state)
        self._state = earlier
        context = Context(
            parts=self.parts, trajectories=agents_trajectories, stationarity=self.stationarity, earlier=earlier
        )
        for state in steps(context):
            # At every step: what was reached before an error is kept.
            self._state = state
        self.triggers += 1
        expert = self.best.episode
        if expert is None:
            raise LeedError(f"The model gave no valid route in {len(self.rounds)} rounds.")
        self.stationarity = Stationarity()
        return expert.trajectories

    @property
    def best(self) -> Best:
        """The best set so far."""
        return self._state.get("best", Best())

    @property
    def rounds(self) -> list[Round]:
        """The rounds of the last trigger."""
        return self._state.get("history", [])

    @property
    def usage(self) -> dict[str, float]:
        """Counts of this process: triggers, calls, tokens and seconds of the model."""
        usage = self.parts.caller.usage
        counts = {name: getattr(usage, name) - self._before[name] for name in _COUNTED}
        return {"triggers": self.triggers, **counts}

    def report(self) -> dict[str, Any]:
        """Of the last trigger: the share of asked-for routes that were valid and the number of plans; and how much the
        planner remembers, in turns of its conversations and streets left out."""
        asked = sum(len(r.asked) for r in self.rounds)
        valid = sum(r.validity_reply * len(r.asked) for r in self.rounds)
        memory = self._state.get("memory", {})
        turns = sum(len(turns) for turns in memory.get("conversations", {}).values())
        return {
            "rounds": len(self.rounds),
            "validity": round(valid / asked, 4) if asked else "",
            "memory": turns + sum(len(walked["blocked"]) for walked in memory.get("junctions", {}).values()),
        }

    def record(self) -> dict[str, Any]:
        """Of the last trigger, for a file of demonstrations: whole routes, `rounds` and `provenance`."""
        return {
            "routes": self.best.routes,
            "rounds": [asdict(r) for r in self.rounds],
            "provenance": provenance_of(self.parts),
        }

    def state(self) -> dict[str, Any]:
        """The refinement memory as JSON, for checkpoints. It holds prompts and routes, never keys."""
        return {
            "triggers": self.triggers,
            "scenario": self.parts.scenario.to_json(),
            "routes": {str(agent): list(route) for agent, route in self.best.routes.items()},
            "memory": self._state.get("memory", {}),
            "stationarity": self.stationarity.to_json(),
            "recorded": self.parts.caller.recorded,
            "usage": asdict(self.parts.caller.usage),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up the memory of a checkpoint; the routes are driven again to have their trajectories."""
        self.triggers = int(state["triggers"])
        self.parts.caller.go_on(int(state["recorded"]), state["usage"])
        self._before = {name: state["usage"][name] for name in _COUNTED}
        self.stationarity = Stationarity.from_json(state["stationarity"])
        self.parts = replace(self.parts, scenario=Scenario.from_json(state["scenario"]))
        self._state = State(memory=dict(state["memory"]))
        if routes := {int(agent): list(route) for agent, route in state["routes"].items()}:
            with self.parts.simulation() as env:
                driven = execute(env, self.parts.scenario, routes, self.parts.settings.seed)
            self._state["best"] = Best(routes, driven)

    def close(self) -> None:
        self.parts.close()
