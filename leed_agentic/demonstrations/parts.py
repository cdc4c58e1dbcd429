"""The opened parts that the graph's nodes work with: streets, prompts, the caller of the model, the simulation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leed_agentic.demonstrations.coordination import COORDINATES, FleetInTraffic, objective_of
from leed_agentic.demonstrations.feedback import feedbacks
from leed_agentic.demonstrations.planning import Planner, PlanRequest, planner_of
from leed_agentic.demonstrations.progress import Progress
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import resolved, settings_for_run
from leed_agentic.demonstrations.rules import Rules, read_rules
from leed_agentic.demonstrations.state import Context
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.providers import STAND_IN
from leed_agentic.models.recording import ReplyCache
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.setting_groups import ModelSettings
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.environment import RouteEnv
from leed_agentic.traffic.scenario import Scenario

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MOST_RUNS = 16
"""Whose parts are kept open at a time; an older one that goes on after all opens them again."""
NAMES = {
    "map": "map.name",
    "agents": "scenario.agents",
    "model": "model.name",
    "planning": "demonstration.planning",
    "rounds": "demonstration.rounds",
    "seed": "seed",
}
"""What the graph's input calls a setting, and the setting."""

_runs: dict[str, Parts] = {}
_lock = threading.Lock()
# libsumo holds one simulation per process: runs in threads of one server take turns.
_one_simulation = threading.Lock()


@dataclass
class Parts:
    """What a run works with. Made by `open_parts`; who opens it closes it."""

    settings: Settings
    network: RoadNetwork
    scenario: Scenario
    prompts: PromptSet
    planner: Planner
    caller: ModelCaller
    env: RouteEnv | None = None
    """Held open for the whole run where the process is the run's own; else opened for each drive."""
    folder: Path | None = None
    """Of the run; None: nothing is written."""
    rules: Rules | None = None
    """A person's, checked on this scenario; they are in force from before the first plan."""
    progress: Callable[..., Any] = field(default=lambda line, done=None, of=None: None)
    """Called as `Progress`."""
    _closing: ExitStack = field(default_factory=ExitStack, repr=False)
    _fleet: list[FleetInTraffic] = field(default_factory=list, repr=False)
    """The fleet in traffic, once it was asked for; copies of these parts share it."""

    @contextmanager
    def simulation(self) -> Iterator[RouteEnv]:
        """The environment to drive in."""
        if self.env is not None:
            yield self.env
            return
        with _one_simulation:
            env = RouteEnv(self.network, self.scenario, self.settings.environment)
            try:
                yield env
            finally:
                env.close()

    @property
    def fleet(self) -> FleetInTraffic | None:
        """Coordinates the agents in traffic; None where a plan is judged by its rewards alone."""
        settings = self.settings
        coordinates = settings.demonstration.planning in COORDINATES or self.rules is not None
        if objective_of(settings, self.scenario) == "reward" and not coordinates:
            return None
        if not self._fleet:
            with self.simulation() as env:
                given = self.scenario, settings.demonstration, settings.seed, self.rules
                made = FleetInTraffic(env, *given, progress=lambda line: self.progress(line))
            self._closing.callback(made.close)
            self._fleet.append(made)
        return self._fleet[0]

    def check_rules(self) -> None:
        """Find out whether the streets allow what the rules ask for; nothing is driven.

        Raises:
            UsageError: a rule leaves an agent no way, or no time.
        """
        if self.rules is not None:
            # Its limits are found when it is made.
            _ = self.fleet

    def request(self, agents: list[int], remarks: Mapping[int, str], memory: Mapping[str, Any]) -> PlanRequest:
        """What the planner gets to work with."""
        settings = self.settings.demonstration
        parts = self.caller, self.prompts, self.network, self.scenario, settings
        traffic = self.fleet if settings.planning in COORDINATES else None
        return PlanRequest(*parts, agents, remarks, memory, self.progress, traffic)

    def close(self) -> None:
        self._closing.close()


def made_with(settings: Settings, scenario: Scenario) -> dict[str, Any]:
    """What a record of calls says of itself: the scenario, and the settings that decide which questions are asked."""
    groups = {"seed", "map", "scenario", "environment", "demonstration"}
    return {"scenario": scenario.to_json(), "settings": settings.model_dump(mode="json", include=groups)}


