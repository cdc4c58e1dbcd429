"""The street map as the page draws it: every edge's line and street name, in metres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from leed_agentic.errors import LeedError
from leed_agentic.report.folder import RunFolder
from leed_agentic.roads.catalogue import NOT_YET_HERE, map_entries, open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.roads.picture import NO_CREDIT
from leed_agentic.setting_groups import MapSettings


def network_of(folder: RunFolder, settings: Mapping[str, Any], attribution: str = "") -> RoadNetwork | None:
    """The run's own copy of its network, else the map its settings name; None, and a note, when neither is at hand.

    A map that would have to be downloaded first is not: a report never goes to the network.
    """
    try:
        found = MapSettings.model_validate(settings.get("map", {}))
        entry = next((e for e in map_entries(found) if e.name == found.name), None)
        for name in ("map.net.xml", "map.net.xml.gz"):
            if (folder.path / name).is_file():
                title = entry.title if entry else found.name
                return RoadNetwork(folder.path / name, found.name, attribution, title)
        if not settings.get("map"):
            folder.note("Nothing says which map was driven: there is no drawing of the streets.")
            return None
        if entry and entry.origin == NOT_YET_HERE:
            folder.note(f"Map {found.name} is not on this machine; fetch it with `leed map download {found.name}`.")
            return None
        return open_map(found.name, found)
    except (LeedError, ValidationError, OSError) as error:
        folder.note(f"The map cannot be drawn: {' '.join(str(error).split())}")
        return None


def map_data(network: RoadNetwork) -> dict[str, Any]:
    """Title, credit and per edge [id, street, length in metres, [x, y, x, y, ...] in decimetre-exact metres]."""
    edges = [
        [edge.id, edge.street, round(edge.length), [round(c, 1) for point in edge.shape for c in point]]
        for edge in network.edges
    ]
    return {
        "title": network.title,
        "attribution": network.attribution or NO_CREDIT,
        "lefthand": network.lefthand,
        "edges": edges,
    }
