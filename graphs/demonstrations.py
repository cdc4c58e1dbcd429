"""LangGraph Studio's entry point: the demonstration graph on the settings of the LEED_ variables (`langgraph dev`)."""

from __future__ import annotations

from typing import Any

from leed_agentic.demonstrations.generate import open_workshop
from leed_agentic.demonstrations.graph import build_graph
from leed_agentic.demonstrations.replay import settings_for_run


def graph() -> Any:
    """The compiled graph with its parts bound in; invoke it with an empty state."""
    return build_graph(open_workshop(settings_for_run()))
