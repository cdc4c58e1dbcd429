"""Where `langgraph dev` and Studio find the graph; its settings are those of the LEED_ variables."""

from leed_agentic.demonstrations.graph import demonstration_graph

graph = demonstration_graph()
