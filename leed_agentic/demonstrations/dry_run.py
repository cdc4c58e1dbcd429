"""The prompts a run would begin with, written to its folder; nothing is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import scenario_of
from leed_agentic.demonstrations.junction import options, question
from leed_agentic.demonstrations.plan import check_budget, first_question, fleet_groups, planners
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.models.caller import LONGEST_REPLY, Message
from leed_agentic.models.tokens import prompt_tokens
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_json, write_text
from leed_agentic.runs.folder import create_run_folder
from leed_agentic.settings import Settings


def write_prompts(
    settings: Settings, out: Path | None = None, progress: Callable[[str], Any] = lambda line: None
) -> dict[str, Any]:
    """Write every first prompt as Markdown and return their sizes.

    Junction planning's later questions depend on the replies; the first of each agent is written.

    Raises:
        UsageError: a wrong setting, map, prompt or folder.
    """
    planning = settings.demonstration.planning or "fleet"
    planners.get(planning)
    network = open_map(settings.map.name, settings.map)
    scenario = scenario_of(settings, network)
    prompts = PromptSet.load(settings.demonstration.prompts)
    check_budget(prompts, network, scenario, settings.demonstration)
    folder = create_run_folder(out, network.name, "dry-run")
    progress(f"writing to {folder}")
    written: dict[str, list[Message]] = {}
    if planning == "junction":
        for trip in scenario.agents:
            choices = options(network, trip, network.edge(trip.start_edge), settings.demonstration, {trip.start_edge})
            written[f"junction_agent_{trip.agent}"] = question(prompts, trip, choices)
    elif planning == "agent":
        for trip in scenario.agents:
            messages = first_question(prompts, network, scenario, "agent", [trip.agent], settings.demonstration)
            written[f"agent_{trip.agent}"] = messages
    else:
        limit = settings.model.max_output_tokens or LONGEST_REPLY
        groups = fleet_groups(prompts, network, scenario, settings.demonstration, limit)
        for number, agents in enumerate(groups, 1):
            name = "fleet" if len(groups) == 1 else f"fleet_{number}"
            written[name] = first_question(prompts, network, scenario, "fleet", agents, settings.demonstration)
    for name, messages in written.items():
        text = "\n\n".join(f"<!-- {m['role']} -->\n{m['content']}" for m in messages)
        write_text(folder / f"{name}.md", text + "\n")
    characters = {name: sum(len(m["content"]) for m in messages) for name, messages in written.items()}
    tokens = {name: prompt_tokens(messages) for name, messages in written.items()}
    summary = {
        "map": network.name,
        "agents": len(scenario.agents),
        "planning": planning,
        "prompts": len(written),
        "characters": sum(characters.values()),
        "estimated_input_tokens": sum(tokens.values()),
        "largest_prompt_tokens": max(tokens.values()),
        "calls": 0,
        "run": str(folder),
    }
    write_json(folder / "summary.json", {**summary, "characters_per_prompt": characters})
    write_json(folder / "settings.json", settings.for_file())
    return summary
