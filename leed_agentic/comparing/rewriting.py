"""How a template is rewritten: what its plans came to, in words, and the request for a better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.prompts import GRAPHS, TEMPLATES
from leed_agentic.errors import UsageError
from leed_agentic.experiments.task import CALLS
from leed_agentic.models.recording import Recording
from leed_agentic.traffic.demonstration import DemonstrationSet

FINDINGS = 6
"""Per scenario; a model that is told of every fault at once mends none."""
LONGEST_REPLY = 600
"""Characters of a reply that are quoted."""
SLOW = 1.2
"""Times its fastest path alone from which on a route is told as slow."""


def score(stage: Mapping[str, Any], agents: int) -> float:
    """0 to 1: the mean over agents of the time of the fastest path alone over the driven time, 0 without a valid route;
    a route that is faster still, as lights may have it, counts 1."""
    return sum(min(1.0, 1.0 / ratio) if ratio > 0 else 1.0 for ratio in stage["ratios"].values()) / agents


def feedback(stage: Mapping[str, Any], agents: int, folder: Path) -> dict[str, str]:
    """What a trial showed, for whoever rewrites its template.

    Args:
        stage: its figures.
        folder: of the trial.
    """
    valid = round(stage["validity"] * agents)
    lines = [f"{valid} of {agents} agents have a valid route; score {score(stage, agents):.2f} of 1."]
    rounds = DemonstrationSet.load(folder / "demonstrations.json").rounds
    lines += [str(finding["message"]) for finding in (rounds[-1].findings if rounds else [])[:FINDINGS]]
    slow = {agent: ratio for agent, ratio in stage["ratios"].items() if ratio >= SLOW}
    lines += [f"Agent {agent} takes {ratio:.1f} times as long as its fastest path." for agent, ratio in slow.items()]
    replies = [call["reply"] for call in Recording.load(folder / CALLS).calls if call.get("reply")]
    reply = replies[-1] if replies else ""
    return {"Reply": reply[:LONGEST_REPLY] or "(none)", "Feedback": "\n".join(lines)}


def request(name: str) -> str:
    """What is asked for a better template, with the two places that gepa fills."""
    required, allowed = TEMPLATES[name]
    graph = f", and one of {' or '.join(f'${g}' for g in GRAPHS)}" if GRAPHS[0] in allowed else ""
    needed = ", ".join(f"${variable}" for variable in sorted(required)) or "none"
    further = ", ".join(f"${variable}" for variable in sorted(allowed)) or "none"
    return (
        "A language model plans routes on a street map. Its prompt is made from this template:\n\n"
        "<template>\n<curr_param>\n</template>\n\n"
        f"Words that begin with $ are filled in. It must keep: {needed}{graph}. It may also use: {further}. Any other "
        "dollar sign is written $$. The form of the answer that it asks for must stay as it is.\n\n"
        "This is what its last plans came to:\n\n<side_info>\n\n"
        "Write a better template. State the rules that the feedback shows to be broken, in general, without naming "
        "streets or agents of these examples. Answer with the whole template between two lines of ```, nothing else."
    )


def template_in(reply: str) -> str:
    """A rewriting without the request's own tags and what follows them, which small models repeat."""
    if "<template>" not in reply:
        return reply
    text = reply.rpartition("<template>")[2].partition("</template>")[0].strip()
    return f"```\n{text.removesuffix('```').strip()}\n```"


def chosen(planning: str, named: Sequence[str]) -> tuple[str, ...]:
    """The templates to rewrite: those named, else the one that the way of planning goes by.

    Raises:
        UsageError: there is no such template, or none goes by the name of the way of planning.
    """
    names = tuple(name.removesuffix(".md") for name in named) or (planning,)
    for name in names:
        if name not in TEMPLATES:
            raise UsageError(f"There is no template {name!r} to improve; name some of {', '.join(TEMPLATES)}.")
    return names
