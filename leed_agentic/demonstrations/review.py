"""What comes of a person's decision: an edited route is validated like any other, a remark is data in the prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

from leed_agentic.demonstrations.decision import Decision, Proposal
from leed_agentic.demonstrations.state import Best, State, Workshop
from leed_agentic.demonstrations.validate import Validation, route_findings, trimmed

Next = Literal["execute", "plan", "review", "__end__"]
LONGEST_REMARK = 500
QUIT = "a person ended the review"


def propose(state: State) -> Proposal:
    """What the person is shown. Without side effects: LangGraph runs this again when the decision comes."""
    validation: Validation = state["validation"]
    routes, asked = state["routes"], state["asked"]
    findings = {a: text for a, text in validation.remarks().items() if a in asked or a not in routes}
    notes = [finding.message for finding in validation.findings if finding.agent is None]
    notes += [text for text in (state.get("stopped"), state.get("refused")) if text]
    return Proposal(state["round"], routes, findings, notes)


def decide(shop: Workshop, state: State, decision: Decision) -> tuple[State, Next]:
    """The change of state and the next node. A decision that cannot be followed leads back to the person."""
    refused = _refusal(shop, decision)
    if shop.review is not None:
        shop.review.add(state["round"], decision, refused)
    if refused is not None:
        return {"refused": refused}, "review"
    if decision.action == "edit":
        return _edit(shop, state, decision), "review"
    # What a person has seen goes before an older set that was not driven either.
    _keep(shop, state["routes"])
    if decision.action == "remark":
        return _remark(shop, state, decision), "plan"
    if decision.action == "quit":
        return {"stopped": QUIT, "refused": None}, "__end__"
    return {"refused": None}, "execute" if state["routes"] else "__end__"


def _refusal(shop: Workshop, decision: Decision) -> str | None:
    """Why a decision cannot be followed, in one line; None when it can."""
    trips = shop.scenario.agents
    for agent in decision.agents:
        if not 0 <= agent < len(trips):
            return f"There is no agent {agent}; agents are 0 to {len(trips) - 1}."
    if decision.action == "edit":
        trip = trips[decision.agents[0]]
        found = route_findings(shop.network, trip, decision.route, shop.settings.max_route_edges)
        return " ".join(finding.message for finding in found) or None
    if decision.action == "remark":
        if not decision.text.strip():
            return "The remark is empty; say what the model should do otherwise."
        if len(decision.text) > LONGEST_REMARK:
            return f"A remark has at most {LONGEST_REMARK} characters, this one has {len(decision.text)}; shorten it."
    return None


def _edit(shop: Workshop, state: State, decision: Decision) -> State:
    agent = decision.agents[0]
    route = trimmed(shop.network, shop.scenario.agents[agent], decision.route)
    routes = {**state["routes"], agent: route}
    if shop.review is not None:
        shop.review.edited[agent] = route
    _keep(shop, routes)
    checked = state["validation"]
    return {"routes": routes, "validation": replace(checked, valid={**checked.valid, agent: route}), "refused": None}


def _remark(shop: Workshop, state: State, decision: Decision) -> State:
    agents = decision.agents or [trip.agent for trip in shop.scenario.agents]
    found = propose(state).findings
    said = quoted(decision.text)
    remarks = {
        agent: " ".join([found.get(agent, f"Agent {agent}:"), f"A person who looked at the routes remarks: {said}"])
        for agent in agents
    }
    return {"round": state["round"] + 1, "asked": agents, "remarks": remarks, "refused": None}


def quoted(text: str) -> str:
    """A person's words as one JSON string: what is inside the quotation marks cannot end them or begin a new line."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return json.dumps(" ".join(plain.split()), ensure_ascii=False)


def _keep(shop: Workshop, routes: dict[int, list[str]]) -> None:
    if shop.best.episode is None or len(routes) > len(shop.best.routes):
        shop.best = Best(routes)
