"""The prompts a run would begin with, written to its folder; nothing is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.generate import scenario_of
from leed_agentic.demonstrations.junction import options, question
from leed_agentic.demonstrations.plan import first_question, planners
from leed_agentic.demonstrations.prompts import PromptSet
from leed_agentic.demonstrations.run_folder import create_run_folder, write_json
from leed_agentic.models.caller import Message
from leed_agentic.models.usage import CHARACTERS_PER_TOKEN
from leed_agentic.roads.catalogue import open_map
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
    folder = create_run_folder(out, network.name, "dry-run")
    progress(f"writing to {folder}")
    agents = [trip.agent for trip in scenario.agents]
    written: dict[str, list[Message]] = {}
    if planning == "junction":
        for trip in scenario.agents:
            choices = options(network, trip, network.edge(trip.start_edge), settings.demonstration, {trip.start_edge})
            written[f"junction_agent_{trip.agent}"] = question(prompts, trip, choices)
    elif planning == "agent":
        for agent in agents:
            written[f"agent_{agent}"] = first_question(prompts, network, scenario, "agent", [agent])
    else:
        written["fleet"] = first_question(prompts, network, scenario, "fleet", agents)
    for name, messages in written.items():
        text = "\n\n".join(f"<!-- {m['role']} -->\n{m['content']}" for m in messages)
        (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    characters = {name: sum(len(m["content"]) for m in messages) for name, messages in written.items()}
    total = sum(characters.values())
    summary = {
        "map": network.name,
        "agents": len(agents),
        "planning": planning,
        "prompts": len(written),
        "characters": total,
        "estimated_input_tokens": total // CHARACTERS_PER_TOKEN,
        "calls": 0,
        "run": str(folder),
    }
    write_json(folder / "summary.json", {**summary, "characters_per_prompt": characters})
    write_json(folder / "settings.json", settings.for_file())
    return summary
