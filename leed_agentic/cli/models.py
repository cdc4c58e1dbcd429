"""`leed models`: what can be asked, what is configured, and one tiny question to try it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.cli.options import Trust

app = typer.Typer(no_args_is_help=True, help="Models: which can be asked, where their keys come from, do they answer.")

BaseUrl = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1.")
SettingsFile = typer.Option(None, "--settings", help="A YAML file of settings.")
Assignments = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, as -s model.price_input=1.")
AsJson = typer.Option(False, "--json", help="Print one JSON object.")


@app.command("list")
def list_models(
    model: str | None = typer.Option(None, help="provider:name, replay or stand-in."),
    base_url: str | None = BaseUrl,
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    trust: bool = Trust,
    as_json: bool = AsJson,
) -> None:
    """The configured model with its address, key, prices and caps, then every provider that is known. Calls nothing."""
    from dataclasses import asdict

    from leed_agentic.credentials import plain_address
    from leed_agentic.models.providers import key_source, providers
    from leed_agentic.settings import load_settings

    given = {"model.name": model, "model.base_url": base_url}
    settings = load_settings(settings_file, assignments or (), given, trust=trust, uses="model").model
    configured: dict[str, Any] = {
        "model": settings.name,
        "base_url": plain_address(settings.base_url) if settings.base_url else None,
        "key": key_source(settings.name, settings.base_url),
        **settings.model_dump(
            include={"price_input", "price_output", "price_as_of", "max_calls", "max_tokens", "max_cost", "structured"}
        ),
    }
    rows = providers()
    if as_json:
        print_json({"configured": configured, "providers": [asdict(row) for row in rows]})
        return
    for name, value in configured.items():
        unset = "unknown" if name.startswith("price") else "none"
        out.print(f"{name + ':':<14}{unset if value is None else value}", markup=False, highlight=False)
    from rich.table import Table

    table = Table("--model", "key", "package", "", box=None, pad_edge=False)
    for row in rows:
        key = f"{' or '.join(row.variables)}: {'set' if row.key_set else 'not set'}" if row.variables else "none"
        table.add_row(row.form, key, "missing" if row.missing else "here", row.note)
    out.print()
    out.print(table)
    out.print(
        'A missing package: pip install "leed-agentic[providers]" langchain-PROVIDER', markup=False, highlight=False
    )


@app.command()
def ping(
    name: str = typer.Argument(help="provider:name, replay or stand-in."),
    base_url: str | None = BaseUrl,
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    trust: bool = Trust,
    as_json: bool = AsJson,
) -> None:
    """Ask one question of a few tokens. Exit code 2: a refused key or an unknown model; 3: it cannot be reached."""
    from dataclasses import asdict

    from leed_agentic.credentials import plain_address
    from leed_agentic.errors import LeedError
    from leed_agentic.models.ping import ping as ask
    from leed_agentic.models.providers import key_source
    from leed_agentic.settings import load_settings

    given = {"model.name": name, "model.base_url": base_url}
    settings = load_settings(settings_file, assignments or (), given, trust=trust, uses="model").model
    shown = {
        "model": name,
        "base_url": plain_address(settings.base_url) if settings.base_url else None,
        "key": key_source(name, settings.base_url),
    }
    try:
        with err.status(f"asking {name}"):
            pong = ask(settings)
    except LeedError as error:
        if as_json:
            print_json({**shown, "ok": False, "error": str(error)})
        raise
    if as_json:
        print_json({**shown, "ok": True, **asdict(pong)})
        return
    out.print(_sentence(pong), markup=False, highlight=False)
    out.print(f"Key: {shown['key']}", markup=False, highlight=False)


def _sentence(pong: Any) -> str:
    if pong.seconds is None:
        return f"{pong.label}: {pong.recorded_calls} recorded calls; nothing was asked."
    answered = f"{pong.label} answered in {pong.seconds:.2f} s"
    if not pong.usage_reported:
        return f"{answered}. It reports no tokens: caps count an estimate, and the cost stays unknown."
    cost = "unknown" if pong.cost is None else f"{pong.cost:.6g}"
    return f"{answered} and reports {pong.input_tokens} tokens in, {pong.output_tokens} out; cost {cost}."
