"""The nodes of the demonstration graph, and where each leads.

A node is a function from state, context and parts to the change of state; what it finds out, it returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Literal, cast

from langgraph.config import get_stream_writer
from langgraph.types import Command, Overwrite, interrupt

from leed_agentic.demonstrations.coordination import FleetInTraffic, objective_of
from leed_agentic.demonstrations.critique import Critique
from leed_agentic.demonstrations.critique import critique as judge
from leed_agentic.demonstrations.execute import execute as drive_routes
from leed_agentic.demonstrations.execute import fastest_alone
from leed_agentic.demonstrations.feedback import Assessment, remarks_of
from leed_agentic.demonstrations.parts import Parts
from leed_agentic.demonstrations.planning import Planned, planned_by
from leed_agentic.demonstrations.review import Next, decide, propose
from leed_agentic.demonstrations.state import Best, Context, State, results_of
from leed_agentic.demonstrations.validate import Finding, Validation
from leed_agentic.demonstrations.validate import validate as validate_routes
from leed_agentic.models.reply import shortened
from leed_agentic.traffic.demonstration import FindingRecord, Round
from leed_agentic.traffic.trajectory import Episode


# -- nodes -------------------------------------------------------------------------------------------------------------
def begin(state: State, context: Context, parts: Parts) -> State:
    """Every result as it is before anything happened, or as an earlier run left it."""
    earlier = cast(State, context.earlier or {})
    return {
        **results_of(earlier),
        "history": cast(Any, Overwrite(list(earlier.get("history", [])))),
        "fleet": [trip.agent for trip in parts.scenario.agents],
        "refinements": parts.settings.demonstration.rounds,
        "reviewed": context.review,
    }


def plan(state: State, context: Context, parts: Parts) -> State:
    """Ask the model for routes; a cap that is reached ends the run with what there is."""
    number, asked = state["round"], state["asked"] or state["fleet"]
    tell(parts, "plan", f"round {number}: planning routes for {len(asked)} agents", round=number, agents=asked)
    before, started = _counts(parts), time.perf_counter()
    planned = planned_by(parts.planner, parts.request(asked, state["remarks"], state["memory"]))
    calls, read, written = (now - then for now, then in zip(_counts(parts), before, strict=True))
    record = Round(number, asked, 0.0, 0.0, calls=calls, input_tokens=read, output_tokens=written)
    record.seconds = round(time.perf_counter() - started, 3)
    return {
        "asked": asked,
        "planned": planned,
        "memory": planned.memory,
        "stopped": planned.stopped,
        "critique": None,
        "history": [record],
    }


def validate(state: State, context: Context, parts: Parts) -> State:
    """Check the reply edge by edge and keep what is valid; an agent's older valid route outlives a bad new one."""
    planned, asked, fleet = cast(Planned, state["planned"]), state["asked"], state["fleet"]
    most_edges = parts.settings.demonstration.max_route_edges
    found = _by_the_rules(
        parts, validate_routes(parts.network, parts.scenario, planned.routes, planned.problems, most_edges)
    )
    routes = {**state["routes"], **found.valid}
    record = replace(
        state["history"][-1],
        validity_reply=sum(agent in found.valid for agent in asked) / len(asked),
        validity=len(routes) / len(fleet),
        findings=[cast(FindingRecord, asdict(f)) for f in found.findings if f.agent is None or f.agent in asked],
        routes={agent: list(route) for agent, route in planned.routes.items() if agent in asked},
    )
    best = Best(routes) if len(routes) > len(state["best"].routes) else state["best"]
    said = f"round {state['round']}: {len(routes)} of {len(fleet)} routes valid"
    if record.findings:
        said += f"; last finding: {shortened(record.findings[-1]['message'])}"
    tell(parts, "valid", said, round=state["round"], valid=len(routes), agents=len(fleet))
    return {"validation": found, "routes": routes, "best": best, "history": [record]}


def _by_the_rules(parts: Parts, found: Validation) -> Validation:
    """Routes that break a rule are no valid ones."""
    broken = parts.fleet.broken_by(found.valid) if parts.rules is not None and parts.fleet is not None else []
    if not broken:
        return found
    agents = {one.agent for one in broken}
    findings = [Finding(one.agent, "rule", one.message) for one in broken]
    kept = {agent: route for agent, route in found.valid.items() if agent not in agents}
    return replace(found, valid=kept, findings=[*found.findings, *findings])