def open_parts(
    settings: Settings,
    network: RoadNetwork | None = None,
    scenario: Scenario | None = None,
    *,
    folder: Path | Callable[[], Path] | None = None,
    model: BaseChatModel | None = None,
    caller: ModelCaller | None = None,
    env: RouteEnv | None = None,
    drives: bool = True,
    progress: Callable[[str], Any] = lambda line: None,
) -> Parts:
    """The parts for these settings. What cannot work is found before anything is written.

    Args:
        folder: where calls.jsonl and the prompts go, or what makes it once all but the model is known to work.
        model: a chat model to ask in place of the one that the settings name.
        caller: asks the model; it stays open when the parts are closed. One of the settings' model when None.
        env: to drive in; it stays open likewise.
        drives: whether to hold a simulation open for the whole run where no `env` is given.

    Raises:
        UsageError: a wrong setting, name, map, model, key, recording, prompt or folder.
        UnavailableError: SUMO or the model cannot be used.
    """
    if not settings.demonstration.planning:
        settings = resolved(settings, replayed=model is None, scenario=scenario)
    demonstration = settings.demonstration
    # Small and quick first: a slip in a name is told before a map is opened.
    feedbacks.get(demonstration.feedback)
    planner = planner_of(demonstration.planning or "fleet")
    prompts = PromptSet.load(demonstration.prompts)
    network = network or open_map(settings.map.name, settings.map)
    scenario = scenario or scenario_for(network, settings)
    check_budget(settings, prompts, network, scenario)
    rules = Rules(read_rules(demonstration.rules).rules, network, scenario) if demonstration.rules else None
    with ExitStack() as closing:
        made = folder() if callable(folder) else folder
        if caller is None:
            calls = made / "calls.jsonl" if made else None
            # What a run that was stopped has asked is on its record.
            cache = ReplyCache(calls) if calls else None
            caller = ModelCaller(settings.model, calls, made_with(settings, scenario), cache, model)
            closing.callback(caller.close)
        if env is None and drives:
            # Last: an error in the others then leaves no simulation open.
            env = RouteEnv(network, scenario, settings.environment)
            closing.callback(env.close)
        if made:
            prompts.save(made, demonstration.planning)
        kept = closing.pop_all()
    told = Progress(progress, caller)
    return Parts(settings, network, scenario, prompts, planner, caller, env, made, rules, told, kept)


def unasked(settings: Settings, prompts: PromptSet, network: RoadNetwork, scenario: Scenario) -> PlanRequest:
    """A request for the whole fleet that nobody answers, for prompts that are only looked at."""
    model = ModelSettings(name=STAND_IN, max_output_tokens=settings.model.max_output_tokens)
    agents = [trip.agent for trip in scenario.agents]
    return PlanRequest(ModelCaller(model, None, {}), prompts, network, scenario, settings.demonstration, agents)


def check_budget(settings: Settings, prompts: PromptSet, network: RoadNetwork, scenario: Scenario) -> None:
    """Raises UsageError when there is no such planner, or an agent's first prompt alone is above the token budget."""
    planner = planner_of(settings.demonstration.planning or "fleet")
    request = unasked(settings, prompts, network, scenario)
    needed = [
        (prompt_tokens(messages), agent)
        for agent in request.agents
        for messages in planner.first_questions(replace(request, agents=[agent])).values()
    ]
    tokens, agent = max(needed, default=(0, 0))
    if tokens > request.settings.prompt_tokens:
        raise UsageError(
            f"The prompt for agent {agent} alone needs about {tokens} tokens, more than demonstration.prompt_tokens="
            f"{request.settings.prompt_tokens}; raise that, or lower demonstration.corridor_paths or corridor_slack."
        )


# -- the parts of a run of somebody else's application -----------------------------------------------------------------
def settings_of_input(context: Context, given: Mapping[str, Any]) -> Settings:
    """The context's settings with what the input names.

    Raises:
        UsageError: a value out of range, or the dotted path of code, which only settings may name.
    """
    changes = {NAMES[name]: value for name, value in given.items() if value is not None}
    base = settings_for_run() if context.settings is None else context.settings
    settings = base.changed(changes) if changes else base
    if code := [name for name in settings.code() if name not in base.code()]:
        raise UsageError(f"The input names code to run ({'='.join(code[0])}); name it in the context's settings.")
    return resolved(settings)


def opened(run: str, given: Mapping[str, Any], context: Context, history: Sequence[Round] = ()) -> Parts:
    """The parts of a run: the context's, those open in this process, or opened now.

    Args:
        history: of a run that goes on from a checkpoint; what it has asked counts towards the caps.
    """
    if context.parts is not None:
        return context.parts
    with _lock:
        known = _runs.get(run)
    if known is not None:
        return known
    model = context.model if given.get("model") is None else None
    parts = open_parts(settings_of_input(context, given), model=model, drives=False)
    usage = parts.caller.usage
    for record in history:
        usage.calls += record.calls
        usage.input_tokens += record.input_tokens
        usage.output_tokens += record.output_tokens
        usage.counted_input += record.input_tokens
        usage.counted_output += record.output_tokens
    with _lock:
        _runs[run] = parts
        oldest = next(iter(_runs)) if len(_runs) > MOST_RUNS else None
    if oldest is not None:
        closed(oldest)
    return parts


def closed(run: str) -> None:
    """Close what the graph itself has opened for a run."""
    with _lock:
        parts = _runs.pop(run, None)
    if parts is not None:
        parts.close()
