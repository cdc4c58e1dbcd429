"""`leed demo`: plan routes with a language model, look at a run, check a route file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from leed_agentic.cli.calls import calls
from leed_agentic.cli.check import check
from leed_agentic.cli.compare import compare
from leed_agentic.cli.console import Lines, err, out, print_json
from leed_agentic.cli.interrupt import Interrupt
from leed_agentic.cli.leaderboard import leaderboard
from leed_agentic.cli.options import Background, Closures, Demand, Fleet, Trust, demand_settings, plannings
from leed_agentic.cli.review import Reviewer, RulesReviewer
from leed_agentic.credentials import plain_address
from leed_agentic.errors import StoppedError, UnavailableError, UnwritableError, UsageError
from leed_agentic.runs.files import check_plain, is_named

app = typer.Typer(no_args_is_help=True, help="Expert demonstrations: routes planned by a language model.")
app.command()(compare)
app.command()(check)
app.command()(calls)
app.command()(leaderboard)

Assignments = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, such as -s model.max_calls=50.")


@app.command()
def generate(
    map: str | None = typer.Option(None, "--map", help="A named map, a .net.xml(.gz) or an .osm(.xml)(.gz) file."),
    agents: int | None = typer.Option(None, help="Number of agents."),
    demand: list[Path] | None = Demand,
    fleet: str | None = Fleet,
    background: list[Path] | None = Background,
    closures: Path | None = Closures,
    model: str | None = typer.Option(None, help="provider:name, replay or stand-in."),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    replay: Path | None = typer.Option(None, help="The calls.jsonl that the replay model plays back."),
    planning: str | None = typer.Option(None, help=f"{plannings()} or your own."),
    prompts: Path | None = typer.Option(None, help="Prompt templates: default, short or a folder of your own."),
    rounds: int | None = typer.Option(None, help="Refinements after the first plan."),
    seed: int | None = typer.Option(None, help="Seed of the scenario and of everything random."),
    max_calls: int | None = typer.Option(None, help="Cap on calls; reaching one ends the run with the best so far."),
    max_tokens: int | None = typer.Option(None, help="Cap on input plus output tokens, likewise."),
    max_cost: float | None = typer.Option(None, help="Cap on the cost, likewise; needs model.price_input and _output."),
    policy: Path | None = typer.Option(None, help="A training run; the critique compares with its agents."),
    out_folder: Path | None = typer.Option(None, "--out", help="Run folder; runs/<time>_<map>_<model>/ when unset."),
    resume: Path | None = typer.Option(
        None, "--resume", help="Go on with a run that was stopped; what it has asked is not asked again."
    ),
    settings_file: Path | None = typer.Option(None, "--settings", help="A YAML file of settings."),
    assignments: list[str] | None = Assignments,
    trust: bool = Trust,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Write the prompts and their sizes; call nothing."),
    review: bool = typer.Option(False, "--review", help="Ask you before routes are driven."),
    brief: str | None = typer.Option(None, help="Wishes in words, a text file of them, or a .json file of rules."),
    emissions: bool = typer.Option(False, "--co2", help="Also measure CO2."),
    yes: bool = typer.Option(False, "--yes", help="Drive by the rules that the brief came to, without asking."),
) -> None:
    """Plan routes for a fleet, check them, drive them in SUMO, criticise and refine them.

    A run that was stopped (Ctrl-C, a kill, a server that went away) goes on with --resume RUN.

    In tables, valid is the share of agents with a route that can be driven, and time against shortest path (in traffic:
    times driving alone) the driven time over that of the fastest path alone.

    Exit code 1: it ran, but not every agent has a valid route, or a rule of the brief is not met.
    """
    given = {
        "map.name": map,
        "scenario.agents": agents,
        "model.name": model,
        "model.base_url": base_url,
        "model.replay": replay,
        "demonstration.planning": planning,
        "demonstration.prompts": prompts,
        "demonstration.rounds": rounds,
        "model.max_calls": max_calls,
        "model.max_tokens": max_tokens,
        "model.max_cost": max_cost,
        "seed": seed,
        **demand_settings(demand, fleet, background, closures, agents),
    }
    if resume and (out_folder or settings_file or dry_run):
        raise UsageError("--resume takes folder and settings from the run; leave out --out, --settings and --dry-run.")
    if dry_run and review:
        raise UsageError("--dry-run plans nothing that --review could show; leave one of them out.")
    words = _brief(brief, given)
    stopped, plain = Stopped(resume), Lines()
    with stopped.told(), err.status("reading settings") as status:

        def say(line: str) -> None:
            stopped.check()
            status.update(Text(line))
            plain(line)

        from leed_agentic.demonstrations.dry_run import write_prompts
        from leed_agentic.demonstrations.generate import generate as run
        from leed_agentic.demonstrations.generate import settings_of_run
        from leed_agentic.demonstrations.replay import settings_for_run
        from leed_agentic.demonstrations.results import finished
        from leed_agentic.settings import given_settings

        result = None
        if resume:
            settings = settings_of_run(resume, given_settings(assignments or (), given), trust)
            result = finished(resume)
        else:
            settings = settings_for_run(settings_file, assignments or (), given, trust, wishes=words is not None)
        stopped.address = settings.model.base_url
        _warn_of_unused_templates(settings)
        if dry_run:
            summary = write_prompts(settings, out_folder, progress=say)
            print_json(summary) if as_json else _show_summary(summary)
            return
        if result is not None:
            err.print(f"{resume} came to its end; this is its summary.", markup=False, highlight=False)
        else:
            result = run(
                settings,
                resume or out_folder,
                policy,
                progress=say,
                reviewer=Reviewer(status) if review else None,
                resume=resume is not None,
                on_folder=stopped.began,
                brief=words,
                accept=RulesReviewer(status, review, yes),
                emissions=emissions,
            )
    with _damaged(resume) if resume else nullcontext():
        print_json(result.summary) if as_json else _show_run(result.folder, result.demonstrations, result.summary)
    traffic = result.summary.get("traffic") or {"rules": []}
    if result.demonstrations.validity < 1.0 or not all(rule["met"] for rule in traffic["rules"]):
        raise typer.Exit(1)


class Stopped:
    """Says how to go on with a run that Ctrl-C or a server stops.

    Args:
        folder: of the run, where there is one already.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._interrupt = Interrupt()
        self.address: str | None = None
        """Of the server; it gets the key only where it is named on the call."""

    def began(self, folder: Path) -> None:
        """From now on there is something to go on with."""
        self._folder = folder

    def check(self) -> None:
        """Raises KeyboardInterrupt when Ctrl-C was pressed."""
        self._interrupt.check()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around the run.

        Raises:
            StoppedError: Ctrl-C was pressed.
        """
        try:
            with self._interrupt:
                yield
        except KeyboardInterrupt:
            nothing = "Stopped before anything was asked; nothing is lost, start again."
            raise StoppedError(f"Stopped; {self._how_on}" if self._folder else nothing) from None
        except UnwritableError as error:
            if not self._folder:
                raise
            begun = (self._folder / "settings.json").is_file()
            raise UnwritableError(
                f"{error} Then {self._how_on if begun else 'begin again in an empty folder.'}"
            ) from error
        except UnavailableError:
            if self._folder:
                err.print(f"When that is mended, {self._how_on}", markup=False, highlight=False)
            raise

    @property
    def _how_on(self) -> str:
        words = ["leed", "demo", "generate", "--resume", str(self._folder)]
        if self.address:
            words += ["--base-url", plain_address(self.address)]
        return f"go on, without asking again what was answered, with: {shlex.join(words)}"


@app.command()
def show(
    run: Path = typer.Argument(help="A run folder."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """The essential table of a run, and where its map picture is."""
    from leed_agentic.runs.files import read_json
    from leed_agentic.runs.folder import check_links
    from leed_agentic.traffic.demonstration import DemonstrationSet

    if not run.is_dir():
        raise UsageError(f"There is no folder {run}; give one that `leed demo generate` made.")
    check_links(run)
    if (run / "run.json").is_file():
        raise UsageError(f"{run} is a training run; look at it with: leed report {shlex.quote(str(run))}")
    demonstrations = DemonstrationSet.load(run / "demonstrations.json")
    summary = read_json(run / "summary.json", "the summary of a finished run; give a folder of `leed demo generate`")
    with _damaged(run):
        print_json(summary) if as_json else _show_run(run, demonstrations, summary)


@contextmanager
def _damaged(run: Path) -> Iterator[None]:
    """Around what shows a folder of anybody's. Raises UsageError where its files hold other things than they should."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UsageError(
            f"{run / 'summary.json'} or a file beside it is damaged ({type(error).__name__}: {error}); generate again."
        ) from error


