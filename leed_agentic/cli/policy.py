"""`leed policy`: take trained policies out of a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from leed_agentic.cli.console import out, print_json
from leed_agentic.cli.options import Trust

app = typer.Typer(no_args_is_help=True, help="Trained policies as files of their own.")


class Format(StrEnum):
    """What a policy is written as."""

    safetensors = "safetensors"
    onnx = "onnx"


@app.command()
def export(
    run: Path = typer.Argument(help="A run folder of `leed train`."),
    agent: int | None = typer.Option(None, help="Number of the agent, from 0; all agents when unset."),
    out_file: Path | None = typer.Option(
        None,
        "--out",
        help="A new file, or for all agents a new folder; in <run>/policies when unset, replaced if there.",
    ),
    format: Format = typer.Option(Format.safetensors, help="safetensors for `Policy.load`, or onnx for anybody."),
    trust: bool = Trust,
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="A setting of the run named again, to vouch for it."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Write policies, as of the run's latest checkpoint, to files that are used without the run.

    All agents' come with a model card, README.md, whose head is what Hugging Face reads.
    """
    from leed_agentic.errors import UsageError
    from leed_agentic.learning.card import model_card
    from leed_agentic.learning.onnx_file import save_onnx
    from leed_agentic.learning.session import load_run, take_up
    from leed_agentic.runs.files import write_text
    from leed_agentic.settings import given_settings

    if out_file and out_file.exists():
        raise UsageError(f"{out_file} exists; give a new one with --out.")
    session = take_up(run, with_source=False, given=given_settings(assignments or ()), trust=trust, drives=False)
    try:
        policies = [session.policy(n) for n in (range(session.world.agents) if agent is None else [agent])]
        credit = session.world.env.network.attribution
    finally:
        session.close()
    folder = run / "policies" if out_file is None else out_file
    written = []
    for policy in policies:
        whole = out_file if out_file and agent is not None else folder / f"agent_{policy.agent}.{format.value}"
        if format is Format.onnx:
            save_onnx(policy, whole)
        else:
            policy.save(whole)
        written.append(whole)
    if agent is None:
        card = folder / "README.md"
        # Of its settings only numbers and names are read here, and those were vouched for above.
        write_text(card, model_card(policies, load_run(run, trust=True).summary, credit))
        written.append(card)
        shown: tuple[str, ...] = ("map", "algorithm", "trained_episodes")
        result: dict[str, Any] = {"folder": str(folder), "files": [file.name for file in written]}
    else:
        shown = ("map", "agent", "start_edge", "destination", "algorithm", "trained_episodes")
        result = {"file": str(written[0]), "bytes": written[0].stat().st_size}
    result |= {name: policies[0].facts[name] for name in shown}
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        text = ", ".join(value) if isinstance(value, list) else value
        out.print(f"{name}: {text}", markup=False, highlight=False)
