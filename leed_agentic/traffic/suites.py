"""Named demands on named nets, frozen with a version: the same trips, times and seeds for everybody who measures."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leed_agentic.errors import UnavailableError, UsageError
from leed_agentic.registry import nearest
from leed_agentic.roads.catalogue import open_map
from leed_agentic.runs.files import write_text
from leed_agentic.setting_groups import MapSettings


@dataclass(frozen=True)
class Suite:
    """A map, a demand and the seconds in which it is driven."""

    name: str
    version: int
    """Counts up when anything changes that a figure depends on."""
    title: str
    begin: float
    end: float
    credit: str
    """Authors and licence of what is not ours."""
    files: Callable[[MapSettings, Path], tuple[Path, Path]]
    """Net and demand; what has to be made is made in the folder given."""
    sha256: Mapping[str, str]
    """Of the net and the demand, or of the demand alone where the net is built here."""

    def open(self, settings: MapSettings, folder: Path) -> tuple[Path, Path]:
        """Net file and demand file.

        Raises:
            UnavailableError: the package that holds them is not installed.
            UsageError: a file is not the one that this version was frozen with.
        """
        net, demand = self.files(settings, folder)
        for kind, file in (("net", net), ("demand", demand)):
            if kind in self.sha256 and hashlib.sha256(file.read_bytes()).hexdigest() != self.sha256[kind]:
                raise UsageError(
                    f"The {kind} of suite {self.name} version {self.version} ({file}) is not the one it was frozen "
                    "with; install the release of its package that docs/suites.md names."
                )
        return net, demand


def find_suite(name: str) -> Suite:
    """Raises UsageError for an unknown name."""
    if name not in SUITES:
        raise UsageError(f"Unknown suite {name!r}: {nearest(name, SUITES)}")
    return SUITES[name]


def _packaged(folder: str, net: str, demand: str) -> Callable[[MapSettings, Path], tuple[Path, Path]]:
    """Files of the wheel of sumo-rl, which is looked up and never imported."""

    def files(_settings: MapSettings, _folder: Path) -> tuple[Path, Path]:
        spec = importlib.util.find_spec("sumo_rl")
        if spec is None or not spec.submodule_search_locations:
            raise UnavailableError(
                'This suite\'s files come with the package sumo-rl; pip install "leed-agentic[suites]", '
                "or only its files with: pip install --no-deps sumo-rl==1.4.5"
            )
        home = Path(spec.submodule_search_locations[0]) / "nets" / folder
        for file in (home / net, home / demand):
            if not file.is_file():
                raise UnavailableError(f"The installed sumo-rl lacks {file}; install sumo-rl==1.4.5.")
        return home / net, home / demand

    return files


RUSH_CARS = 450
RUSH_SECONDS = 300
RUSH_SEED = 20261127


def _rush(settings: MapSettings, folder: Path) -> tuple[Path, Path]:
    """Everybody leaves within five minutes, three quarters of them to one of eight streets in the middle."""
    network = open_map("berlin", settings)
    generator = np.random.Generator(np.random.PCG64(RUSH_SEED))
    centre = network.end_points.mean(axis=0)
    near = np.argsort(np.linalg.norm(network.end_points - centre, axis=1), kind="stable")[:8]
    shortest = 0.3 * network.diameter
    trips: list[tuple[int, str, str]] = []
    while len(trips) < RUSH_CARS:
        start = int(generator.integers(len(network.edges)))
        goal = int(generator.choice(near)) if generator.random() < 0.75 else int(generator.integers(len(network.edges)))
        departure = int(generator.integers(RUSH_SECONDS))
        if network.lengths[start] >= 10 and network.times_to(network.edges[goal].to_junction)[start] >= shortest:
            trips.append((departure, network.edges[start].id, network.edges[goal].id))
    lines = [
        f'    <trip id="rush{number}" depart="{departure}" departLane="best" from="{start}" to="{goal}"/>'
        for number, (departure, start, goal) in enumerate(sorted(trips))
    ]
    file = folder / "rush-berlin.trips.xml"
    write_text(file, "\n".join(["<routes>", *lines, "</routes>", ""]))
    return network.net_file, file


_SUMO_RL = "in sumo-rl 1.4.5 (Lucas N. Alegre, MIT)"
_RESCO = f"RESCO (James Ault and Guni Sharon, NeurIPS 2021), {_SUMO_RL}"

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "rush-berlin",
            1,
            "Johannisthal and Adlershof, Berlin: everybody towards the middle within five minutes",
            0,
            5400,
            "Map data (c) OpenStreetMap contributors, ODbL 1.0, in SUMO's wheel; the trips are ours",
            _rush,
            {"demand": "d9b1a4bce3d8ae005045ad885edbd3012fbe8bc58089ed0cc98bfa5963422de0"},
        ),
        Suite(
            "ortuzar",
            1,
            "The network of Ortuzar and Willumsen's Modelling Transport, 1,700 cars in over an hour",
            0,
            20000,
            f"Ortuzar and Willumsen; as SUMO files {_SUMO_RL}",
            _packaged("OW", "OW.net.xml", "OW-nowait.rou.xml"),
            {
                "net": "e19bf4805ab5e91071e9866f0994d6ff42b338f829aeecc16b60ebc941147d6b",
                "demand": "e32b0eaf4f028ed8cecc5dc0abd4c7c357ba673eaa919dcff88bc927b4167b28",
            },
        ),
        Suite(
            "nguyen",
            1,
            "The network of Nguyen and Dupuis, with signals: 4,600 cars in 2,000 s, the second half heavier",
            0,
            10000,
            f"Nguyen and Dupuis 1984; as SUMO files {_SUMO_RL}",
            _packaged("Nguyen", "nguyentl.net.xml", "nguyen.flows.xml"),
            {
                "net": "04b73b44aec4b2226e29b13d5d711df858e0138f2176dfff12aa43a9484cedfa",
                "demand": "51e2e6f5c93f71854a6e7e8f8fcb7912b87b154a1d66cfa03fb0d932dffd0908",
            },
        ),
        Suite(
            "cologne8",
            1,
            "Cologne in the morning (TAPAS Cologne), 2,046 cars from 7 to 8: hardly congested",
            25200,
            34200,
            f"TAPAS Cologne (Uppoor and Fiore; Varschen and Wagner), cut for {_RESCO}",
            _packaged("RESCO/cologne8", "cologne8.net.xml", "cologne8.rou.xml"),
            {
                "net": "51194519fd4d69726612d38b44606637c31389b86079f909139ba8f1aaffd2a8",
                "demand": "25cab1cc0d98d91bc12176743b57bc9710cd18d712f46c221b54131ee35ca646",
            },
        ),
        Suite(
            "ingolstadt21",
            1,
            "Ingolstadt in the afternoon peak (InTAS), 4,283 vehicles from 16 to 17: calibrated, heavily congested",
            57600,
            66600,
            f"InTAS (Silas Lobo and others 2020, EPL 2.0), cut for {_RESCO}",
            _packaged("RESCO/ingolstadt21", "ingolstadt21.net.xml", "ingolstadt21.rou.xml"),
            {
                "net": "a8eeab1feebf9e687f91aa16eeab283024e835012cce8a447a036b3f51d3e75b",
                "demand": "58b943952914e799e55ed87e4fc27116bb638a208d8d114bfa237db13b933c97",
            },
        ),
    )
}
"""By name; figures of each in docs/suites.md."""
