"""State passes from node to node, Input and Output are what a caller gives and gets, Context does not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from langgraph.channels import EphemeralValue
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, SkipValidation
from pydantic.dataclasses import dataclass as checked_dataclass
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from leed_agentic.demonstrations.critique import Critique
from leed_agentic.demonstrations.planning import Planned
from leed_agentic.demonstrations.validate import Validation
from leed_agentic.settings import Settings
from leed_agentic.traffic.demonstration import Round
from leed_agentic.traffic.trajectory import Episode


class _Driven:
    """An episode's place in a JSON schema; its arrays have none of their own."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        trajectory = "Observations, masks, actions, rewards, times, route and positions of one agent."
        trajectories = {"type": "object", "additionalProperties": {"type": "object", "description": trajectory}}
        return {"type": ["object", "null"], "title": "Episode", "properties": {"trajectories": trajectories}}


Drive = Annotated[Episode, _Driven()]


@dataclass(frozen=True)
class Best:
    """The best validated set so far."""

    routes: dict[int, list[str]] = field(default_factory=dict)
    episode: Annotated[Episode | None, _Driven()] = None
    critique: Critique | None = None

    @property
    def rank(self) -> tuple[int, float]:
        """More agents with a valid route first, then a larger mean reward."""
        return len(self.routes), self.episode.mean_reward if self.episode else float("-inf")


def with_round(history: list[Round], more: list[Round]) -> list[Round]:
    """The records with some added; one of a round that is there already takes its place."""
    numbers = {record.round for record in more}
    return [record for record in history if record.round not in numbers] + more


# What is given lasts for one step: a later run in the same thread of a checkpointer begins with none of it.
class Input(TypedDict, total=False):
    """What to plan for; what is left out comes from the context's settings, else from the LEED_ variables."""

    map: Annotated[str, EphemeralValue(str), Field(description="A named map, a .net.xml or an .osm file.")]
    agents: Annotated[int, EphemeralValue(int), Field(ge=1, description="Number of agents.")]
    model: Annotated[str, EphemeralValue(str), Field(description="provider:name, replay or stand-in.")]
    planning: Annotated[
        str, EphemeralValue(str), Field(description="fleet, agent, junction, alternatives, instructions, tools.")
    ]
    rounds: Annotated[int, EphemeralValue(int), Field(ge=0, le=100, description="Refinements after the first plan.")]
    seed: Annotated[int, EphemeralValue(int), Field(ge=0, description="Seed of the scenario.")]


class Output(TypedDict, total=False):
    """What came of it: plain JSON, routes by the agent's number."""

    routes: dict[int, list[str]]
    """Valid routes as edge ids, one per agent at most."""
    summary: dict[str, Any]
    """Validity, mean reward, arrival rate, calls and tokens of the run."""
    stopped: str | None
    """Why no further call may be made: a cap was reached."""


class State(Input, Output, total=False):
    """The graph's state. It never holds keys or clients: LangGraph writes state to traces and checkpoints in clear."""

    run: str
    """Under which the run's parts are open in this process."""
    given: dict[str, Any]
    """The input, as `Input` names it."""
    fleet: list[int]
    """All agents of the scenario."""
    refinements: int
    """How many there may be after the first plan."""
    reviewed: bool
    """Whether a person is asked before routes are driven."""
    round: int
    asked: list[int]
    """Agents to plan for in this round."""
    remarks: dict[int, str]
    """What the model is told about each agent's last route."""
    planned: Planned | None
    validation: Validation | None
    episode: Drive | None
    """The last drive of the kept routes (tau^e)."""
    critique: Critique | None
    best: Best
    history: Annotated[list[Round], with_round]
    """One record per plan."""
    memory: dict[str, Any]
    """What the planner remembers."""
    alone: dict[int, float]
    """Seconds of each agent's fastest path driven alone; in traffic, those that are expected of it."""
    traffic: dict[str, Any]
    """What the drives in traffic came to: objective, mean seconds, baselines (`FleetInTraffic.figures`); else empty."""
    edited: dict[int, list[str]]
    """The last legal route that a person gave each agent."""
    refused: str | None
    """Why a person's last decision could not be followed; the person is told and asked again."""


@checked_dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True, extra="forbid"))
class Context:
    """What does not change in a run. LangGraph never writes it anywhere, so it may hold clients.

    Only `settings` and `review` can come from outside Python.
    """

    settings: Settings | None = None
    """Every setting of the product; those of the LEED_ variables when None."""
    review: bool = False
    """Whether the graph stops (LangGraph's interrupt) for a person's decision before routes are driven."""
    model: SkipJsonSchema[SkipValidation[Any]] = None
    """A LangChain chat model (BaseChatModel) to ask in place of the one that the settings name."""
    trajectories: SkipJsonSchema[SkipValidation[Any]] = None
    """The agents' own latest trajectories (tau^a) by agent, when there are any."""
    stationarity: SkipJsonSchema[SkipValidation[Any]] = None
    """How steadily they learned since the last question (`Stationarity`); None where no trainer asks."""
    earlier: SkipJsonSchema[SkipValidation[Any]] = None
    """The state of an earlier run to go on from (see `again` and `onwards`)."""
    parts: SkipJsonSchema[SkipValidation[Any]] = None
    """Opened parts (`Parts`), closed by whoever opened them; the graph opens and closes its own when None."""


RESULTS: State = {
    "round": 0,
    "asked": [],
    "remarks": {},
    "planned": None,
    "validation": None,
    "routes": {},
    "episode": None,
    "critique": None,
    "best": Best(),
    "memory": {},
    "alone": {},
    "traffic": {},
    "edited": {},
    "summary": {},
    "stopped": None,
    "refused": None,
}
"""Every result as it is before anything happened."""


def again(state: State) -> State:
    """To be asked anew, with what was learned: the best routes are judged against how the agents drive now."""
    best = state.get("best", Best())
    kept: State = {"best": best, "memory": state.get("memory", {}), "alone": state.get("alone", {})}
    return {**kept, "routes": best.routes, "episode": best.episode} if best.episode is not None else kept


def onwards(state: State) -> State:
    """To go on where a run ended: a whole set is judged anew; of an incomplete one the model hears what is invalid."""
    best, fleet = state.get("best", Best()), state.get("fleet", [])
    whole = best.episode is not None and len(best.routes) == len(fleet)
    return {**state, "routes": best.routes, "episode": best.episode if whole else None, "critique": None}


def results_of(state: Mapping[str, Any]) -> State:
    """The results in a state, and what they were before anything happened where it has none."""
    return State(**{**RESULTS, **{name: state[name] for name in RESULTS if name in state}})  # type: ignore[typeddict-item]
