"""`leed train`: learn to drive, from own experience and from demonstrations."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from leed_agentic.cli.console import Lines, err, out, print_json
from leed_agentic.cli.interrupt import Interrupt
from leed_agentic.cli.options import Background, Closures, Demand, Fleet, Trust, demand_settings, plannings
from leed_agentic.errors import LeedError, StoppedError, UsageError

if TYPE_CHECKING:
    from leed_agentic.settings import Settings

Assignments = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, such as -s learning.epochs=8.")
BARS = "▁▂▃▄▅▆▇█"
SPINNER = 4
"""Columns of the turning sign in front of the live line, and a margin."""


def train(
    map: str | None = typer.Option(None, "--map", help="A named map, a .net.xml(.gz) or an .osm(.xml)(.gz) file."),
    agents: int | None = typer.Option(None, help="Number of agents."),
    demand: list[Path] | None = Demand,
    fleet: str | None = Fleet,
    background: list[Path] | None = Background,
    closures: Path | None = Closures,
    algorithm: str | None = typer.Option(
        None, help="leed, ippo, mappo, qmix, q-lambda, bc, bc-then-ppo, dapg, sil or the dotted path of your own."
    ),
    source: str | None = typer.Option(
        None, help="Of demonstrations: graph, file, lights, logit, shortest-path, none or the dotted path of your own."
    ),
    demonstrations: Path | None = typer.Option(None, help="The demonstrations.json of source file."),
    model: str | None = typer.Option(
        None, help="Of source graph: provider:name or stand-in (default; no LLM is called)."
    ),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    planning: str | None = typer.Option(None, help=f"Of source graph: {plannings()} or your own."),
    episodes: int | None = typer.Option(None, help="Episodes; with --resume a larger number extends the run."),
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
    trust: bool = Trust,
    live_page: bool = typer.Option(False, "--live", help="Serve a page on this machine that follows the training."),
    live_port: int = typer.Option(0, "--live-port", min=0, max=65535, help="Its port; 0: one that is free."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Train one policy per vehicle.

    A run that was stopped goes on with --resume RUN, and one that is finished with --resume RUN --episodes MORE.
    """
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
        **demand_settings(demand, fleet, background, closures, agents),
    }
    if resume and (out_folder or settings_file):
        raise UsageError("--resume takes folder and settings from the run; leave out --out and --settings.")

    live, folder = LiveView(), resume
    made_here = not resume and not (out_folder and out_folder.exists())
    try:
        with Interrupt() as interrupt:
            from leed_agentic.learning.run import finished_summary
            from leed_agentic.runs.folder import create_run_folder
            from leed_agentic.settings import given_settings, load_settings

            if resume and episodes is not None:
                from leed_agentic.learning.run import extend

                length = given.pop("learning.episodes")
                if episodes < 1:
                    raise UsageError(f"--episodes must be 1 or more, not {episodes}.")
                extend(resume, length, given_settings(assignments or (), given), trust)
            words = given_settings(assignments or (), given)
            settings = None if resume else load_settings(settings_file, assignments or (), given, trust=trust)
            result = finished_summary(resume, words, trust) if resume else None
            if result is not None:
                done = f"{resume} has trained all its {result['episodes']} episodes; this is its summary."
                err.print(done, markup=False, highlight=False)
            else:
                interrupt.check()
                if settings is not None:
                    folder = create_run_folder(out_folder, settings.map.name, settings.learning.algorithm)
                result = _trained(settings, folder, words, trust, live, interrupt, live_port if live_page else None)
    except KeyboardInterrupt:
        raise StoppedError(_how_to_go_on(folder)) from None
    finally:
        if made_here and folder is not None:
            # A run that could not begin leaves no empty folder behind; one that is not empty stays.
            with suppress(OSError):
                folder.rmdir()
    if result.get("failure"):
        raise LeedError(result["failure"])
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        out.print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}", highlight=False)
    run = shlex.quote(str(result["run"]))
    out.print(f"Look at it: leed report {run}; compare it: leed evaluate {run}", markup=False, highlight=False)


