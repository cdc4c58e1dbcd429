"""No LLM: an imperfect planner behind the same chat interface, for tests and for training without a model.

It reads the streets and agents that the prompt holds, answers in the same text form as a model, gets a share of the
routes wrong on purpose, more where the prompt lacks a rule of a route, and puts right what a refinement names. Whatever
it touches says that no LLM was called.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import random
import re
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from leed_agentic.models.stand_in_brief import BRIEF, rules_of
from leed_agentic.models.stand_in_rewrite import TEMPLATE, forgetful, missing, rewritten
from leed_agentic.models.stand_in_tools import TOOLS, call_of

NOTICE = "stand-in, no LLM was called"
CHARACTERS_PER_TOKEN = 4
DETOUR = 0.3
"""Streets look up to this much longer than they are, at random: a planner that is good, not perfect."""

_EDGE = re.compile(r"^(\S+) \((\d+) m, to (\S+)\): ?(.*)$", re.MULTILINE)
_LINK = re.compile(r"^(\S+) -> (.*)$", re.MULTILINE)
_AGENT = re.compile(r"^agent (\d+): start edge (\S+), destination junction (\S+) \(last edge ([^)]*)\)", re.MULTILINE)
_GROUP = re.compile(r"^(g\d+): \d+ agents on (\S+): \d+ s lost", re.MULTILINE)
_ROW = re.compile(r"^(\d+): (\d+(?: \([^)]*\))?(?:, \d+(?: \([^)]*\))?)+)$", re.MULTILINE)
_NOTE = re.compile(r"\([^)]*\)")
_SECONDS = re.compile(r"\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)+\s*$")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_CHOICE = re.compile(r"(\d+\.\d+) \((?:left|right|straight|back), \d+ m\)")


class StandIn(BaseChatModel):
    """The stand-in as a LangChain chat model; the same seed and messages give the same reply."""

    error_rate: float = 0.3
    """Share of agents whose first route is wrong on purpose, and of junctions where it errs."""
    seed: int = 0

    @property
    def _llm_type(self) -> str:
        return "leed-stand-in"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        texts = [str(message.content) for message in messages]
        digest = hashlib.sha256("\0".join([str(self.seed), *texts]).encode()).digest()
        text = self._answer(texts, any(m.type == "ai" for m in messages), random.Random(digest))
        read, written = (sum(map(len, texts)), len(text))
        # Estimates: there is no tokeniser here.
        usage = {"input_tokens": read // CHARACTERS_PER_TOKEN, "output_tokens": written // CHARACTERS_PER_TOKEN}
        reply = AIMessage(
            text,
            usage_metadata={**usage, "total_tokens": sum(usage.values())},
            response_metadata={"model_name": NOTICE, "finish_reason": "stop", "usage_is_estimated": True},
        )
        return ChatResult(generations=[ChatGeneration(message=reply)])

    def _answer(self, texts: list[str], refining: bool, chance: random.Random) -> str:
        if template := TEMPLATE.search(texts[-1]):
            return rewritten(texts[-1], template[1])
        agents = _AGENT.findall(texts[-1])
        if agents:
            streets = _Streets("\n".join(texts))
            unsaid = [] if refining else missing("\n".join(texts))
            routes = {}
            for agent, start, goal, last in agents:
                route = streets.route(start, goal, set(last.split(" or ")), chance)
                if not refining and chance.random() < self.error_rate:
                    route = _spoil(route, chance)
                route = forgetful(route, unsaid, chance)
                routes[agent] = route
            return json.dumps(routes)
        if brief := BRIEF.search(texts[-1]):
            return rules_of(json.loads(brief[1]))
        if TOOLS.search(texts[0]):
            worst = _GROUP.findall(texts[0])
            return call_of(texts, worst if random.Random(texts[0]).random() > self.error_rate else worst[::-1])
        if groups := _GROUP.findall(texts[-1]):
            worst = groups if chance.random() > self.error_rate else groups[::-1]
            return json.dumps({"commands": [["avoid", street, f"20% of {group}"] for group, street in worst[:4]]})
        if rows := _ROW.findall(texts[-1]):
            return json.dumps(
                {agent: int(self._least(_NUMBERS.findall(_NOTE.sub("", r)), chance)) for agent, r in rows}
            )
        if seconds := _SECONDS.search(texts[-1]):
            return self._least(_NUMBERS.findall(seconds[0]), chance)
        choices = _CHOICE.findall(texts[-1])
        if choices:
            return chance.choice(choices) if chance.random() < self.error_rate / 10 else min(choices, key=float)
        return f"This prompt holds neither agents nor streets to choose from ({NOTICE})."

    def _least(self, numbers: list[str], chance: random.Random) -> str:
        return chance.choice(numbers) if chance.random() < self.error_rate / 10 else min(numbers, key=float)


class _Streets:
    """The adjacency graph as the prompt writes it."""

    def __init__(self, text: str) -> None:
        self.length: dict[str, float] = {}
        self.end: dict[str, str] = {}
        self.after: dict[str, list[str]] = {}
        for edge, metres, junction, following in _EDGE.findall(text):
            self.length[edge], self.end[edge] = float(metres), junction
            self.after[edge] = [e for e in following.split(", ") if e]
        for edge, following in _LINK.findall(text):
            # Without lengths the way with the fewest edges counts. Several agents' lines may hold the same edge.
            self.length[edge] = 1.0
            self.after.setdefault(edge, []).extend([] if following == "nothing" else following.split(" or "))

    def route(self, start: str, goal: str, last: set[str], chance: random.Random) -> list[str]:
        """A short way from the start edge to the goal, by its id or the edges there; only the start without one."""
        cost = {edge: metres * chance.uniform(1.0, 1.0 + DETOUR) for edge, metres in self.length.items()}
        best, before = {start: 0.0}, dict[str, str]()
        queue = [(0.0, start)]
        while queue:
            so_far, edge = heapq.heappop(queue)
            if edge in last or (not last and self.end.get(edge) == goal):
                return _traced(edge, before)
            if so_far > best[edge]:
                continue
            for following in self.after.get(edge, ()):
                reached = so_far + cost.get(following, 1.0)
                if reached < best.get(following, float("inf")):
                    best[following], before[following] = reached, edge
                    heapq.heappush(queue, (reached, following))
        return [start]


def _traced(edge: str, before: dict[str, str]) -> list[str]:
    route = [edge]
    while route[-1] in before:
        route.append(before[route[-1]])
    return route[::-1]


def _spoil(route: list[str], chance: random.Random) -> list[str]:
    """One of the mistakes models make: a skipped edge, a short stop, an invented edge, a wrong start, a loop."""
    middle = chance.randrange(1, len(route)) if len(route) > 2 else 1
    mistakes = [
        route[:middle] + route[middle + 1 :],
        route[: max(1, len(route) // 2)],
        [*route[:middle], f"{route[-1]}x", *route[middle:]],
        route[1:],
        [*route[:middle], route[0], *route[middle:]],
    ]
    return chance.choice(mistakes)
