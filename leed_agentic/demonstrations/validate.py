"""Whether a route can be driven, legal turns from start edge to destination, and what is wrong if it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from leed_agentic.roads.network import RoadNetwork
from leed_agentic.traffic.scenario import AgentTrip, Scenario

Kind = Literal[
    "unknown_edge",
    "not_a_successor",
    "wrong_start",
    "does_not_reach_goal",
    "loop",
    "too_long",
    "missing_agent",
    "unexpected_agent",
    "duplicate_agent",
    "unreadable",
    "rule",
]
MAX_FINDINGS = 4
"""Per agent. A route that goes wrong early is wrong all the way; the first findings are what a planner can act on."""
MAX_SHOWN = 60


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a route, in a sentence to act on; agent is None when it concerns the whole reply."""

    agent: int | None
    kind: Kind
    message: str
    edge: str | None = None
    position: int | None = None


@dataclass(frozen=True)
class Validation:
    """Routes that can be driven as they are, and the findings about the others."""

    agents: tuple[int, ...]
    valid: dict[int, list[str]] = field(default_factory=dict)
    """Ends at the first edge that ends at the destination: a vehicle arrives there, whatever the plan said next."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of agents with a fully valid route (Table II's route validity)."""
        return len(self.valid) / len(self.agents) if self.agents else 0.0

    def remarks(self) -> dict[int, str]:
        """For every agent without a valid route: what is wrong with it, in one line."""
        lines: dict[int, list[str]] = {}
        for finding in self.findings:
            if finding.agent is not None and finding.agent not in self.valid:
                lines.setdefault(finding.agent, []).append(finding.message)
        return {agent: " ".join(lines[agent]) for agent in sorted(lines)}


def validate(
    network: RoadNetwork,
    scenario: Scenario,
    routes: Mapping[int, Sequence[str]],
    problems: Iterable[Finding] = (),
    max_route_edges: int = 200,
) -> Validation:
    """Check every agent's route against the network.

    Args:
        problems: what went wrong before there were routes (reading the reply, planning); kept among the findings, and
            an agent they already explain is not called missing on top.
    """
    findings = list(problems)
    valid: dict[int, list[str]] = {}
    explained = {problem.agent for problem in findings}
    for trip in scenario.agents:
        if trip.agent in routes:
            route = list(routes[trip.agent])
            found = route_findings(network, trip, route, max_route_edges)
            findings += found
            if not found:
                valid[trip.agent] = trimmed(network, trip, route)
        elif trip.agent not in explained:
            findings.append(Finding(trip.agent, "missing_agent", f"Agent {trip.agent} has no route; give it one."))
    agents = tuple(trip.agent for trip in scenario.agents)
    strangers = sorted(set(routes) - set(agents))
    if strangers:
        findings.append(unexpected_agents([str(agent) for agent in strangers]))
    return Validation(agents, valid, findings)


def unexpected_agents(names: Sequence[str]) -> Finding:
    """One finding for all names, however many there are."""
    shown = ", ".join(name[:MAX_SHOWN] for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return Finding(None, "unexpected_agent", f"Nobody asked for routes of {shown}{more}; leave them out.")


def trimmed(network: RoadNetwork, trip: AgentTrip, route: Sequence[str]) -> list[str]:
    """The route up to and including its first edge that ends at the destination."""
    for position, edge in enumerate(route):
        if network.has_edge(edge) and trip.ends_at(network.edge(edge)):
            return list(route[: position + 1])
    return list(route)


def route_findings(
    network: RoadNetwork, trip: AgentTrip, route: Sequence[str], max_route_edges: int = 200
) -> list[Finding]:
    """What is wrong with one agent's route, in order of position; empty when it can be driven."""
    agent = trip.agent
    if not route:
        return [Finding(agent, "missing_agent", f"Agent {agent} has an empty route; begin it with {trip.start_edge}.")]
    if len(route) > max_route_edges:
        return [
            Finding(
                agent,
                "too_long",
                f"Agent {agent}: the route has {len(route)} edges; at most {max_route_edges} are allowed.",
            )
        ]
    route = trimmed(network, trip, route)
    findings: list[Finding] = []
    if route[0] != trip.start_edge:
        message = f"Agent {agent}: the route begins with {_shown(route[0])}, but it must begin with {trip.start_edge}."
        findings.append(Finding(agent, "wrong_start", message, route[0], 0))
    findings += path_findings(network, agent, route)
    if network.has_edge(route[-1]) and not trip.ends_at(network.edge(route[-1])):
        findings.append(_short_of_goal(network, trip, route[-1], len(route) - 1))
    return findings


def path_findings(network: RoadNetwork, agent: int, route: Sequence[str]) -> list[Finding]:
    """Unknown edges, illegal turns and loops of a route, wherever it starts and ends; the first few."""
    findings: list[Finding] = []
    seen: set[str] = set()
    before: str | None = None
    for position, edge in enumerate(route):
        finding = None
        if not network.has_edge(edge):
            finding = _unknown(network, agent, edge, before, position)
        elif before is not None and edge not in network.edge(before).successors:
            message = f"Agent {agent}: from {before} it is not possible to go to {edge}; {_choices(network, before)}."
            finding = Finding(agent, "not_a_successor", message, edge, position)
        elif edge in seen:
            message = f"Agent {agent}: the route takes {edge} twice; leave the loop out."
            finding = Finding(agent, "loop", message, edge, position)
        if finding and len(findings) < MAX_FINDINGS:
            findings.append(finding)
        seen.add(edge)
        before = edge if network.has_edge(edge) else None
    return findings


def _unknown(network: RoadNetwork, agent: int, edge: str, before: str | None, position: int) -> Finding:
    advice = f"after {before} {_choices(network, before)}" if before else "use only edge ids of the adjacency graph"
    if network.allows(edge) is not None:
        message = f"Agent {agent}: {edge} is none of the connected streets for cars; {advice}."
        return Finding(agent, "unknown_edge", message, edge, position)
    return Finding(agent, "unknown_edge", f"Agent {agent}: there is no edge {_shown(edge)}; {advice}.", edge, position)


def _short_of_goal(network: RoadNetwork, trip: AgentTrip, last: str, position: int) -> Finding:
    left = float(network.distances_to(trip.destination)[network.edge(last).index])
    ends = ", ".join(edge.id for edge in network.edges if trip.ends_at(edge))
    message = (
        f"Agent {trip.agent}: the route stops at {last}, {left:.0f} m of road before junction {trip.destination}; "
        f"go on until one of the edges that end there: {ends}."
    )
    return Finding(trip.agent, "does_not_reach_goal", message, last, position)


def _choices(network: RoadNetwork, edge: str) -> str:
    successors = network.edge(edge).successors
    return (
        f"the only legal next edge is {successors[0]}"
        if len(successors) == 1
        else (f"the legal next edges are {', '.join(successors)}")
    )


def _shown(edge: str) -> str:
    """The model's own words, quoted and cut: they may be long or hold control characters."""
    return repr(edge if len(edge) <= MAX_SHOWN else edge[:MAX_SHOWN] + "...")