def review(state: State, context: Context, parts: Parts) -> Command[Next]:
    """Wait for a person's decision before anything is driven."""
    # LangGraph runs the node from its start again when the decision comes, so nothing is written above this line.
    decision = interrupt(propose(state))
    update, following = decide(parts, state, decision)
    return Command(update=update, goto=following)


def execute(state: State, context: Context, parts: Parts) -> State:
    """Drive the kept routes in SUMO."""
    routes, fleet = state["routes"], parts.fleet
    tell(parts, "drive", f"round {state['round']}: driving {len(routes)} routes in SUMO", routes=len(routes))
    if fleet is not None and len(routes) == len(state["fleet"]):
        return _drive_in_traffic(state, parts, fleet)
    with parts.simulation() as env:
        return {"episode": drive_routes(env, parts.scenario, routes, parts.settings.seed)}


def _drive_in_traffic(state: State, parts: Parts, fleet: FleetInTraffic) -> State:
    """The plan among its baselines and those before it, in plain SUMO; what is best then is driven once more, for its
    trajectories, where it is not the set that was best before."""
    planned, best = state["planned"], state["best"]
    problems = planned.problems if planned is not None else []
    unread = sum(problem.kind == "unreadable" for problem in problems)
    one = fleet.attempt(state["routes"], f"round {state['round']}", unread)
    by_reward = objective_of(parts.settings, parts.scenario) == "reward"
    routes = state["routes"] if by_reward else fleet.routes()
    episode = best.episode if best.routes == routes else None
    if episode is None:
        with parts.simulation() as env:
            episode = drive_routes(env, parts.scenario, routes, parts.settings.seed)
    figures = fleet.figures()
    seen = one or fleet.best
    said: dict[str, Any] = {
        "fleet_time": round(seen.fleet, 2),
        "others_time": seen.others,
        "moved": one.moved if one else 0,
        "unread": unread,
    }
    tell(parts, "traffic", f"{seen.fleet:.1f} s an agent, best {figures['fleet_time']:.1f} s", **said)
    records = state["history"][-1:] if planned is not None else []
    history = [replace(record, **said, kept=one is None or one.best) for record in records]
    return {"episode": episode, "routes": routes, "traffic": figures, "history": history}


def critique(state: State, context: Context, parts: Parts) -> State:
    """Judge the drive against the agents' own trajectories, or on its own where there are none; the better of this set
    and the best so far stays."""
    episode, alone = cast(Episode, state["episode"]), state["alone"]
    fleet = parts.fleet if len(episode.trajectories) == len(state["fleet"]) else None
    if fleet is not None:
        return _criticise_in_traffic(state, context, parts, fleet)
    if unmeasured := [agent for agent in episode.trajectories if agent not in alone]:
        with parts.simulation() as env:
            alone = {**alone, **fastest_alone(env, parts.scenario, unmeasured)}
    judged = judge(parts.network, episode, alone, parts.settings.demonstration.accept_ratio, context.trajectories)
    said = f"mean reward {episode.mean_reward:.1f}, {episode.arrival_rate:.0%} arrived"
    tell(parts, "driven", said, reward_mean=episode.mean_reward, arrival_rate=episode.arrival_rate)
    return _judged(state, judged, alone, by_reward=True)


def _criticise_in_traffic(state: State, context: Context, parts: Parts, fleet: FleetInTraffic) -> State:
    """Those with most to gain in the traffic that was driven are worth planning again."""
    # Training goes on from a checkpoint: its fleet was not driven in this process.
    driven = state if fleet.begun else {**state, **_drive_in_traffic({**state, "planned": None}, parts, fleet)}
    episode, alone = cast(Episode, driven["episode"]), driven["alone"] or fleet.alone()
    judged = judge(parts.network, episode, alone, parts.settings.demonstration.accept_ratio, context.trajectories)
    # Where nobody moved, the next question would be the last one again.
    planned = state["planned"]
    idle = planned is not None and not planned.news and state["round"] > 0 and driven["history"][-1].moved == 0
    going_on = state["round"] < state["refinements"] and not state["stopped"] and not idle
    judged.slow = fleet.asked() if going_on else []
    if judged.slow and getattr(parts.planner, "whole_fleet", False):
        judged.slow = list(state["fleet"])
    by_reward = objective_of(parts.settings, parts.scenario) == "reward"
    return {**_judged(driven, judged, alone, by_reward), "episode": episode, "traffic": driven["traffic"]}


