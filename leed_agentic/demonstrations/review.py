"""A person who is asked before routes are driven: what they are shown, what they may decide, and what comes of it.

An edited route is validated like any other, and a remark is data in the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from leed_agentic.credentials import without_keys
from leed_agentic.demonstrations.parts import Parts
from leed_agentic.demonstrations.state import Best, State
from leed_agentic.demonstrations.validate import route_findings, trimmed
from leed_agentic.runs.files import unwritable

Next = Literal["execute", "plan", "review", "finish"]
REVIEW = "review.jsonl"
LONGEST_REMARK = 500
QUIT = "a person ended the review"


@dataclass(frozen=True)
class Proposal:
    """The routes that are about to be driven."""

    round: int
    routes: dict[int, list[str]]
    """The valid route of each agent that has one, as edge ids."""
    findings: dict[int, str]
    """What is wrong with the last reply, by agent; an agent may still have an older valid route."""
    notes: list[str]
    """Sentences about the whole: why the last decision was refused, what else was wrong with the reply."""


@dataclass(frozen=True)
class Decision:
    """A person's answer to a proposal."""

    action: Literal["accept", "edit", "remark", "quit"]
    agents: list[int] = field(default_factory=list)
    """edit: the one agent whose route is given; remark: whom it is about, everybody when empty."""
    route: list[str] = field(default_factory=list)
    """edit: edge ids from the agent's start edge to an edge that ends at its destination."""
    text: str = ""
    """remark: the person's words."""


_DECISION = TypeAdapter(Decision)


def propose(state: State) -> Proposal:
    """What the person is shown. Without side effects: LangGraph runs this again when the decision comes."""
    validation, routes, asked = state["validation"], state["routes"], state["asked"]
    assert validation is not None  # noqa: S101 - the review comes after it
    findings = {a: text for a, text in validation.remarks().items() if a in asked or a not in routes}
    notes = [finding.message for finding in validation.findings if finding.agent is None]
    notes += [text for text in (state.get("stopped"), state.get("refused")) if text]
    return Proposal(state["round"], routes, findings, notes)


def decide(parts: Parts, state: State, answer: Any) -> tuple[State, Next]:
    """The change of state and the next node. A decision that cannot be followed leads back to the person.

    Args:
        answer: a `Decision`, or a mapping of its fields, as it comes over HTTP.

    Raises:
        UnwritableError: the decision cannot be put on record.
    """
    try:
        decision = _DECISION.validate_python(answer)
    except ValidationError as error:
        return {
            "refused": f"That is no decision ({error.errors()[0]['msg']}); give action, agents, route, text."
        }, "review"
    refused = _refusal(parts, decision)
    if parts.folder:
        # On disk before anything comes of it.
        _note(parts.folder / REVIEW, {"round": state["round"], **asdict(decision), "refused": refused})
    if refused is not None:
        return {"refused": refused}, "review"
    if decision.action == "edit":
        return _edit(parts, state, decision), "review"
    # What a person has seen goes before an older set that was not driven either.
    kept: State = {"best": _kept(state, state["routes"]), "refused": None}
    if decision.action == "remark":
        return {**kept, **_remark(state, decision)}, "plan"
    if decision.action == "quit":
        return {**kept, "stopped": QUIT}, "finish"
    return kept, "execute" if state["routes"] else "finish"


def edited_in(edited: Mapping[int, list[str]], routes: Mapping[int, list[str]]) -> list[int]:
    """Agents whose route in this set is the one that a person gave."""
    return sorted(agent for agent, route in edited.items() if routes.get(agent) == route)


def quoted(text: str) -> str:
    """A person's words as one JSON string: what is inside the quotation marks cannot end them or begin a new line."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return json.dumps(" ".join(plain.split()), ensure_ascii=False)


def _note(file: Path, row: Mapping[str, Any]) -> None:
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(without_keys(json.dumps(row, ensure_ascii=False)) + "\n")
    except OSError as error:
        raise unwritable(file, error) from error


def _refusal(parts: Parts, decision: Decision) -> str | None:
    """Why a decision cannot be followed, in one line; None when it can."""
    trips = parts.scenario.agents
    for agent in decision.agents:
        if not 0 <= agent < len(trips):
            return f"There is no agent {agent}; agents are 0 to {len(trips) - 1}."
    if decision.action == "edit":
        if len(decision.agents) != 1:
            return "An edit is of one agent's route; name that agent."
        trip = trips[decision.agents[0]]
        found = route_findings(parts.network, trip, decision.route, parts.settings.demonstration.max_route_edges)
        return " ".join(finding.message for finding in found) or None
    if decision.action == "remark":
        if not decision.text.strip():
            return "The remark is empty; say what the model should do otherwise."
        if len(decision.text) > LONGEST_REMARK:
            return f"A remark has at most {LONGEST_REMARK} characters, this one has {len(decision.text)}; shorten it."
    return None


def _edit(parts: Parts, state: State, decision: Decision) -> State:
    agent = decision.agents[0]
    route = trimmed(parts.network, parts.scenario.agents[agent], decision.route)
    routes, checked = {**state["routes"], agent: route}, state["validation"]
    assert checked is not None  # noqa: S101 - the review comes after it
    return {
        "routes": routes,
        "best": _kept(state, routes),
        "edited": {**state["edited"], agent: route},
        "validation": replace(checked, valid={**checked.valid, agent: route}),
        "refused": None,
    }


def _remark(state: State, decision: Decision) -> State:
    agents = decision.agents or state["fleet"]
    found = propose(state).findings
    said = f"A person who looked at the routes remarks: {quoted(decision.text)}"
    remarks = {agent: f"{found.get(agent, f'Agent {agent}:')} {said}" for agent in agents}
    return {"round": state["round"] + 1, "asked": agents, "remarks": remarks}


def _kept(state: State, routes: dict[int, list[str]]) -> Best:
    best = state["best"]
    return Best(routes) if best.episode is None or len(routes) > len(best.routes) else best
