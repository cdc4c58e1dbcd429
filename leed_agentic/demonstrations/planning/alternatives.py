"""A few routes per agent, each with the seconds it would take: the model answers with the seconds of its choice.

What is offered comes from the drives of the fleet (`coordination`); the first round is the best baseline and asks
nobody. Whatever the model says, the routes can be driven: what cannot be read keeps the present route, and is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leed_agentic.demonstrations.answer import Pairs, values, without_thoughts
from leed_agentic.demonstrations.coordination import FleetInTraffic, generator_of
from leed_agentic.demonstrations.planning.planner import Planned, PlanRequest, planners
from leed_agentic.demonstrations.planning.schema import choices_schema, seconds_schema
from leed_agentic.demonstrations.prompts import SECONDS, PromptSet
from leed_agentic.demonstrations.validate import Finding
from leed_agentic.errors import UsageError
from leed_agentic.models.caller import CapReached, Message
from leed_agentic.traffic.alternatives import Question

ANSWER_TOKENS = 8
STRUCTURED_TOKENS = 24
LONGEST_ANSWER = 200
GROUP = 8
"""Agents in one question of the joint form."""
CHECKED = 10
"""Made-up agents in the self-check of the joint form."""
RIGHT = 0.9
JAMS = 6
"""Streets where cars stand, that the joint form names."""
_NUMBER = re.compile(r"\d{1,6}")
_DECIMAL = re.compile(r"\d{1,4}\.\d\d")


@dataclass(frozen=True)
class Asked:
    """One agent's question in whole seconds."""

    agent: int
    seconds: tuple[int, ...]
    notes: tuple[str, ...] = ()
    """Of each route the jammed streets on it."""

    @classmethod
    def of(cls, agent: int, question: Question, notes: tuple[str, ...] = ()) -> Asked:
        # Who never left its first street would wait for ever: any number that no other route reaches says so.
        return cls(agent, tuple(round(min(one.seconds, 99_999.0)) for one in question.alternatives), notes)

    def choice(self, text: str, form: str = "seconds") -> int | None:
        """The alternative whose seconds, in that form, the text names first; None where it names none of them."""
        offered = self.texts(form)
        numbers = _DECIMAL.findall(text) if form == "hundreds" else (str(int(one)) for one in _NUMBER.findall(text))
        return next((offered.index(number) for number in numbers if number in offered), None)

    def texts(self, form: str) -> list[str]:
        """The seconds as a prompt writes them: 187, or as hundreds of seconds 1.87."""
        return [_written(took, form) for took in self.seconds]

    def __str__(self) -> str:
        notes = self.notes or ("",) * len(self.seconds)
        routes = (f"{took} ({note})" if note else str(took) for took, note in zip(self.seconds, notes, strict=True))
        return f"{self.agent}: {', '.join(routes)}"


@planners.register("alternatives")
class AlternativesPlanner:
    """Asks those with most to gain. Its memory has `group`: whether the model passed the check of the joint form."""

    def plan(self, request: PlanRequest) -> Planned:
        fleet = traffic_of(request)
        if not fleet.begun:
            fleet.begin()
            return Planned(fleet.routes(), memory=dict(request.memory))
        questions = fleet.questions()
        planned = Planned(memory=dict(request.memory))
        asked = [Asked.of(fleet.numbers[question.vehicle], question) for question in questions]
        answers: list[int | None] = [None] * len(questions)
        try:
            if request.settings.questions == "group" and _passes(request, planned.memory):
                _ask_groups(request, fleet, questions, answers)
            else:
                _ask_each(request, asked, answers)
        except CapReached as reached:
            planned.stopped = str(reached)
        for question, one, answer in zip(questions, asked, answers, strict=True):
            chosen = question.current if answer is None else answer
            planned.routes[one.agent] = fleet.edges(question.alternatives[chosen].route)
            if answer is None:
                message = f"Agent {one.agent}: the reply names none of its routes' seconds; it keeps its route."
                planned.problems.append(Finding(one.agent, "unreadable", message))
        return planned

    def first_questions(self, request: PlanRequest) -> Mapping[str, list[Message]]:
        """None: what is offered is known after the first drives."""
        return {}


def traffic_of(request: PlanRequest) -> FleetInTraffic:
    """The fleet in traffic that the request brings. Raises UsageError when it brings none."""
    if request.traffic is None:
        raise UsageError(f"Planning {request.settings.planning!r} needs drives to begin with; run it by the graph.")
    return request.traffic


def question_of(prompts: PromptSet, asked: Asked) -> list[Message]:
    """The messages that ask one agent. The examples never change, so a server that caches prompts reads them once."""
    messages: list[Message] = []
    for line in prompts.texts["alternatives_examples"].splitlines():
        offered, arrow, answer = line.partition("=>")
        if arrow:
            messages.append({"role": "user", "content": _asking(prompts, offered.strip())})
            messages.append({"role": "assistant", "content": _rewritten(answer.strip(), form_of(prompts))})
    return [*messages, {"role": "user", "content": _asking(prompts, ", ".join(map(str, asked.seconds)))}]


def _asking(prompts: PromptSet, seconds: str) -> str:
    return prompts.render("alternatives", **{form: _rewritten(seconds, form) for form in SECONDS})


