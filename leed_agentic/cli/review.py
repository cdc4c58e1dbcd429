"""The dialogue of `leed demo generate --review`, all of it on stderr: stdout stays free for the result."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.status import Status
from rich.table import Table
from rich.text import Text

from leed_agentic.cli.console import err
from leed_agentic.errors import UsageError

if TYPE_CHECKING:
    from leed_agentic.demonstrations.parts import Parts
    from leed_agentic.demonstrations.review import Decision, Proposal
    from leed_agentic.demonstrations.rules import Reading

QUESTION = "accept, edit AGENT, remark [AGENTS] or quit? "


class Reviewer:
    """Shows a person the routes that are about to be driven and asks what to do, until there is a decision.

    Args:
        status: the live line, which pauses while the person is asked.

    Raises:
        UsageError: there is no terminal to talk on.
    """

    def __init__(self, status: Status) -> None:
        if not (sys.stdin.isatty() and err.is_terminal):
            raise UsageError("--review asks a person and needs a terminal; run it in one, or leave --review out.")
        self.status = status

    def __call__(self, proposal: Proposal, parts: Parts, picture: Path) -> Decision:
        """The person's decision; the end of the input (Ctrl-D) is taken as quit."""
        from leed_agentic.demonstrations.review import Decision

        self.status.stop()
        try:
            _show(proposal, parts, picture)
            while True:
                decision = _decision(_answer(QUESTION), proposal, parts)
                if decision is not None:
                    return decision
        except EOFError:
            err.print()
            return Decision("quit")
        finally:
            self.status.start()


class RulesReviewer:
    """Shows what a brief came to, and asks whether the fleet is to drive by it unless that was said before."""

    def __init__(self, status: Status, review: bool, yes: bool) -> None:
        self.status, self.review, self.yes = status, review, yes

    def __call__(self, reading: Reading) -> bool:
        from leed_agentic.demonstrations.rules.brief import rules_json

        self.status.stop()
        _tell("The brief as rules:")
        for rule in reading.rules:
            _tell(f"- {rule}")
        _tell(json.dumps(rules_json(reading.rules), ensure_ascii=False))
        for doubt in reading.not_understood:
            _tell(f"Not understood: {doubt}")
        if not (self.review or self.yes):
            raise UsageError("Nothing is driven by rules that nobody accepted: say --yes, or --review to be asked.")
        try:
            return self.yes or _answer("Drive by these rules (yes or no)? ").strip().casefold() in ("y", "yes")
        except EOFError:
            return False
        finally:
            self.status.start()


def _show(proposal: Proposal, parts: Parts, picture: Path) -> None:
    network, agents = parts.network, parts.scenario.agents
    table = Table(title=f"Round {proposal.round}: {len(proposal.routes)} of {len(agents)} agents have a valid route")
    for column in ("agent", "edges", "metres", "time against shortest path"):
        table.add_column(column, justify="right")
    table.add_column("findings")
    for trip in agents:
        route = proposal.routes.get(trip.agent)
        figures = ["-", "-", "-"]
        if route is not None:
            fastest = network.path_time(network.shortest_path(trip.start_edge, trip.goal))
            ratio = network.path_time(route) / fastest
            figures = [str(len(route)), f"{network.path_length(route):.0f}", f"{ratio:.2f}"]
        found = proposal.findings.get(trip.agent, "none")
        if route is not None and trip.agent in proposal.findings:
            found = f"an earlier route is kept; the last reply: {found}"
        name = parts.scenario.name_of(trip.agent)
        # People answer with numbers.
        who = name if name == str(trip.agent) else f"{trip.agent}: {name}"
        table.add_row(who, *figures, Text(parts.scenario.named(found), overflow="fold"))
    err.print(table, soft_wrap=False)
    _tell("Time ratio: free-flow time of the route over that of the fastest one.")
    _tell(f"Map picture: {picture}")
    for note in proposal.notes:
        _tell(note)


def _decision(words: str, proposal: Proposal, parts: Parts) -> Decision | None:
    """What the person said; None when that was no decision yet."""
    from leed_agentic.demonstrations.review import Decision

    action, _, rest = words.replace(",", " ").strip().partition(" ")
    chosen = next((known for known in ("accept", "edit", "remark", "quit") if action and known.startswith(action)), "")
    try:
        agents = [int(number) for number in rest.split()]
    except ValueError:
        agents, chosen = [], ""
    if chosen == "accept" and not agents:
        return Decision("accept")
    if chosen == "quit" and not agents:
        return Decision("quit")
    if chosen == "edit" and len(agents) == 1:
        return _edit(agents[0], proposal, parts)
    if chosen == "remark":
        if parts.settings.demonstration.planning == "junction":
            _tell("Junction planning has no place for words; it plans again and leaves out each agent's worst street.")
        about = f"agents {', '.join(map(str, agents))}" if agents else "all agents"
        return Decision("remark", agents, text=_answer(f"Remark to the model about {about}: "))
    _tell("Say accept, edit 3, remark, remark 0 3 or quit; the first letter is enough.")
    return None


def _edit(agent: int, proposal: Proposal, parts: Parts) -> Decision | None:
    from leed_agentic.demonstrations.review import Decision

    if 0 <= agent < len(parts.scenario.agents):
        trip = parts.scenario.agents[agent]
        _tell(f"Agent {agent} goes from edge {trip.start_edge} to junction {trip.destination}. Its route now:")
        _tell(" ".join(proposal.routes.get(agent, ["none"])))
    typed = _answer("New route, edge ids with spaces between (nothing: no change): ").replace(",", " ").split()
    return Decision("edit", [agent], route=typed) if typed else None


def _answer(question: str) -> str:
    err.print(question, end="", markup=False, highlight=False)
    # What is no text in the terminal's encoding could neither be sent nor written.
    return input().encode("utf-8", "replace").decode()


def _tell(line: str) -> None:
    err.print(line, markup=False, highlight=False)
