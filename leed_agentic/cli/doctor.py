"""`leed doctor`: what this machine has and lacks for the rest to work, each lack with the line that mends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leed_agentic.cli.console import out, print_json
from leed_agentic.cli.options import Trust
from leed_agentic.errors import LeedError, UnavailableError

if TYPE_CHECKING:
    from leed_agentic.settings import Settings

SUMO_VERSION = "1.28.0"
SUMO_WHEELS = ("eclipse-sumo", "libsumo", "traci", "sumolib", "sumo-data")
SUMO_MODULES = {"eclipse-sumo": "sumo", "libsumo": "libsumo", "traci": "traci", "sumolib": "sumolib"}
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)
SUMO_FIX = "pip install " + " ".join(f"{wheel}=={SUMO_VERSION}" for wheel in SUMO_WHEELS)
# A broken or mismatched libsumo can take its process down with it, so it is tried in one of its own.
_TRY_LIBSUMO = """
import sys, libsumo
libsumo.start(["sumo", "--net-file", sys.argv[1], "--no-step-log", "--no-warnings"])
libsumo.simulationStep()
print(libsumo.simulation.getTime())
libsumo.close()
"""


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None


def doctor(
    model: str | None = typer.Option(None, help="provider:name, replay or stand-in."),
    base_url: str | None = typer.Option(None, help="An OpenAI-compatible server, such as http://127.0.0.1:8080/v1."),
    settings_file: Path | None = typer.Option(None, "--settings", help="A YAML file of settings."),
    assignments: list[str] | None = typer.Option(None, "-s", "--set", metavar="KEY=VALUE", help="Any setting."),
    trust: bool = Trust,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Check Python, SUMO, maps, the model and its key, and the run folder. Exit code 3: something is missing.

    A model that is neither replay nor stand-in is asked one question of a few tokens.
    """
    from leed_agentic.settings import load_settings

    given = {"model.name": model, "model.base_url": base_url}
    settings = load_settings(settings_file, assignments or (), given, trust=trust, uses="model")
    checks = []
    for check in diagnose(settings):
        checks.append(check)
        if not as_json:
            _show(check)
    if as_json:
        print_json({"ok": all(c.ok for c in checks), "checks": [asdict(c) for c in checks]})
    if not all(c.ok for c in checks):
        raise typer.Exit(UnavailableError.exit_code)


def diagnose(settings: Settings) -> Iterator[Check]:
    """Every check in turn; none stops the others."""
    yield check_python(sys.version_info[:2])
    yield check_wheels(_installed_wheels(), _foreign_modules())
    yield _guarded("libsumo", lambda: check_libsumo(settings), SUMO_FIX)
    yield _guarded("maps", lambda: check_maps(settings), "install leed-agentic again")
    yield check_key(settings)
    yield _guarded("model", lambda: check_model(settings), "choose another model, such as --model stand-in")
    yield check_run_folder()


def check_python(version: tuple[int, int]) -> Check:
    """Whether this Python is one that the package is for."""
    shown = ".".join(map(str, version))
    ok = OLDEST_PYTHON <= version <= NEWEST_PYTHON
    wanted = f"{'.'.join(map(str, OLDEST_PYTHON))} to {'.'.join(map(str, NEWEST_PYTHON))}"
    return Check("python", ok, f"Python {shown} at {sys.executable}", None if ok else f"use Python {wanted}")


def check_wheels(found: dict[str, str | None], foreign: dict[str, str] | None = None) -> Check:
    """One version of all SUMO wheels, and the one this package is made for: a mix crashes or simulates two SUMOs.

    Args:
        foreign: modules that would be imported from elsewhere than their wheel, and the file there.
    """
    if foreign:
        module, file = next(iter(foreign.items()))
        detail = f"{module} is imported from {file}, not from its wheel"
        return Check("sumo", False, detail, f"take {Path(file).parent.parent} off PYTHONPATH, or call from elsewhere")
    if set(found.values()) == {SUMO_VERSION}:
        return Check("sumo", True, f"SUMO {SUMO_VERSION}, all {len(found)} wheels")
    wrong = [f"{wheel} {version or 'missing'}" for wheel, version in found.items() if version != SUMO_VERSION]
    return Check("sumo", False, f"not SUMO {SUMO_VERSION}: {', '.join(wrong)}", SUMO_FIX)