def _rewritten(text: str, form: str) -> str:
    return _NUMBER.sub(lambda one: _written(int(one[0]), form), text)


def form_of(prompts: PromptSet) -> str:
    """How the template writes seconds: by the name of the variable that it uses; both at once is the plain one."""
    return "seconds" if "seconds" in prompts.variables("alternatives") else "hundreds"


def _written(seconds: int, form: str) -> str:
    return f"{seconds / 100:.2f}" if form == "hundreds" else str(seconds)


def group_question(prompts: PromptSet, asked: Sequence[Asked], jams: Mapping[str, float]) -> list[Message]:
    """The messages that ask several agents at once."""
    streets = "\n".join(f"{name}: {cars:.0f} cars" for name, cars in jams.items()) or "none"
    lines = "\n".join(map(str, asked))
    return [{"role": "user", "content": prompts.render("alternatives_group", streets=streets, agents=lines)}]


def read_choices(text: str, asked: Sequence[Asked]) -> list[int | None]:
    """Of each agent the alternative that a joint reply names: {"7": 187} or rows of agent and seconds."""
    said: dict[int, str] = {}
    for found in values(without_thoughts(text)):
        if not isinstance(found, Finding):
            _collect(found[0], said)
    return [one.choice(said.get(one.agent, "")) for one in asked]


def _collect(value: Any, said: dict[int, str]) -> None:
    if isinstance(value, Pairs):
        row = dict(value)
        agent = _NUMBER.search(str(row.get("agent", "")))
        if agent and "seconds" in row:
            said.setdefault(int(agent[0]), str(row["seconds"]))
            return
        for key, inner in value:
            number = _NUMBER.search(key)
            if number and isinstance(inner, str):
                said.setdefault(int(number[0]), inner)
            else:
                _collect(inner, said)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, said)


def _ask_each(request: PlanRequest, asked: Sequence[Asked], answers: list[int | None]) -> None:
    caller = request.caller
    room = STRUCTURED_TOKENS if caller.structured else ANSWER_TOKENS
    form = form_of(request.prompts)
    rows = [
        (question_of(request.prompts, one), f"alternatives, agent {one.agent}", seconds_schema(one.texts(form)))
        for one in asked
    ]
    for number, reply in enumerate(caller.ask_all(rows, max_output_tokens=room)):
        request.progress(f"answered: agent {asked[number].agent} ({number + 1} of {len(asked)})")
        answers[number] = asked[number].choice(without_thoughts(reply.text)[:LONGEST_ANSWER], form)


def _ask_groups(
    request: PlanRequest, fleet: FleetInTraffic, questions: Sequence[Question], answers: list[int | None]
) -> None:
    labels, jams = _jams(fleet)
    asked = []
    for question in questions:
        notes = tuple(
            " ".join(labels[street] for street in one.route if street in labels) for one in question.alternatives
        )
        asked.append(Asked.of(fleet.numbers[question.vehicle], question, notes))
    groups = [asked[first : first + GROUP] for first in range(0, len(asked), GROUP)]
    rows = [
        (group_question(request.prompts, group, jams), f"alternatives, {len(group)} agents", _group_schema(group))
        for group in groups
    ]
    for number, reply in enumerate(request.caller.ask_all(rows)):
        request.progress(f"answered: {number + 1} of {len(groups)} groups")
        first = number * GROUP
        answers[first : first + len(groups[number])] = read_choices(reply.text, groups[number])


def _group_schema(group: Sequence[Asked]) -> dict[str, Any]:
    return choices_schema([one.agent for one in group], sorted({second for one in group for second in one.seconds}))


def _jams(fleet: FleetInTraffic) -> tuple[dict[int, str], dict[str, float]]:
    """The streets on which most cars stood at a time: their labels, and how many. No name or id reaches the prompt."""
    times = fleet.loop.times()
    queues: dict[int, float] = {}
    for street, queue in zip(times.street.tolist(), times.queue.tolist(), strict=True):
        queues[street] = max(queue, queues.get(street, 0.0))
    worst = [street for street in sorted(queues, key=lambda s: -queues[s])[:JAMS] if queues[street] >= 1]
    labels = {street: f"s{number}" for number, street in enumerate(worst, 1)}
    return labels, {labels[street]: queues[street] for street in worst}


def _passes(request: PlanRequest, memory: dict[str, Any]) -> bool:
    """Whether the model answers the joint form by the seconds: small models answer by position. Asked once."""
    if "group" not in memory:
        generator = generator_of(0, 0)
        made = [Asked(agent, tuple(_seconds(generator))) for agent in range(CHECKED)]
        question = group_question(request.prompts, made, {})
        reply = request.caller.ask(question, purpose="check of the joint form", schema=_group_schema(made))
        found = read_choices(reply.text, made)
        right = sum(answer == int(np.argmin(one.seconds)) for one, answer in zip(made, found, strict=True))
        memory["group"] = bool(right >= RIGHT * CHECKED)
        verdict = "they are asked together" if memory["group"] else "each agent is asked on its own"
        request.progress(f"{right} of {CHECKED} of the check's agents got their fastest route: {verdict}")
    return bool(memory["group"])


def _seconds(generator: np.random.Generator) -> list[int]:
    return [int(second) for second in generator.choice(np.arange(100, 400), int(generator.integers(3, 5)), False)]
