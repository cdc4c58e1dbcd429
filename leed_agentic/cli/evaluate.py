"""`leed evaluate`: how a run's trained policies drive, next to drivers that learned nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.options import Background, Closures, Demand, Fleet, Trust, demand_settings
from leed_agentic.errors import UsageError


def evaluate(
    run: Path = typer.Argument(help="A run folder of `leed train`."),
    episodes: int = typer.Option(20, help="Episodes per driver."),
    deterministic: bool = typer.Option(
        False, "--deterministic", help="Take each policy's likeliest action in place of drawing one."
    ),
    demonstrations: Path | None = typer.Option(
        None, help="The demonstrations.json to drive as the plan; unset: those the run ended with."
    ),
    demand: list[Path] | None = Demand,
    fleet: str | None = Fleet,
    background: list[Path] | None = Background,
    closures: Path | None = Closures,
    held_out: int | None = typer.Option(
        None, "--held-out", help="So many scenarios that training never drew, one episode each, in place of its own."
    ),
    first_seed: int | None = typer.Option(
        None, "--first-seed", help="With --held-out: the first scenario's seed, counted up from; unset: the run's own."
    ),
    emissions: bool = typer.Option(False, "--co2", help="Also measure CO2."),
    trust: bool = Trust,
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="A setting of the run named again, to vouch for it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Drive a run's latest policies on seeds that training did not use, next to random, shortest path and the plan.

    With --demand they drive other trips than they learned on, of as many agents. The figures are also written to
    evaluation.json in the run folder, of held-out scenarios to held-out.json; a later evaluation replaces them.
    """
    from leed_agentic.learning.evaluation import FILE, HELD_OUT, evaluate_run
    from leed_agentic.runs.files import write_json
    from leed_agentic.settings import given_settings

    if first_seed is not None and held_out is None:
        raise UsageError("--first-seed is the seed of held-out scenarios; say how many with --held-out.")
    if held_out is not None and (demonstrations or demand):
        raise UsageError("A plan or a demand is one scenario; leave it or --held-out out.")

    def note(line: str) -> None:
        if line.startswith("No row"):
            err.print(line, markup=False, highlight=False)
        else:
            status.update(line)

    with err.status("evaluating") as status:
        result = evaluate_run(
            run,
            episodes,
            deterministic,
            demonstrations,
            trust,
            note,
            demand_settings(demand, fleet, background, closures),
            given_settings(assignments or ()),
            held_out,
            first_seed,
            emissions,
        )
    # Shown before it is written: a full disk does not cost the figures.
    print_json(result) if as_json else _show(result)
    write_json(run / (FILE if held_out is None else HELD_OUT), result)


def _show(result: dict[str, Any]) -> None:
    from leed_agentic.traffic.fleet_table import fleet_lines

    out.print(
        f"{result['agents']} agents on {result['map']}, {result['algorithm']} trained for {result['trained_episodes']} "
        f"episodes; {_what(result)}",
        markup=False,
        highlight=False,
    )
    names = [_name(row, result["agents"]) for row in result["drivers"]]
    width = max(len(name) for name in names)
    heads = [("reward", 8), ("std", 6), ("arrived", 7), ("ratio", 5), ("gain", 5)]
    out.print(" " * width, " ".join(f"{head:>{wide}}" for head, wide in heads))
    for name, row in zip(names, result["drivers"], strict=True):
        out.print(
            f"{name:{width}} {_number(row['reward_mean'], 1):>8} {_number(row['reward_std'], 1):>6} "
            f"{row['arrival_rate']:>7.0%} {_number(row['travel_time_ratio'], 2):>5} {_number(row['gain'], 2):>5}",
            markup=False,
            highlight=False,
        )
    fleets = {name: row["fleet"] for name, row in zip(names, result["drivers"], strict=True)}
    out.print("Of the fleet, by SUMO; seconds from planned departure to arrival or to the end:")
    for line in fleet_lines(fleets):
        out.print(line, markup=False, highlight=False)
    if result["held_out"]:
        for name, row in zip(names, result["drivers"], strict=True):
            if row["reward_interval"]:
                (low, high), (least, most) = row["reward_interval"], row["arrival_interval"]
                out.print(
                    f"{name:{width}} reward [{low:.1f}, {high:.1f}], arrived [{least:.0%}, {most:.0%}]",
                    markup=False,
                    highlight=False,
                )
        out.print("In brackets: Student's 95 % interval over scenarios.", markup=False, highlight=False)
    elif not result["driver_noise"]:
        out.print("Without driver noise every episode is the same one for a driver that draws nothing: std 0.")


def _what(result: dict[str, Any]) -> str:
    seeds = result["seeds"]
    if result["held_out"]:
        return f"{len(seeds)} scenarios that training never drew, one episode each, from seed {seeds[0]} to {seeds[-1]}"
    return f"episodes per driver: {len(seeds)}, seeds from {seeds[0]} down"


def _name(row: dict[str, Any], agents: int) -> str:
    return row["driver"] if row["agents"] == agents else f"{row['driver']}, {row['agents']} of {agents} agents"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
