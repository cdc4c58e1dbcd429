"""`leed demo check`: judge any route file against any map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leed_agentic.cli.console import err, out, print_json
from leed_agentic.errors import UsageError

if TYPE_CHECKING:
    from leed_agentic.demonstrations.route_check import Verdict

MAX_LINES = 20


def check(
    file: Path = typer.Argument(
        help="demonstrations.json, SUMO routes, trips or flows (.rou.xml), or JSON of the form {agent: [edge, ...]}; "
        "packed or not."
    ),
    map: str | None = typer.Option(None, "--map", help="A named map or a network file."),
    settings_file: Path | None = typer.Option(None, "--settings", help="A YAML file of settings."),
    assignments: list[str] | None = typer.Option(
        None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, such as -s map.cache=FOLDER."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Judge every element of a route file against a map, or say why it is not judged.

    Exit code 1: something cannot be driven. Exit code 2: nothing in the file could be judged.
    """
    from leed_agentic.demonstrations.route_check import check_demands
    from leed_agentic.demonstrations.route_file import read_route_file
    from leed_agentic.roads.catalogue import open_map
    from leed_agentic.settings import load_settings

    settings = load_settings(settings_file, assignments or (), {"map.name": map}, uses="map")
    with err.status("opening the map") as status:
        network = open_map(settings.map.name, settings.map, status.update)
        status.update(f"reading {file.name}")
        demands = read_route_file(file)
        status.update(f"judging {len(demands)} elements")
        verdict = check_demands(network, demands)
    if not verdict.judged:
        reasons = "; ".join(_unjudged(verdict)) or "it is empty"
        raise UsageError(f"{file} holds nothing that can be judged ({reasons}); give one with routes.")
    if as_json:
        print_json(_summary(file, network.name, verdict))
    else:
        _show(network.name, verdict)
    if verdict.faults:
        raise typer.Exit(1)


def _summary(file: Path, map_name: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "file": str(file),
        "map": map_name,
        "routes": verdict.judged,
        "valid": verdict.judged - verdict.invalid,
        "findings": [vars(fault) | {"agent": fault.agent} for fault in verdict.faults],
        "not_judged": [{"element": d.kind, "id": d.id, "reason": d.unjudged} for d in verdict.unjudged],
    }


def _show(map_name: str, verdict: Verdict) -> None:
    elsewhere = verdict.strange == verdict.judged
    shown = verdict.faults[: 1 if elsewhere else MAX_LINES]
    for fault in shown:
        out.print(fault.message, markup=False, highlight=False)
    if len(shown) < len(verdict.faults):
        out.print(f"... and {len(verdict.faults) - len(shown)} more; --json gives all.")
    for line in _unjudged(verdict):
        out.print(f"Not judged: {line}.", markup=False, highlight=False)
    out.print(f"{verdict.judged - verdict.invalid} of {verdict.judged} routes valid on {map_name}.", highlight=False)
    if elsewhere:
        out.print(f"Every route has edges that {map_name} lacks; was the file made for another --map?")


def _unjudged(verdict: Verdict) -> list[str]:
    """One line a reason, with the first few it applies to."""
    groups: dict[tuple[str, str], list[str]] = {}
    for demand in verdict.unjudged:
        groups.setdefault((demand.kind, demand.unjudged), []).append(demand.id)
    lines = []
    for (kind, reason), names in groups.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"{kind} {', '.join(names[:3])}{more}: {reason}")
    return lines[:MAX_LINES]
