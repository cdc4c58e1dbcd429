"""Where SUMO had every vehicle, for the animation, where that was recorded beside the run."""

from __future__ import annotations

from typing import Any

from leed_agentic.errors import UsageError
from leed_agentic.report.folder import RunFolder
from leed_agentic.traffic.positions import FILE, Positions
from leed_agentic.traffic.scenario import Scenario


def positions_data(folder: RunFolder, scenario: Scenario) -> dict[str, Any] | None:
    """Tracks of the agents by number and of all others; None where nothing is recorded."""
    if not (folder.path / FILE).is_file():
        return None
    try:
        found = Positions.load(folder.path / FILE)
    except UsageError as error:
        folder.note(f"{FILE} is left out: {error}")
        return None
    numbers = {trip.id: trip.agent for trip in scenario.agents}
    return {
        "begin": found.begin,
        "period": found.period,
        "agents": {str(numbers[name]): track for name, track in found.vehicles.items() if name in numbers},
        "others": [track for name, track in found.vehicles.items() if name not in numbers],
    }