def _judged(state: State, judged: Critique, alone: dict[int, float], by_reward: bool) -> State:
    """By reward the better of the driven set and the best so far stays; else the driven one, which the fleet chose."""
    episode = cast(Episode, state["episode"])
    candidate = Best(state["routes"], episode, judged)
    best = candidate if not by_reward or candidate.rank >= state["best"].rank else state["best"]
    figures: dict[str, Any] = {"reward_mean": episode.mean_reward, "arrival_rate": episode.arrival_rate}
    figures |= {"travel_time_ratio": judged.mean("ratio"), "dtw_mean": judged.mean("dtw")}
    records = state["history"][-1:] if state["planned"] is not None else []
    return {
        "critique": judged,
        "alone": alone,
        "best": best,
        "routes": best.routes,
        "history": [replace(record, **figures) for record in records],
    }


def refine(state: State, context: Context, parts: Parts) -> State:
    """Write what the model is told next: d <- d with {tau^a, tau^e}."""
    judged = state["critique"]
    assessment = Assessment(state["validation"], judged, context.stationarity)
    remarks = remarks_of(parts.settings.demonstration.feedback, assessment)
    if judged is not None and parts.fleet is not None and judged.slow:
        remarks = {**remarks, **parts.fleet.remarks()}
    missing = [agent for agent in state["fleet"] if agent not in state["routes"]]
    asked = missing + (judged.slow if judged else [])
    following = state["round"] + (state["planned"] is not None)
    return {"round": following, "remarks": {a: remarks[a] for a in asked if a in remarks}, "asked": asked}


def finish(state: State, context: Context, parts: Parts) -> State:
    """The best set is the result."""
    summary = summary_of(state, parts)
    tell(parts, "done", f"{summary['validity_final']:.0%} of the agents have a valid route", **summary)
    return {"routes": state["best"].routes, "summary": summary}


Node = Callable[[State, Context, Parts], Any]
NODES: tuple[Node, ...] = (begin, plan, validate, review, execute, critique, refine, finish)


# -- edges -------------------------------------------------------------------------------------------------------------
def after_begin(state: State) -> Literal["plan", "critique", "refine"]:
    """A run that already has driven routes (training goes on) begins by judging them against the agents' latest; one
    that has a plan that was not valid, by what the model is told of it."""
    if state["episode"] is not None:
        return "critique"
    return "refine" if state["planned"] is not None else "plan"


def after_validation(state: State) -> Literal["execute", "review", "refine", "finish"]:
    """Invalid routes go back to the model while rounds are left; what is valid in the end is driven, after a person
    has seen it where one is asked."""
    complete = len(state["routes"]) == len(state["fleet"])
    if not complete and not state["stopped"] and state["round"] < state["refinements"]:
        return "refine"
    if state["reviewed"]:
        return "review"
    return "execute" if state["routes"] else "finish"


def after_critique(state: State) -> Literal["refine", "finish"]:
    """Slow routes go back to the model while rounds are left."""
    judged = state["critique"]
    complete = len(state["routes"]) == len(state["fleet"])
    good = complete and (judged is None or judged.acceptable)
    return "finish" if good or state["stopped"] or state["round"] >= state["refinements"] else "refine"


def tell(parts: Parts, event: str, text: str, **facts: Any) -> None:
    """Say what happens: a `custom` event of LangGraph's streams, and a line for whoever follows the progress."""
    get_stream_writer()({"event": event, "text": text, **facts})
    parts.progress(text)


def _counts(parts: Parts) -> tuple[int, int, int]:
    """Calls, input tokens and output tokens so far; tokens of replayed calls count as none."""
    usage = parts.caller.usage
    return usage.calls, usage.input_tokens, usage.output_tokens


def summary_of(state: State, parts: Parts) -> dict[str, Any]:
    """What came of a run so far, in figures."""
    best, history = state.get("best", Best()), state.get("history", [])
    driven, judged = best.episode, best.critique
    return {
        "map": parts.network.name,
        "agents": len(parts.scenario.agents),
        "model": parts.caller.label,
        "planning": parts.settings.demonstration.planning,
        "rounds": max((record.round for record in history), default=0),
        "validity_initial": history[0].validity_reply if history else 0.0,
        "validity_final": len(best.routes) / len(parts.scenario.agents),
        "reward_mean": driven.mean_reward if driven else None,
        "arrival_rate": driven.arrival_rate if driven else 0.0,
        "travel_time_ratio": judged.mean("ratio") if judged else None,
        "dtw_mean": judged.mean("dtw") if judged else None,
        "traffic": state.get("traffic") or None,
        "input_tokens": parts.caller.usage.reported[0],
        "output_tokens": parts.caller.usage.reported[1],
        "calls": parts.caller.usage.calls,
    }
