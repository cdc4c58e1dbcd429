"""What the stand-in makes of rules in prompts: a rule that is missing costs it routes, and a remark brings it back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

TEMPLATE = re.compile(r"^<template>\n(.*?)\n</template>$", re.MULTILINE | re.DOTALL)
"""Where a request to rewrite a template holds it."""
FORGETS = 0.5
"""Share of routes that break a rule which the prompt leaves out."""
_HEADING = re.compile(r"^## Answer", re.MULTILINE)


class _Rule(NamedTuple):
    there: re.Pattern[str]
    """How prompts word it."""
    broken: str
    """What findings say of a route that breaks it."""
    sentence: str
    breaks: Callable[[list[str]], list[str]]


def _without_middle(route: list[str]) -> list[str]:
    return [*route[: len(route) // 2], *route[len(route) // 2 + 1 :]] or route


RULES = (
    _Rule(
        re.compile(r"next edge", re.IGNORECASE),
        "it is not possible to go to",
        "Every next edge must be one of those listed after the edge before it.",
        _without_middle,
    ),
    _Rule(
        re.compile(r"destination junction (?:at the end|through)|ends? at the destination", re.IGNORECASE),
        "the route stops at",
        "End with an edge that ends at the destination junction.",
        lambda route: route[: max(1, len(route) // 2)],
    ),
    _Rule(
        re.compile(r"begin with the start|start edge first", re.IGNORECASE),
        "but it must begin with",
        "Begin with the start edge.",
        lambda route: route[1:] or route,
    ),
    _Rule(
        re.compile(r"no edge twice", re.IGNORECASE),
        "leave the loop out",
        "Use no edge twice.",
        lambda route: [*route[:1], *route],
    ),
)


def missing(prompt: str) -> list[_Rule]:
    """The rules of a route that a prompt which states some leaves out."""
    unsaid = [rule for rule in RULES if not rule.there.search(prompt)]
    return unsaid if len(unsaid) < len(RULES) else []


def forgetful(route: list[str], rules: Sequence[_Rule], chance: random.Random) -> list[str]:
    """The route as somebody drives it who was not told these rules."""
    for rule in rules:
        if chance.random() < FORGETS:
            route = rule.breaks(route)
    return route


def rewritten(request: str, template: str) -> str:
    """The reply to a request to rewrite: the template with a sentence for the rule that is broken most of those it
    lacks; the same template where it lacks none of them."""
    remarks = request[request.rfind("</template>") :]
    broken = [(remarks.count(rule.broken), rule.sentence) for rule in missing(template) if rule.broken in remarks]
    if broken:
        sentence = max(broken)[1]
        answer = _HEADING.search(template)
        place = answer.start() if answer else len(template)
        template = f"{template[:place].rstrip()}\n{sentence}\n\n{template[place:]}".rstrip()
    return f"```\n{template}\n```"
