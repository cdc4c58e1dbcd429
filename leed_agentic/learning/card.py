"""A model card of a run's policies: Markdown whose head is the metadata that Hugging Face reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from leed_agentic.learning.policy import Policy

_FIGURES = {
    "reward_mean_last20": "mean reward of the last 20 episodes",
    "arrival_rate_last20": "share that arrived in the last 20 episodes",
}


def model_card(policies: Sequence[Policy], summary: Mapping[str, Any], credit: str | None) -> str:
    """The card as text.

    Args:
        summary: of the run; empty where it is not finished.
        credit: whom to credit for the streets.
    """
    facts = policies[0].facts
    figures = [(words, summary[name]) for name, words in _FIGURES.items() if isinstance(summary.get(name), int | float)]
    title = f"{facts['algorithm']} on {facts['map']}, {len(policies)} agents"
    head: dict[str, Any] = {
        "library_name": "leed-agentic",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["reinforcement-learning", "multi-agent", "routing", "sumo", str(facts["algorithm"])],
    }
    if figures:
        head["model-index"] = [
            {
                "name": title,
                "results": [
                    {
                        "task": {"type": "reinforcement-learning", "name": "route choice"},
                        "dataset": {"name": str(facts["map"]), "type": "leed_route_v0"},
                        "metrics": [{"type": words, "value": round(value, 4)} for words, value in figures],
                    }
                ],
            }
        ]
    rows = "\n".join(
        f"| {p.agent} | {_cell(p.facts['start_edge'])} | {_cell(p.facts['destination'])} |" for p in policies
    )
    measured = "\n".join(f"- {words}: {value:.4g}" for words, value in figures) or "- none: the run is not finished"
    return f"""---
{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}
---

# {title}

One policy per vehicle, trained for {facts["trained_episodes"]} episodes with seed {facts["seed"]} by leed-agentic
{facts["leed_agentic"]}: at every junction it chooses the next street. It reads the observation
`{facts["observation"]}` with the score `{facts["score"]}` and is of use on this map alone: its junctions are numbers.

```python
from leed_agentic import Policy

policy = Policy.load("agent_0.safetensors")
action = policy(observation, action_mask)  # of the environment's reset or step
```

## Measured in training

{measured}

These are figures of training in a simulation (SUMO) with one seed: they say nothing of real traffic.

## Agents

| agent | starts on | goes to junction |
|---|---|---|
{rows}

## Streets

{credit or "Their source is not stated."}
"""


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
