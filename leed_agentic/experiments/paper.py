"""All figures and tables of the paper; what they have in common is run once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from leed_agentic.errors import UsageError
from leed_agentic.experiments.experiment import TWO_MAPS, Part, Request, experiments, register
from leed_agentic.registry import nearest


@dataclass(frozen=True)
class Collection:
    """Experiments run as one; each reports for itself."""

    name: str
    question: str
    names: tuple[str, ...]
    maps: tuple[str, ...] = TWO_MAPS

    @property
    def compared(self) -> list[str]:
        return list(self.names)

    def parts(self, request: Request) -> list[tuple[Part, Request]]:
        """A part for one map gets the first of several; a part that has none of the named arms is left out."""
        members = [experiments.get(name) for name in self.names]
        known = list(dict.fromkeys(label for member in members for label in member.compared))
        for label in request.arms:
            if label not in known:
                raise UsageError(f"Experiment {self.name} has no arm {label!r}: {nearest(label, known)}")
        found: list[tuple[Part, Request]] = []
        for member in members:
            arms = tuple(label for label in request.arms if label in member.compared)
            if request.arms and not arms:
                continue
            maps = request.maps[:1] if len(member.maps) == 1 else request.maps
            found += member.parts(replace(request, maps=maps, arms=arms))
        return found


register(Collection("paper", "Every figure and table of the paper", ("fig3", "fig4a", "fig4b", "table2")))
