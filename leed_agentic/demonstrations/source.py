"""What a trainer asks the graph: new demonstrations for its scenario, given how the agents drive by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.critique import Critique
from leed_agentic.demonstrations.feedback import feedbacks
from leed_agentic.demonstrations.generate import recorded_settings
from leed_agentic.demonstrations.graph import run_graph
from leed_agentic.demonstrations.junction import JunctionMemory
from leed_agentic.demonstrations.plan import Memory, check_budget
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.state import Best, State, Workshop
from leed_agentic.demonstrations.stationarity import Stationarity
from leed_agentic.errors import LeedError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.settings import Settings
from leed_agentic.traffic.demonstration import DemonstrationSet, Round
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.trajectory import Episode, Trajectory
from leed_agentic.versions import package_versions


class GraphSource:
    """Demonstrations from the graph. Its memory goes on from trigger to trigger: d <- d with {tau^a, tau^e}.

    Raises:
        UsageError: the settings name no usable model, key, recording, prompt folder or feedback strategy.
    """

    name = "graph"

    def __init__(
        self,
        settings: Settings,
        env: RouteEnv,
        folder: Path | None = None,
        progress: Callable[[str], Any] = lambda line: None,
    ) -> None:
        self.settings = settings
        self.folder = folder
        # Before the model's record is opened: a wrong prompt folder or name leaves nothing behind.
        feedbacks.get(settings.demonstration.feedback)
        prompts = PromptSet.load(settings.demonstration.prompts)
        check_budget(prompts, env.network, env.scenario, settings.demonstration)
        made_with = {"scenario": env.scenario.to_json(), "settings": recorded_settings(settings)}
        calls = folder / "calls.jsonl" if folder else None
        self.caller = ModelCaller(settings.model, calls, made_with)
        if folder:
            prompts.save(folder, settings.demonstration.planning)
        self.triggers = 0
        self.shop = Workshop(
            network=env.network,
            scenario=env.scenario,
            env=env,
            caller=self.caller,
            prompts=prompts,
            settings=settings.demonstration,
            seed=settings.seed,
            progress=progress,
            stationarity=Stationarity(),
        )

    def learned(self, rewards: Mapping[int, float], divergences: Mapping[int, float]) -> None:
        """Told by the trainer after every update: what each agent earned, and how far its policy moved (KL)."""
        if self.shop.stationarity is not None:
            self.shop.stationarity.add(rewards, divergences)

    def demonstrations(
        self, episode: int, agents_trajectories: Mapping[int, Trajectory] | None, env: RouteEnv
    ) -> Mapping[int, Trajectory]:
        """The expert trajectories tau^e after one more run of the graph; agents without a valid route are absent.

        Raises:
            LeedError: the model gave no valid route at all, or cannot be used; the memory is kept.
        """
        shop = self.shop
        shop.own = agents_trajectories
        shop.rounds = []
        state: State = {}
        if shop.best.episode is not None:
            # Goes on from the routes it has: they are judged against how the agents drive now.
            state = {"round": 0, "routes": shop.best.routes, "episode": shop.best.episode, "stopped": None}
        run_graph(shop, state)
        self.triggers += 1
        if shop.best.episode is None:
            raise LeedError(f"The model gave no valid route in {len(shop.rounds)} rounds.")
        shop.stationarity = Stationarity()
        self._save(episode)
        return shop.best.episode.trajectories

    @property
    def usage(self) -> dict[str, float]:
        """Counts so far: triggers, calls, tokens and seconds of the model."""
        spent = self.caller.usage
        return {
            "triggers": self.triggers,
            "calls": spent.calls,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "seconds": spent.seconds,
        }

    def report(self) -> dict[str, Any]:
        """Of the last trigger: the share of asked-for routes that were valid and the number of plans; and how much the
        memory holds by now, in turns of conversations and streets not to be offered again."""
        rounds, memory = self.shop.rounds, self.shop.memory
        asked = sum(len(r.asked) for r in rounds)
        valid = sum(r.validity_reply * len(r.asked) for r in rounds)
        turns = sum(len(turns) for turns in memory.conversations.values())
        return {
            "rounds": len(rounds),
            "validity": round(valid / asked, 4) if asked else "",
            "memory": turns + sum(len(walked.blocked) for walked in memory.junctions.values()),
        }

    def state(self) -> dict[str, Any]:
        """The refinement memory as JSON, for checkpoints. It holds prompts and routes, never keys."""
        memory = self.shop.memory
        return {
            "triggers": self.triggers,
            "routes": {str(agent): list(route) for agent, route in self.shop.best.routes.items()},
            "conversations": memory.conversations,
            "junctions": {
                str(agent): {"last": walked.last, "blocked": sorted(walked.blocked)}
                for agent, walked in memory.junctions.items()
            },
            "stationarity": self.shop.stationarity.to_json() if self.shop.stationarity else {},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up the memory of a checkpoint; the routes are driven again to have their trajectories."""
        from leed_agentic.demonstrations.execute import execute

        self.triggers = int(state["triggers"])
        junctions = {
            int(agent): JunctionMemory(list(walked["last"]), set(walked["blocked"]))
            for agent, walked in state["junctions"].items()
        }
        self.shop.memory = Memory({topic: list(turns) for topic, turns in state["conversations"].items()}, junctions)
        # Checkpoints of before it was kept lack it.
        self.shop.stationarity = Stationarity.from_json(state.get("stationarity", {}))
        routes = {int(agent): list(route) for agent, route in state["routes"].items()}
        if routes:
            episode: Episode = execute(self.shop.env, self.shop.scenario, routes, self.shop.seed)
            self.shop.best = Best(routes, episode)

    @property
    def rounds(self) -> list[Round]:
        """The rounds of the last trigger."""
        return self.shop.rounds

    @property
    def critique(self) -> Critique | None:
        """How the demonstrations compare with the agents' own driving, as of the last trigger."""
        return self.shop.best.critique

    def close(self) -> None:
        self.caller.close()

    def _save(self, episode: int) -> None:
        if self.folder is None:
            return
        provenance = {
            "model": self.caller.label,
            "episode": episode,
            "prompts": self.shop.prompts.hashes,
            "versions": package_versions(),
        }
        made = DemonstrationSet(self.shop.scenario, self.shop.best.routes, self.shop.rounds, provenance)
        made.save(self.folder / "demonstrations" / f"episode_{episode:05d}.json")
