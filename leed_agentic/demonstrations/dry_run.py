"""The prompts that a run would begin with, without a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.parts import check_budget, unasked
from leed_agentic.demonstrations.planning import planner_of
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.replay import resolved
from leed_agentic.errors import UsageError
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_json, write_text
from leed_agentic.runs.folder import create_run_folder
from leed_agentic.settings import Settings
from leed_agentic.traffic.demand import scenario_for


def write_prompts(
    settings: Settings, out: Path | None = None, progress: Callable[[str], Any] = lambda line: None
) -> dict[str, Any]:
    """Write the prompts that a run would begin with, as Markdown, and return their sizes; nothing is called.

    Junction planning's later questions depend on the replies; the first of each agent is written.

    Raises:
        UsageError: a wrong setting, map, prompt or folder.
    """
    settings = resolved(settings)
    planning = settings.demonstration.planning or "fleet"
    planner, prompts = planner_of(planning), PromptSet.load(settings.demonstration.prompts)
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_for(network, settings)
    check_budget(settings, prompts, network, scenario)
    request = unasked(settings, prompts, network, scenario)
    written = planner.first_questions(request)
    if not written:
        raise UsageError(f"Planning {planning!r} tells no first questions; leave --dry-run out, or name another way.")
    folder = create_run_folder(out, network.name, "dry-run")
    progress(f"writing to {folder}")
    for name, messages in written.items():
        text = "\n\n".join(f"<!-- {m['role']} -->\n{m['content']}" for m in messages)
        write_text(folder / f"{name}.md", text + "\n")
    characters = {name: sum(len(m["content"]) for m in messages) for name, messages in written.items()}
    tokens = [prompt_tokens(messages) for messages in written.values()]
    summary = {
        "map": network.name,
        "agents": len(request.agents),
        "planning": planning,
        "prompts": len(written),
        "characters": sum(characters.values()),
        "estimated_input_tokens": sum(tokens),
        "largest_prompt_tokens": max(tokens),
        "calls": 0,
        "run": str(folder),
    }
    write_json(folder / "summary.json", {**summary, "characters_per_prompt": characters})
    write_json(folder / "settings.json", settings.for_file())
    return summary