def _trained(
    settings: Settings | None,
    folder: Path | None,
    words: Mapping[str, Any],
    trust: bool,
    live: LiveView,
    interrupt: Interrupt,
    port: int | None,
) -> dict[str, Any]:
    """Train in `folder`, from the start with these settings or on from its last checkpoint; returns the summary.

    Args:
        words: settings that the call names; a run that goes on is told to stay as it is by them.
        port: of the live page; None: no page.
    """
    from leed_agentic.demonstrations.source import GraphSource
    from leed_agentic.learning.session import begin, finish, for_training, take_up

    assert folder is not None  # noqa: S101 - the command always has one

    def watch(row: Mapping[str, Any]) -> None:
        live.watch(row)
        interrupt.check()

    def note(line: str) -> None:
        live.note(line)
        interrupt.check()

    graph = partial(GraphSource, progress=note)
    if settings is None:
        session = take_up(folder, graph, watch, given=words, trust=trust)
    else:
        session = begin(for_training(settings), folder, graph, watch)
    page = None
    try:
        if port is not None:
            from leed_agentic.report.live import LivePage

            page = LivePage(folder, session.world.env.network, port)
            err.print(f"Live page: {page.address}", markup=False, highlight=False)
        live.start(session.trainer.episode, session.settings.learning.episodes)
        interrupt.check()
        return finish(session)
    finally:
        live.stop()
        if page:
            page.close()
        session.close()


def _how_to_go_on(folder: Path | None) -> str:
    from leed_agentic.runs.files import read_json

    if folder is None or not (folder / "run.json").is_file():
        return "Stopped before the training began; nothing is lost, start again."
    done = max((int(p.name) for p in (folder / "checkpoints").glob("[0-9]*")), default=0)
    words = ["leed", "train", "--resume", str(folder)]
    with suppress(LeedError, AttributeError, KeyError):
        if address := read_json(folder / "run.json", "a training run")["settings"]["model"].get("base_url"):
            # A server gets the key only where it is named on the call.
            words += ["--base-url", address]
    return f"Stopped; go on from episode {done} with: {shlex.join(words)}"


class LiveView:
    """One line on a terminal: progress, reward sparkline, arrival, alpha, time left. Elsewhere plain lines."""

    def __init__(self) -> None:
        self._plain = Lines()
        self._rewards: list[float] = []
        self._status: Any = None
        self._shown = 0.0
        self._progress = ""

    def start(self, done: int, episodes: int) -> None:
        self._first, self._episodes, self._began = done, episodes, time.monotonic()
        self._progress = f"{done}/{episodes}"
        if err.is_terminal:
            self._status = err.status(self._progress)
            self._status.start()

    def stop(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None

    def note(self, line: str) -> None:
        """What the source is busy with: a question to a language model can take minutes."""
        self._show(f"{self._progress} {line}")

    def watch(self, row: Mapping[str, Any]) -> None:
        self._rewards.append(float(row["reward_mean"]))
        now = time.monotonic()
        if now - self._shown < 0.2:
            return
        self._shown = now
        done = int(row["episode"]) + 1
        self._progress = f"{done}/{self._episodes}"
        left = (now - self._began) / max(done - self._first, 1) * (self._episodes - done)
        alpha = row.get("alpha_mean", "")
        figures = (
            f"reward {self._rewards[-1]:.0f}, arrived {float(row['arrival_rate']):.0%}, "
            f"alpha {f'{alpha:.2f}' if alpha != '' else '-'}, {duration(left)} left"
        )
        room = 0 if not err.is_terminal else err.width - len(figures) - len(self._progress) - SPINNER - 2
        bars = sparkline(self._rewards, min(30, room)) + " " if room > 3 else ""
        self._show(f"{self._progress} {bars}{figures}")

    def _show(self, line: str) -> None:
        if self._status:
            # Cut to the terminal: a line that wraps cannot be drawn over.
            self._status.update(Text(line[: err.width - SPINNER], no_wrap=True))
        else:
            self._plain(line)


def duration(seconds: float) -> str:
    """Seconds in the unit people would choose."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def sparkline(values: list[float], width: int) -> str:
    """Means of `width` equal stretches as bars."""
    size = max(1, -(-len(values) // width))
    means = [sum(values[i : i + size]) / len(values[i : i + size]) for i in range(0, len(values), size)]
    low, high = min(means), max(means)
    return "".join(BARS[int((m - low) / ((high - low) or 1.0) * (len(BARS) - 1))] for m in means)
