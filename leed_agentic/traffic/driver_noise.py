"""Drivers of a given imperfection, whatever types their route files define: types are rewritten, vehicles are not."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leed_agentic.errors import UsageError
from leed_agentic.runs.files import check_plain

DEFAULT_TYPE = "DEFAULT_VEHTYPE"
_TYPE = re.compile(r"<vType\b[^>]*>")
_SPEED_FACTOR = re.compile(r"norm\w*\(\s*([0-9.]+)\s*,[^)]*\)")
_ROOT = re.compile(r"<(?:routes|flows|trips|additional)\b[^>]*(?<!/)>")


@dataclass(frozen=True)
class DriverNoise:
    """SUMO's two kinds of difference between drivers.

    sigma is the imperfection of following, 0 to 1 (SUMO's default for cars is 0.5); speed_dev the deviation of the
    speed a driver wants, as a share of the limit (SUMO's default for cars is 0.1). None leaves it as the types say.
    """

    sigma: float | None = 0.0
    speed_dev: float | None = 0.0

    def __post_init__(self) -> None:
        for name, value in (("sigma", self.sigma), ("speed_dev", self.speed_dev)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"Driver noise lies from 0 to 1; {name} is {value:g}.")


def with_noise(route_files: Sequence[Path], noise: DriverNoise, folder: Path) -> list[Path]:
    """Copies of route files, in `folder`, in which every vehicle type has this noise; the mean speeds stay.

    Raises:
        UsageError: a file cannot be read.
    """
    copies = []
    default_defined = False
    for number, file in enumerate(route_files):
        try:
            raw = check_plain(file).read_bytes()
            text = (gzip.decompress(raw) if file.name.endswith(".gz") else raw).decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise UsageError(f"Cannot read the route file {file}: {error}.") from error
        default_defined = default_defined or f'id="{DEFAULT_TYPE}"' in text
        text = _TYPE.sub(lambda found: _noisy(found[0], noise), text)
        if not number and not default_defined:
            default = _noisy(f'<vType id="{DEFAULT_TYPE}"/>', noise)
            text = _ROOT.sub(rf"\g<0>\n    {default}", text, count=1)
        copy = folder / f"{number}-{file.name.removesuffix('.gz')}"
        copy.write_text(text, encoding="utf-8")
        copies.append(copy)
    return copies


def _noisy(tag: str, noise: DriverNoise) -> str:
    """A vType's start tag with the noise written into it."""
    end = "/>" if tag.endswith("/>") else ">"
    tag = tag.removesuffix(end).rstrip()
    if noise.sigma is not None:
        tag = f'{_without(tag, "sigma")} sigma="{noise.sigma:g}"'
    if noise.speed_dev is not None:
        tag = f'{_without(tag, "speedDev")} speedDev="{noise.speed_dev:g}"'
        if mean := _SPEED_FACTOR.search(tag):
            tag = tag.replace(mean[0], f"normc({mean[1]},{noise.speed_dev:g},0.2,2)")
    return tag + end


def _without(tag: str, attribute: str) -> str:
    return re.sub(rf'\s{attribute}\s*=\s*("[^"]*"|\'[^\']*\')', "", tag)
