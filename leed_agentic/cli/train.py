"""`leed train`: learn to drive, from own experience and from demonstrations."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from leed_agentic.cli.console import err, out, print_json

Assignments = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, such as -s learning.epochs=8.")
BARS = "▁▂▃▄▅▆▇█"


def train(
    map: str | None = typer.Option(None, "--map", help="A named map, a .net.xml(.gz) or an .osm(.xml)(.gz) file."),
    agents: int | None = typer.Option(None, help="Number of agents."),
    algorithm: str | None = typer.Option(None, help="leed or ippo."),
    source: str | None = typer.Option(None, help="Of demonstrations: graph, file, logit, shortest-path or none."),
    demonstrations: Path | None = typer.Option(None, help="The demonstrations.json of source file."),
    model: str | None = typer.Option(
        None, help="Of source graph: provider:name or stand-in (default; no LLM is called)."
    ),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    planning: str | None = typer.Option(None, help="Of source graph: fleet, agent or junction."),
    episodes: int | None = typer.Option(None, help="Episodes."),
    steps: int | None = typer.Option(None, help="Steps per episode."),
    q: int | None = typer.Option(None, help="Episodes between two questions to the source."),
    seed: int | None = typer.Option(None, help="Seed of the scenario and of everything random."),
    device: str | None = typer.Option(None, help="Torch device of the update."),
    out_folder: Path | None = typer.Option(
        None, "--out", help="Run folder; runs/<time>_<map>_<algorithm>/ when unset."
    ),
    resume: Path | None = typer.Option(None, "--resume", help="Go on with a run from its last checkpoint."),
    settings_file: Path | None = typer.Option(None, "--settings", help="A YAML file of settings."),
    assignments: list[str] | None = Assignments,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Train one policy per vehicle. A run that was stopped goes on with --resume RUN."""
    given = {
        "map.name": map,
        "scenario.agents": agents,
        "learning.algorithm": algorithm,
        "learning.source": source or ("file" if demonstrations else None),
        "learning.demonstrations": demonstrations,
        "model.name": model,
        "model.base_url": base_url,
        "demonstration.planning": planning,
        "learning.episodes": episodes,
        "environment.max_steps": steps,
        "learning.q": q,
        "seed": seed,
        "learning.device": device,
    }
    from leed_agentic.errors import UsageError
    from leed_agentic.settings import load_settings

    refused = [name for name, value in given.items() if value is not None]
    if resume and (refused or out_folder or settings_file or assignments):
        raise UsageError("--resume takes every setting from the run; leave the other options out.")
    settings = None if resume else load_settings(settings_file, assignments or (), given)
    if settings is not None and "name" not in settings.model.model_fields_set:
        # The shipped recording answers one scenario's questions, and training asks new ones.
        settings.model.name = "stand-in"

    from leed_agentic.demonstrations.run_folder import create_run_folder
    from leed_agentic.demonstrations.source import GraphSource
    from leed_agentic.learning.session import begin, summary, take_up

    live = LiveView()
    if resume:
        session = take_up(resume, GraphSource, warn=live.warn, watch=live.watch)
    else:
        assert settings is not None  # noqa: S101 - set above unless resuming
        folder = create_run_folder(out_folder, settings.map.name, settings.learning.algorithm)
        session = begin(settings, folder, GraphSource, warn=live.warn, watch=live.watch)
    folder_, learning = session.folder, session.settings.learning
    live.start(session.trainer.episode, learning.episodes)
    try:
        session.trainer.run()
        result = summary(session)
        assert folder_ is not None  # noqa: S101 - the command always has one
        (folder_ / "summary.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        err.print(f"Stopped after {session.trainer.episode} episodes; go on with: leed train --resume {folder_}")
        raise
    finally:
        live.stop()
        session.close()
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        out.print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}", highlight=False)


class LiveView:
    """One line on a terminal: progress, reward sparkline, arrival, alpha, time left. Silent elsewhere."""

    def __init__(self) -> None:
        self._rewards: list[float] = []
        self._status: Any = None
        self._shown = 0.0

    def start(self, done: int, episodes: int) -> None:
        self._first, self._episodes, self._began = done, episodes, time.monotonic()
        if err.is_terminal:
            self._status = err.status("training")
            self._status.start()

    def stop(self) -> None:
        if self._status:
            self._status.stop()

    def warn(self, line: str) -> None:
        err.print("Warning: ", style="yellow", end="")
        err.print(line, markup=False, highlight=False)

    def watch(self, row: Mapping[str, Any]) -> None:
        self._rewards.append(float(row["reward_mean"]))
        now = time.monotonic()
        if not self._status or now - self._shown < 0.2:
            return
        self._shown = now
        done = int(row["episode"]) + 1
        left = (now - self._began) / max(done - self._first, 1) * (self._episodes - done)
        alpha = row.get("alpha_mean", "")
        self._status.update(
            f"{done}/{self._episodes} {sparkline(self._rewards, 30)} reward {self._rewards[-1]:.0f} "
            f"arrived {float(row['arrival_rate']):.0%} alpha {f'{alpha:.2f}' if alpha != '' else '-'} {left:.0f} s left"
        )


def sparkline(values: list[float], width: int) -> str:
    """Means of `width` equal stretches as bars."""
    size = max(1, -(-len(values) // width))
    means = [sum(values[i : i + size]) / len(values[i : i + size]) for i in range(0, len(values), size)]
    low, high = min(means), max(means)
    return "".join(BARS[int((m - low) / ((high - low) or 1.0) * (len(BARS) - 1))] for m in means)
