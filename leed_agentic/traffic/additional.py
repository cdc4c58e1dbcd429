"""What SUMO reads beside the net and the routes: vehicle types, closures, lights that keep to their programmes.

The environment loads this text, and a run folder keeps it, so that plain `sumo` has the same types, streets and lights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from leed_agentic.traffic.scenario import VEHICLE_TYPE, AgentTrip, BackgroundTrip, Scenario, VehicleType

REROUTING_OPTIONS = ("--device.rerouting.period", "60")
"""Of the others that look for a faster way; SUMO's own adaptation interval is the better one."""
_MEAN = re.compile(r"^\s*norm\w*\(\s*([0-9.]+)")
VEHICLE_ATTRIBUTES = ("departLane", "departPos", "departSpeed", "arrivalLane", "arrivalPos", "arrivalSpeed")

Phases = Sequence[tuple[float, str]]
"""Seconds and state of each phase of a traffic light."""


def type_of(trip_type: str, rerouting: bool) -> str:
    """The vType a vehicle drives as; that of a rerouting one also holds SUMO's rerouting device."""
    return f"{trip_type}.rerouting" if rerouting else trip_type


def additional_text(
    scenario: Scenario,
    driver_noise: float | None,
    lanes: Mapping[str, int],
    lights: Mapping[str, Phases],
) -> str:
    """An <additional> document.

    Args:
        driver_noise: sigma of every driver, all of one speed; None: as the types say.
        lanes: how many lanes every closed or slowed edge has.
        lights: programmes that take the place of actuated ones.
    """
    root = Element("additional")
    given = {kind.id: kind for kind in scenario.types}
    for kind in (given.get(VEHICLE_TYPE, VehicleType(VEHICLE_TYPE)), *given.values()):
        if kind.id != VEHICLE_TYPE or root.find("vType") is None:
            _add_type(root, kind, driver_noise, rerouting=False)
    if scenario.rerouting:
        for name in sorted({trip.type for trip in scenario.background}):
            _add_type(root, given.get(name, VehicleType(name)), driver_noise, rerouting=True)
    for light, phases in lights.items():
        logic = SubElement(root, "tlLogic", id=light, type="static", programID="leed-static", offset="0")
        for seconds, state in phases:
            SubElement(logic, "phase", duration=f"{seconds:g}", state=state)
    for number, closure in enumerate(scenario.closures):
        for place, edge in enumerate(closure.edges):
            name = f"closure_{number}_{place}"
            if closure.speed is None and not scenario.rerouting:
                # Whom we route we keep out by their routes.
                continue
            if closure.speed is None:
                # Those who look for their own way are kept out by SUMO; probability 0: it sends nobody anywhere.
                shut = SubElement(root, "rerouter", id=name, edges=edge, probability="0")
                interval = SubElement(shut, "interval", begin=f"{closure.begin:g}", end=f"{closure.end:g}")
                SubElement(interval, "closingReroute", id=edge, disallow="all")
            else:
                on = " ".join(f"{edge}_{lane}" for lane in range(lanes[edge]))
                sign = SubElement(root, "variableSpeedSign", id=name, lanes=on)
                SubElement(sign, "step", time=f"{closure.begin:g}", speed=f"{closure.speed:g}")
                SubElement(sign, "step", time=f"{closure.end:g}", speed="-1")
    indent(root)
    return tostring(root, encoding="unicode") + "\n"


def _add_type(root: Element, kind: VehicleType, driver_noise: float | None, rerouting: bool) -> None:
    attributes = dict(kind.attributes)
    if driver_noise is not None:
        factor = attributes.get("speedFactor", "")
        if mean := _MEAN.match(factor):
            attributes["speedFactor"] = mean[1]
        attributes |= {"sigma": f"{driver_noise:g}", "speedDev": "0"}
    element = SubElement(root, "vType", {**attributes, "id": type_of(kind.id, rerouting)})
    parameters = {**kind.parameters, **({"has.rerouting.device": "true"} if rerouting else {})}
    for key, value in parameters.items():
        SubElement(element, "param", key=key, value=value)


def vehicle_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Those of a vehicle's attributes that the environment drives by, with SUMO's defaults for the others."""
    defaults = dict(zip(VEHICLE_ATTRIBUTES, ("first", "base", "0", "current", "max", "current"), strict=True))
    return {**defaults, **{name: value for name, value in attributes.items() if name in VEHICLE_ATTRIBUTES}}


def in_order(scenario: Scenario) -> list[AgentTrip | BackgroundTrip]:
    """All vehicles as SUMO is to insert them: by departure, of those at the same time the others first."""
    everybody: list[AgentTrip | BackgroundTrip] = [*scenario.background, *scenario.agents]
    return sorted(everybody, key=lambda trip: trip.departure)


def is_exact(scenario: Scenario, driver_noise: float | None) -> bool:
    """Whether a cleared network is the state of a fresh one: no chance, no closure, no device that learns."""
    chance = any("random" in value for trip in scenario.vehicles for value in trip.attributes.values())
    slowed = any(closure.speed is not None for closure in scenario.closures)
    return driver_noise == 0 and not (chance or slowed or scenario.rerouting)


def driven_routes_text(
    scenario: Scenario,
    routes: Mapping[int, Sequence[str]],
    others: Mapping[str, Sequence[str]],
    types: Sequence[Element] = (),
) -> str:
    """A SUMO route file of what is driven, in the order of insertion; a vehicle without a route is not in it.

    Every attribute is written out: to SUMO departSpeed="0" is not the same as none, and the environment says 0.

    Args:
        routes: edge ids by agent number.
        others: edge ids by the id of the background vehicle.
        types: vType elements to begin with, so that the file can be driven by itself.
    """
    root = Element("routes")
    root.extend(types)
    for trip in in_order(scenario):
        if isinstance(trip, AgentTrip):
            edges, kind = routes.get(trip.agent), trip.type
        else:
            edges, kind = others.get(trip.id), type_of(trip.type, scenario.rerouting)
        if edges is None:
            continue
        words = {"id": trip.id, "type": kind, "depart": f"{trip.departure:.10g}"}
        vehicle = SubElement(root, "vehicle", words | vehicle_attributes(trip.attributes))
        SubElement(vehicle, "route", edges=" ".join(edges))
    indent(root)
    return tostring(root, encoding="unicode") + "\n"
