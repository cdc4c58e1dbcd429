"""`leed map`: list maps, look at one, build one from OpenStreetMap data, download one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from leed_agentic.cli.console import err, out, print_json

if TYPE_CHECKING:
    from leed_agentic.roads.network import RoadNetwork

app = typer.Typer(no_args_is_help=True, help="Maps: list them, look at one, build one from OpenStreetMap data.")

SettingsFile = typer.Option(None, "--settings", help="A YAML file of settings.")
Assignments = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting, such as -s map.cache=FOLDER.")
AsJson = typer.Option(False, "--json", help="Print one JSON object.")


@app.command("list")
def list_maps(
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    as_json: bool = AsJson,
) -> None:
    """Every map that can be named: those of this package and those you built."""
    from leed_agentic.roads.catalogue import cache_folder, map_entries
    from leed_agentic.settings import load_settings

    settings = load_settings(settings_file, assignments or (), uses="map").map
    entries = map_entries(settings)
    if as_json:
        print_json({"cache": str(cache_folder(settings)), "maps": [vars(entry) for entry in entries]})
        return
    from rich.table import Table

    table = Table("name", "place", "origin", box=None, pad_edge=False)
    for entry in entries:
        table.add_row(entry.name, entry.title, entry.origin)
    out.print(table)


@app.command()
def show(
    name: str = typer.Argument(help="A named map, a .net.xml(.gz) or an .osm(.xml)(.gz) file."),
    picture: Path | None = typer.Option(None, "--out", help="The picture's file; NAME.png here when unset."),
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    as_json: bool = AsJson,
) -> None:
    """Counts of a map, and its streets drawn to a PNG file."""
    from leed_agentic.roads.catalogue import open_map
    from leed_agentic.roads.picture import draw_map
    from leed_agentic.settings import load_settings

    settings = load_settings(settings_file, assignments or (), uses="map").map
    with err.status("opening the map") as status:
        network = open_map(name, settings, status.update)
        picture = picture or Path(f"{network.name}.png")
        status.update("drawing")
        draw_map(network, picture)
    _report(network, as_json, picture=str(picture))


@app.command()
def build(
    osm_file: Path = typer.Option(help="OpenStreetMap XML, plain or packed (gz, bz2, xz, zip)."),
    name: str = typer.Option(help="What to call the map; a map you built under this name before is replaced."),
    bbox: str | None = typer.Option(None, metavar="W,S,E,N", help="Keep the streets inside this box, in degrees."),
    lefthand: bool = typer.Option(False, "--lefthand", help="Vehicles drive on the left."),
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    as_json: bool = AsJson,
) -> None:
    """Build a map from an OpenStreetMap file; from then on its name is enough."""
    from leed_agentic.roads.build import build_network
    from leed_agentic.roads.catalogue import built_map_file, open_map
    from leed_agentic.roads.definition import parse_box
    from leed_agentic.settings import load_settings

    settings = load_settings(settings_file, assignments or (), uses="map").map
    net_file = built_map_file(name, settings)
    box = parse_box(bbox) if bbox else None
    with err.status(f"building {name}"):
        build_network(osm_file, net_file, bbox=box, lefthand=lefthand)
        network = open_map(name, settings)
    _report(network, as_json)


@app.command()
def download(
    name: str = typer.Argument(help="A named map that is downloaded, such as orlando."),
    again: bool = typer.Option(False, "--again", help="Download and build even if it is in the cache."),
    settings_file: Path | None = SettingsFile,
    assignments: list[str] | None = Assignments,
    as_json: bool = AsJson,
) -> None:
    """Download a named map from an Overpass server and build it. Exit code 3: the server cannot be used."""
    from leed_agentic.roads.catalogue import download_map
    from leed_agentic.settings import load_settings

    settings = load_settings(settings_file, assignments or (), uses="map").map
    with err.status(f"opening {name}") as status:
        network = download_map(name, settings, status.update, again)
    _report(network, as_json)


def _report(network: RoadNetwork, as_json: bool, **more: Any) -> None:
    facts = network.facts() | more
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        text = f"{value:.1f}" if isinstance(value, float) else value
        if isinstance(value, tuple):
            text = ", ".join(f"{part:.5f}" for part in value)
        out.print(f"{key + ':':<16}{text}", markup=False, highlight=False)
    if network.left_out:
        out.print(
            f"{network.left_out} edges ({network.left_out_km:.1f} km) are left out: no car can come from the other "
            "streets and drive back to them (one-way bridges and traps, islands beyond a ferry).",
            highlight=False,
        )