def _brief(brief: str | None, given: dict[str, Any]) -> str | None:
    """The words; a file of rules becomes a setting."""
    if brief is None:
        return None
    if not is_named(brief):
        if brief.endswith(".json"):
            raise UsageError(f"There is no file {brief}; give rules as JSON, or wishes in words.")
        return brief
    if brief.endswith(".json"):
        given["demonstration.rules"] = brief
        return None
    try:
        return check_plain(Path(brief)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Cannot read the brief {brief} as UTF-8 text: {error}.") from error


def _warn_of_unused_templates(settings: Any) -> None:
    if settings.demonstration.prompts is None:
        return
    from leed_agentic.demonstrations.prompts import USED_BY, PromptSet

    planning = settings.demonstration.planning
    changed = PromptSet.load(settings.demonstration.prompts).changed_in_vain(planning)
    if changed:
        others = ", ".join(sorted({other for name in changed for other in USED_BY[name]}))
        recorded = " The recording answers for no other." if settings.model.name == "replay" else ""
        err.print(
            f"Note: {planning} planning uses none of your changed templates ({', '.join(changed)}); they are for "
            f"--planning {others}.{recorded}",
            markup=False,
            highlight=False,
        )


def _show_summary(summary: dict[str, Any]) -> None:
    for name, value in summary.items():
        out.print(f"{name}: {value}", markup=False, highlight=False)


def _show_run(folder: Path, demonstrations: Any, summary: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title=f"{summary['agents']} agents on {summary['map']}, planned by {summary['model']}")
    for column in (
        "round",
        "asked",
        "valid in reply",
        "valid",
        "reward",
        # In traffic the fastest path alone is no way that anybody could have driven.
        "times driving alone" if summary.get("traffic") else "time against shortest path",
        "calls",
        "tokens in/out",
    ):
        table.add_column(column, justify="right")
    for r in demonstrations.rounds:
        table.add_row(
            str(r.round),
            str(len(r.asked)),
            f"{r.validity_reply:.0%}",
            f"{r.validity:.0%}",
            _number(r.reward_mean, 1),
            _number(r.travel_time_ratio, 2),
            str(r.calls),
            "replayed" if summary.get("replayed_calls") else f"{r.input_tokens}/{r.output_tokens}",
        )
    out.print(table)
    _show_traffic(demonstrations, summary.get("traffic"))
    if summary.get("stopped"):
        out.print(f"Stopped early: {summary['stopped']}", markup=False, highlight=False)
    valid, agents = len(demonstrations.routes), summary["agents"]
    driven = "No route was driven."
    if summary["reward_mean"] is not None:
        driven = (
            f"Driven in SUMO, {summary['arrival_rate']:.0%} of these arrived, in "
            f"{_number(summary['travel_time_ratio'], 2)} times the time of the fastest path alone, with mean reward "
            f"{summary['reward_mean']:.1f}."
        )
    out.print(f"{valid} of {agents} agents have a valid route. {driven}", highlight=False)
    if fleet := summary.get("fleet"):
        from leed_agentic.traffic.fleet_table import fleet_lines

        out.print("By plain SUMO, seconds from planned departure to arrival or to the end:")
        for line in fleet_lines({"fleet": fleet}):
            out.print(line, markup=False, highlight=False)
    _show_findings(folder, demonstrations)
    if spent := _cost(summary):
        out.print(spent, markup=False, highlight=False)
    # The trials of a comparison have neither.
    for name, words in (("routes.png", "Map picture: "), ("run.sumocfg", "SUMO: sumo -c ")):
        if (folder / name).is_file():
            out.print(f"{words}{folder / name}", markup=False, highlight=False)
    out.print(f"Look at it: leed report {shlex.quote(str(folder))}", markup=False, highlight=False)
    out.print(demonstrations.provenance.get("attribution", ""), markup=False, highlight=False)


def _show_traffic(demonstrations: Any, traffic: dict[str, Any] | None) -> None:
    """What the plans took beside the baselines, and what became of a person's rules."""
    if not traffic:
        return
    from rich.table import Table
    from rich.text import Text

    judged = f", judged by {traffic['noise_seeds']} drives in noise" if traffic["noise_seeds"] else ""
    table = Table(title=f"Mean seconds from planned departure to arrival{judged}; {traffic['sumo_runs']} SUMO runs")
    for column in ("plan", "fleet", "others", "asked", "moved", "not read", ""):
        table.add_column(column, justify="left" if column in ("plan", "") else "right")
    kept = "kept"
    for name, seconds in traffic["baselines"].items():
        table.add_row(name, f"{seconds:.1f}", "", "", "", "", kept if name == traffic["kept"] else "")
    for r in demonstrations.rounds:
        if r.fleet_time is not None and (r.round or r.moved):
            name = f"round {r.round}"
            figures = (f"{r.fleet_time:.1f}", _number(r.others_time, 1), str(len(r.asked)), str(r.moved), str(r.unread))
            table.add_row(name, *figures, kept if name == traffic["kept"] else "")
    out.print(table)
    if traffic.get("rules"):
        rules = Table(title="Rules")
        for column in ("rule", "met", "found"):
            rules.add_column(column)
        for rule in traffic["rules"]:
            rules.add_row(Text(rule["rule"]), "yes" if rule["met"] else "no", Text(rule["found"]))
        out.print(rules)


FINDINGS = 3
"""Of agents without a valid route, that the terminal shows."""


def _show_findings(folder: Path, demonstrations: Any) -> None:
    """Why agents have no valid route: the last finding of the first few, and where the replies are."""
    lacking = [trip.agent for trip in demonstrations.scenario.agents if trip.agent not in demonstrations.routes]
    if not lacking or not demonstrations.rounds:
        return
    last: dict[int, str] = {}
    for r in demonstrations.rounds:
        whole = [str(f["message"]) for f in r.findings if f.get("agent") is None]
        for agent in r.asked:
            own = [str(f["message"]) for f in r.findings if f.get("agent") == agent]
            if words := own or whole:
                last[agent] = words[0]
    from leed_agentic.models.reply import shortened

    for agent in lacking[:FINDINGS]:
        why = last.get(agent, f"Agent {agent} was never asked for.")
        named = why if why.startswith(f"Agent {agent}") else f"Agent {agent}: {why}"
        told = demonstrations.scenario.named(shortened(named))
        out.print(f"No valid route: {told}", markup=False, highlight=False)
    words = ["leed", "demo", "calls", str(folder), "--failed"]
    if len(lacking) > FINDINGS:
        out.print(f"... and {len(lacking) - FINDINGS} more agents.")
    if (folder / "calls.jsonl").is_file():
        out.print(f"What the model said: {shlex.join(words)}", markup=False, highlight=False)


def _cost(summary: dict[str, Any]) -> str:
    """What the run cost; nothing where no model was paid, or the run is older than this figure."""
    cost = summary.get("cost", 0.0)
    if not summary["calls"]:
        return ""
    if cost is None:
        return "Cost: unknown; model.price_input or model.price_output is not set, or the server reports no tokens."
    as_of = f" (prices: {summary['price_as_of']})" if summary.get("price_as_of") else ""
    return f"Cost: {cost:.6g}{as_of}" if cost else ""


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
