"""Write the graph's diagram: `python graphs/draw.py`; a test holds file and graph equal."""

from pathlib import Path

from leed_agentic.demonstrations.graph import demonstration_graph

if __name__ == "__main__":
    file = Path(__file__).with_name("demonstrations.mmd")
    file.write_text(demonstration_graph().get_graph().draw_mermaid(), encoding="utf-8")
