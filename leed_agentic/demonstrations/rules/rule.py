"""The kinds of rules. Times are seconds of the scenario's clock; in JSON and in briefs also hh:mm or hh:mm:ss."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d))?")
_AGENTS = re.compile(r"agents?[\s_#]*\d{1,6}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+)\d{1,6}){0,50}", re.IGNORECASE)
_AGENT_WITHIN = re.compile(r"\bagents?[\s_#]*\d", re.IGNORECASE)
LONGEST_NAME = 100
MOST_RULES = 50


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    clock = _CLOCK.fullmatch(value.strip())
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3] or 0)
    return value.strip().removesuffix("s").strip()


def _who(value: Any) -> Any:
    """Agents named in words, as models do, by their numbers."""
    if isinstance(value, str) and _AGENTS.fullmatch(value.strip()):
        return [int(number) for number in re.findall(r"\d+", value)]
    if isinstance(value, str) and _AGENT_WITHIN.search(value):
        raise ValueError("name agents by their numbers alone, such as [3, 7]")
    return value


Time = Annotated[float, BeforeValidator(_time), Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Agent = Annotated[int, Field(ge=0)]
Who = Annotated[list[Agent] | Text, BeforeValidator(_who)]
"""Numbers of agents, or all, the id of a vehicle, a vehicle type, or a vehicle class such as truck."""


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    words: str = Field("", max_length=1000)
    """The words of the brief that it comes from; empty for a rule written by hand."""


class _Street(_Rule):
    who: Who = "all"
    street: Text
    """An edge's id, or a street's name: all its edges."""
    around: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Metres: the area of all streets that come so near to it; 0: the street itself."""
    begin: Time = 0.0
    until: Time | None = None
    """None: to the end."""

    @model_validator(mode="after")
    def _window(self) -> _Street:
        if self.until is not None and self.until <= self.begin:
            raise ValueError("until must be later than begin")
        return self

    @property
    def end(self) -> float:
        return math.inf if self.until is None else self.until

    def _where(self) -> str:
        area = f"all streets within {self.around:g} m of {self.street!r}" if self.around else f"{self.street!r}"
        if self.until is None:
            return f"{area}{f' from {self.begin:g} s on' if self.begin else ''}"
        return f"{area} from {self.begin:g} to {self.until:g} s"


class Avoid(_Street):
    """Nobody of `who` enters the street within the time."""

    rule: Literal["avoid"]

    def __str__(self) -> str:
        return f"{named(self.who)} must not enter {self._where()}"


class Require(_Street):
    """Everybody of `who` enters the street, within the time."""

    rule: Literal["require"]

    def __str__(self) -> str:
        return f"{named(self.who)} must drive on {self._where()}"


class LatestArrival(_Rule):
    rule: Literal["latest_arrival"]
    who: Who
    by: Time

    def __str__(self) -> str:
        return f"{named(self.who)} must arrive by {self.by:g} s"


class Order(_Rule):
    """Arrivals: `first` before `then`."""

    rule: Literal["order"]
    first: Who
    then: Who

    def __str__(self) -> str:
        return f"{named(self.first)} must arrive before {named(self.then)}"


class Together(_Rule):
    """Arrivals within so many seconds of each other."""

    rule: Literal["together"]
    who: Who
    within: Annotated[float, Field(gt=0)] = 30.0

    def __str__(self) -> str:
        return f"{named(self.who)} must arrive within {self.within:g} s of each other"


class MaxDetour(_Rule):
    """Free-flow seconds of a route, as a multiple of the fastest."""

    rule: Literal["max_detour"]
    who: Who = "all"
    factor: Annotated[float, Field(ge=1)]

    def __str__(self) -> str:
        return f"{named(self.who)} must not be sent on more than {self.factor:g} times the fastest way"


class Priority(_Rule):
    """They lose no more time per trip, on average, than the other agents do."""

    rule: Literal["priority"]
    who: Who

    def __str__(self) -> str:
        return f"{named(self.who)} must lose no more time than the other agents on average"


Rule = Annotated[Avoid | Require | LatestArrival | Order | Together | MaxDetour | Priority, Field(discriminator="rule")]
RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


def named(who: Who) -> str:
    """In words."""
    if isinstance(who, str):
        return "every agent" if who.casefold() == "all" else who
    numbers = ", ".join(map(str, who))
    return f"agent {numbers}" if len(who) == 1 else f"agents {numbers}"
