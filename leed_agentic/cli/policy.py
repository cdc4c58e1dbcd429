"""`leed policy`: take one agent's trained policy out of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from leed_agentic.cli.console import out, print_json
from leed_agentic.cli.options import Trust

app = typer.Typer(no_args_is_help=True, help="Trained policies as files of their own.")


@app.command()
def export(
    run: Path = typer.Argument(help="A run folder of `leed train`."),
    agent: int = typer.Option(help="Number of the agent, from 0."),
    out_file: Path | None = typer.Option(
        None, "--out", help="A new file; <run>/policies/agent_<number>.safetensors when unset, replaced if there."
    ),
    trust: bool = Trust,
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="A setting of the run named again, to vouch for it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Write one agent's policy, as of the run's latest checkpoint, to one file that is used without the run."""
    from leed_agentic.errors import UsageError
    from leed_agentic.learning.session import take_up
    from leed_agentic.settings import given_settings

    if out_file and out_file.exists():
        raise UsageError(f"{out_file} exists; give a new file with --out.")
    session = take_up(run, with_source=False, given=given_settings(assignments or ()), trust=trust)
    try:
        policy = session.policy(agent)
    finally:
        session.close()
    file = out_file or run / "policies" / f"agent_{agent}.safetensors"
    policy.save(file)
    shown = ("map", "agent", "start_edge", "destination", "algorithm", "trained_episodes")
    result = {"file": str(file), "bytes": file.stat().st_size, **{name: policy.facts[name] for name in shown}}
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        out.print(f"{name}: {value}", markup=False, highlight=False)
