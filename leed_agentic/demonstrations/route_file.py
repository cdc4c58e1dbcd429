"""Route files of any of the forms in use, read into what moves in them: agents, vehicles, trips, flows, persons."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from leed_agentic.demonstrations.sumo_demand import Demand, DemandReader, NoDemandError
from leed_agentic.errors import UsageError
from leed_agentic.roads.markup import MarkupError, check_is_file, chunks, scan
from leed_agentic.traffic.scenario import AgentTrip, Scenario

LARGEST_FILE = 50_000_000

_AGENT_KEYS = ("agent", "agent_id", "id", "vehicle")
_EDGE_KEYS = ("edges", "route", "path")


def read_route_file(file: Path) -> list[Demand]:
    """Read demonstrations.json, JSON of the form {agent: [edge ids]} or of rows, or SUMO's routes, trips and flows.

    Packed files are unpacked; JSON may be UTF-8, with a mark or without, UTF-16 or Latin-1, and XML says its encoding.

    Raises:
        UsageError: the file is missing, too large, or none of these.
    """
    check_is_file(file, "route file", "check the path")
    content = _content(file)
    if content.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:1] == b"<":
        return _from_sumo(file, content)
    try:
        data = json.loads(_text(content), object_pairs_hook=_Unique)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is neither JSON nor a SUMO route file ({str(error)[:200]}).") from error
    return _from_json(file, data)


def _content(file: Path) -> bytes:
    pieces, size = [], 0
    for piece in chunks(file, "write it again"):
        size += len(piece)
        if size > LARGEST_FILE:
            raise UsageError(f"{file} is larger than {LARGEST_FILE // 1_000_000} MB; split it.")
        pieces.append(piece)
    return b"".join(pieces)


def _text(content: bytes) -> str:
    try:
        return content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return content.decode("latin-1")


class _Unique(dict[str, Any]):
    """A JSON object; of a key that is there twice the first value would be lost without a word."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        pairs = list(pairs)
        super().__init__(pairs)
        if len(self) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"it says {twice[:60]!r} twice; keep one")


def _from_json(file: Path, data: Any) -> list[Demand]:
    trips: dict[int, AgentTrip] = {}
    if isinstance(data, dict) and "routes" in data:
        if "scenario" in data:
            trips = {trip.agent: trip for trip in Scenario.from_json(data["scenario"]).agents}
        data = data["routes"]
    try:
        rows = list(data.items()) if isinstance(data, dict) else [_row(row) for row in data]
        routes: dict[int, tuple[str, ...]] = {}
        for name, route in rows:
            agent = int(str(name).removeprefix("agent_"))
            if agent in routes:
                raise ValueError(f"agent {agent} has two routes; keep one")
            routes[agent] = _edges(route)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f'{file} is not of the form {{"0": ["edge", ...]}} or {{"routes": [{{"agent": 0, "edges": [...]}}]}} '
            f"({str(error)[:200]})."
        ) from error
    demands = [Demand("agent", str(a), (route,), trip=trips.get(a)) for a, route in sorted(routes.items())]
    for agent, trip in sorted(trips.items()):
        if agent not in routes:
            fault = ("missing_agent", f"Agent {agent} ({trip.start_edge}) has no route.")
            demands.append(Demand("agent", str(agent), trip=trip, faults=(fault,)))
    return demands


def _row(row: Any) -> tuple[Any, Any]:
    if not isinstance(row, dict):
        raise TypeError("a row must be an object with agent and edges")
    name = next((row[key] for key in _AGENT_KEYS if key in row), None)
    edges = next((row[key] for key in _EDGE_KEYS if key in row), None)
    if name is None or edges is None:
        raise TypeError("a row must have agent and edges")
    return name, edges


def _edges(route: Any) -> tuple[str, ...]:
    if not isinstance(route, list) or not all(isinstance(edge, str) for edge in route):
        raise TypeError("a route must be a list of edge ids")
    return tuple(route)


def _from_sumo(file: Path, content: bytes) -> list[Demand]:
    reader = DemandReader()
    try:
        scan(iter([content]), reader.start, reader.end)
    except NoDemandError as error:
        raise UsageError(f"{file} is no SUMO route file: its root is <{error}>, not <routes>.") from error
    except MarkupError as error:
        raise UsageError(f"{file} is not a readable SUMO route file: {error}.") from error
    return reader.demands()
