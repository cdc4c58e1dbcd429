"""Every plot of a report as PNG and PDF."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.experiments.picture import draw
from leed_agentic.report.charts import Chart
from leed_agentic.report.content import Content
from leed_agentic.roads.picture import draw_map
from leed_agentic.runs.figures import save_figure


def draw_pictures(content: Content, folder: Path, progress: Callable[[str], Any] = lambda line: None) -> list[Path]:
    """Write them; returns the files.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = _map(content, folder)
        for chart in content.charts:
            progress(f"drawing {chart.key}")
            files += _chart(chart, _plain(content.title), folder)
        if content.evaluation:
            files += _evaluation(content.evaluation["drivers"], folder)
    except OSError as error:
        raise UsageError(f"Cannot write pictures into {folder} ({error.strerror or error}).") from error
    return files


def _map(content: Content, folder: Path) -> list[Path]:
    """The last routes that can be driven."""
    if content.streets is None or content.network is None:
        return []
    routes = _last_routes(content.streets, content.network)
    files = [folder / "map.png", folder / "map.pdf"]
    for file in files:
        draw_map(content.network, file, routes=routes)
    return files


def _last_routes(streets: dict[str, Any], network: Any) -> dict[int, list[str]]:
    """Of the driven episode, else of the last plan whose routes are all on the map."""
    numbers: dict[str, int] = {}
    if streets["drives"]:
        numbers = {agent: leg["route"] for agent, leg in streets["drives"][0]["legs"].items()}
    elif streets["plans"]:
        numbers = streets["plans"][-1]["routes"]
    routes = {int(agent): streets["routes"][number] for agent, number in numbers.items()}
    return {a: [network.edges[k].id for k in route] for a, route in routes.items() if route and min(route) >= 0}


def _chart(chart: Chart, title: str, folder: Path) -> list[Path]:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", chart.key)
    files = draw([replace(chart.panel, title="")], f"{title}: {chart.panel.title}", folder / name, 1)
    if chart.agents:
        panel = replace(chart.panel, title="", lines=chart.agents)
        files += draw([panel], f"{title}: {chart.panel.title}, each agent", folder / f"{name}_agents", 1)
    return files


def _evaluation(drivers: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Mean reward of every driver with its deviation over episodes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in reversed(drivers) if isinstance(row.get("reward_mean"), (int, float))]
    figure = Figure(figsize=(7, 0.5 * len(rows) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    means, spread = [row["reward_mean"] for row in rows], [row.get("reward_std") or 0.0 for row in rows]
    axes.barh([_plain(row["driver"]) for row in rows], means, xerr=spread, color="#6b7178", capsize=3)
    axes.set_xlabel("reward per episode, mean and deviation")
    axes.grid(axis="x", alpha=0.25)
    return save_figure(figure, folder / "evaluation")


def _plain(text: object) -> str:
    """Text in which matplotlib finds no formula; names come from runs."""
    return str(text).replace("$", r"\$")
