"""A small grid of named streets with lights, on which sixty cars are in each other's way."""

from __future__ import annotations

import re
from pathlib import Path

from leed_agentic.demonstrations.replay import settings_for_run
from leed_agentic.roads.build import generate_network
from leed_agentic.settings import Settings

OPTIONS = ("--grid", "--grid.number=5", "--grid.length=120", "--default-junction-type=traffic_light")


def lit_grid(folder: Path, names: dict[str, str] | None = None) -> Path:
    """Its net file.

    Args:
        names: of streets, by edge id.
    """
    net = folder / "grid.net.xml"
    generate_network(net, OPTIONS, "Invented streets")
    text = net.read_text(encoding="utf-8")
    for edge, name in (names or {}).items():
        text = re.sub(rf'<edge id="{edge}"', rf'<edge id="{edge}" name="{name}"', text)
    net.write_text(text, encoding="utf-8")
    return net


def on_grid(net: Path, **more) -> Settings:
    """Sixty agents within half a minute, planned by a stand-in that makes no mistakes."""
    wanted = {"map.name": str(net), "scenario.agents": 60, "model.name": "stand-in", "demonstration.rounds": 2}
    wanted |= {"model.retries": 0, "model.stand_in_error_rate": 0.0, "demonstration.share": 0.2}
    return settings_for_run(overrides=wanted | {key.replace("__", "."): value for key, value in more.items()})