def check_libsumo(settings: Settings) -> str:
    """What a simulation of one second says. Raises LeedError where there is none."""
    from leed_agentic.roads.catalogue import open_map

    net_file = str(open_map("braunschweig", settings.map).net_file)
    command = [sys.executable, "-c", _TRY_LIBSUMO, net_file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"libsumo does not finish one step within 60 s; {SUMO_FIX}") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or f"it ended with code {done.returncode}").splitlines()[-1]
        raise UnavailableError(f"libsumo does not run: {words[:300]}; {SUMO_FIX}")
    return "starts and steps in its own process"


def check_maps(settings: Settings) -> str:
    """How many maps there are. Raises LeedError where one is wrong."""
    from leed_agentic.roads.catalogue import map_names, open_map

    names = sorted(map_names(settings.map))
    network = open_map("braunschweig", settings.map)
    return f"{', '.join(names)}; braunschweig has {len(network.edges)} edges"


def check_key(settings: Settings) -> Check:
    """Whether the key that the model needs is set; it is never shown."""
    from leed_agentic.models.providers import KEY_VARIABLES, NEEDS_NO_KEY, is_own, key_of, masked, split_name

    name = settings.model.name
    if name in NEEDS_NO_KEY or is_own(name):
        return Check("key", True, f"none needed for {name}")
    try:
        provider, _ = split_name(name)
    except LeedError as error:
        return _failed("key", error, "choose a model")
    variables = " or ".join(KEY_VARIABLES.get(provider, ()))
    if key := key_of(provider):
        return Check("key", True, f"{variables} {masked(key)}")
    if not variables:
        return Check("key", True, f"{provider} signs on in its own way; the model check shows whether it works")
    if settings.model.base_url:
        return Check("key", True, f"{variables} not set; a server of your own may need none")
    return Check("key", False, f"{variables} not set", f"export {variables.split()[0]}=...")


def check_model(settings: Settings) -> str:
    """What the model says to one question. Raises LeedError where it says nothing."""
    from leed_agentic.models.ping import ping
    from leed_agentic.models.providers import STAND_IN

    pong = ping(settings.model)
    if pong.recorded_calls is not None:
        return f"{pong.label}, {pong.recorded_calls} calls"
    if settings.model.name == STAND_IN:
        return pong.label
    return f"{pong.label} answered in {pong.seconds:.1f} s"


def check_run_folder() -> Check:
    """Run folders go under runs/ here; nothing stays behind from the trial."""
    import tempfile

    from leed_agentic.runs.folder import DEFAULT_PARENT

    place = DEFAULT_PARENT if DEFAULT_PARENT.exists() else Path()
    try:
        with tempfile.TemporaryDirectory(dir=place):
            return Check("run folder", True, f"{DEFAULT_PARENT.absolute()} can be written")
    except OSError as error:
        detail = f"{DEFAULT_PARENT.absolute()} cannot be written ({error.strerror})"
        return Check("run folder", False, detail, "change to a folder you may write to, or give --out")


def _installed_wheels() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {}
    for wheel in SUMO_WHEELS:
        try:
            found[wheel] = version(wheel)
        except PackageNotFoundError:
            found[wheel] = None
    return found


def _foreign_modules() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, distribution
    from importlib.util import find_spec

    found = {}
    for wheel, module in SUMO_MODULES.items():
        try:
            home = Path(str(distribution(wheel).locate_file(module))).resolve()
            spec = find_spec(module)
        except (PackageNotFoundError, ImportError, ValueError):
            continue
        if spec is not None and spec.origin and not Path(spec.origin).resolve().is_relative_to(home):
            found[module] = spec.origin
    return found


def _guarded(name: str, check: Callable[[], str], fix: str) -> Check:
    try:
        return Check(name, True, check())
    except ImportError as error:
        return Check(name, False, str(error), fix)
    except LeedError as error:
        return _failed(name, error, fix)


def _failed(name: str, error: LeedError, fix: str) -> Check:
    """The house's sentences say what is wrong and, behind a semicolon, what to do."""
    wrong, _, remedy = str(error).partition("; ")
    return Check(name, False, wrong, (remedy or fix).rstrip("."))


def _show(check: Check) -> None:
    out.print("ok  " if check.ok else "FAIL", style="green" if check.ok else "bold red", end=" ")
    out.print(f"{check.name:<11}{check.detail}", markup=False, highlight=False)
    if check.fix:
        out.print(f"{'':<16}fix: {check.fix}", markup=False, highlight=False)
