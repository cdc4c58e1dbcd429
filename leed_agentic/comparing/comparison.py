"""A comparison of models and prompts: every combination of what is named, each on the same scenarios."""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from leed_agentic import __version__
from leed_agentic.credentials import plain_address
from leed_agentic.demonstrations.feedback import feedbacks
from leed_agentic.demonstrations.parts import check_budget
from leed_agentic.demonstrations.planning import planner_of
from leed_agentic.demonstrations.prompts import DEFAULT_VARIANT, PromptSet, template_folder
from leed_agentic.errors import UsageError, check_count
from leed_agentic.experiments.run import demonstration_content, digest, model_content, world_content
from leed_agentic.experiments.task import REFINEMENT, Task
from leed_agentic.models.caller import ModelCaller
from leed_agentic.models.providers import REPLAY, STAND_IN
from leed_agentic.models.recording import RecordMode
from leed_agentic.registry import nearest
from leed_agentic.roads.catalogue import open_map
from leed_agentic.roads.network import RoadNetwork
from leed_agentic.runs.folder import check_links
from leed_agentic.settings import Settings, load_settings
from leed_agentic.traffic.demand import scenario_for
from leed_agentic.traffic.scenario import Scenario
from leed_agentic.traffic.trajectory import load_trajectories

_log = logging.getLogger(__name__)

AXES = ("model", "prompts", "planning", "map", "agents", "feedback")
SCENARIO = ("map", "agents")
"""Axes that change the scenarios; what differs on the others is compared on the same ones."""
_WITH_ADDRESS = re.compile(r"(.+?)@(https?://.+)")
FIGURES_VERSION = 3
"""Of what a trial leaves; trials of another are made again, from their recorded calls."""
_CAPS = {"max_calls", "max_tokens", "max_cost"}


@dataclass(frozen=True)
class Wanted:
    """What the caller names; an axis left empty has the one value of the settings."""

    models: tuple[str, ...]
    """`provider:name`, stand-in, `name@address`, or a settings file (.yaml) whose group `model` says it all."""
    prompts: tuple[str, ...] = ()
    """`default` or folders."""
    plannings: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    agents: tuple[int, ...] = ()
    feedbacks: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    """Numbers of refinements after which to measure; empty: none, and as many as the settings allow."""
    trials: int = 30
    samples: int = 1
    """Replies drawn per scenario."""
    policies: tuple[Path, ...] = ()
    """Training runs; each is compared with in the trial whose scenario is its own."""
    base_url: str | None = None
    """For the models that name no address."""
    record: str = "auto"
    assignments: tuple[str, ...] = ()
    trust: bool = False
    """Whether settings files may name code to run and servers that get the key."""


@dataclass(frozen=True)
class Combination:
    """One value on each axis, and what decides the replies."""

    labels: Mapping[str, str]
    """Axis to the name of its value."""
    settings: Settings
    """Of the first trial."""
    prompts: PromptSet

    @property
    def arm(self) -> tuple[str, ...]:
        """What is compared with others."""
        return tuple(self.labels[axis] for axis in AXES if axis not in SCENARIO)

    @property
    def place(self) -> str:
        """What its scenarios have in common."""
        return ", ".join([self.labels["map"], f"{self.labels['agents']} agents"])

    def of(self, seed: int, sample: int = 0) -> Settings:
        """The settings of the trial with this seed of the scenario; each further sample is drawn with another sampling
        seed."""
        settings = self.settings.model_copy(update={"seed": seed})
        return settings.changed({"model.seed": (settings.model.seed or 0) + sample}) if sample else settings

    def __str__(self) -> str:
        return ", ".join(self.labels.values())


@dataclass(frozen=True)
class Comparison:
    """What is compared, checked; trials are scenario seeds, the same for all combinations."""

    combinations: Sequence[Combination]
    rounds: tuple[int, ...]
    seeds: Sequence[int]
    record: RecordMode
    samples: int = 1
    policies: Mapping[str, Path] = field(default_factory=dict)
    """World (`_world`) to the training run that knows it."""

    def tasks(self) -> list[Task]:
        """Trials first, so that all combinations have their first result early."""
        return [
            self.task(combination, seed, sample)
            for seed in self.seeds
            for sample in range(self.samples)
            for combination in self.combinations
        ]

    def tasks_of(self, combination: Combination, seed: int) -> list[Task]:
        """The samples of one scenario."""
        return [self.task(combination, seed, sample) for sample in range(self.samples)]

    def task(self, combination: Combination, seed: int, sample: int = 0) -> Task:
        """The trial of a combination with this seed. Equal folders are the same trial."""
        settings = combination.of(seed, sample)
        policy = self.policies.get(_world(settings))
        model = model_content(settings)
        asked = {name: value for name, value in model.items() if name not in _CAPS}
        content = {
            "version": __version__,
            "figures": FIGURES_VERSION,
            "model": model,
            "demonstration": demonstration_content(settings, "rounds", "prompts"),
            "templates": combination.prompts.hashes,
            "world": world_content(settings),
            "policy": _trajectories(policy).read_text(encoding="utf-8") if policy else None,
        }
        twins = f"s{seed}_{digest(asked)[:8]}"
        named = [combination.labels[axis] for axis in ("model", "planning", "map")]
        named[0] = named[0].split("@http")[0]
        words = "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", word.rsplit("/", 1)[-1])[:30] for word in named)
        extras = {
            "rounds": list(self.rounds),
            "record": self.record,
            "twins": f"*_{twins}_*",
            "policy": str(policy) if policy else None,
        }
        label = f"{combination}, seed {seed}" + (f", sample {sample}" if self.samples > 1 else "")
        return Task(label, f"{words}_{twins}_{digest(content)}", REFINEMENT, settings, extras)


def plan_comparison(wanted: Wanted, note: Callable[[str], Any] = lambda line: None) -> Comparison:
    """Every combination of what is wanted, checked so that nothing is asked of a model before all of it makes sense.

    Raises:
        UsageError: a wrong name, number, prompt folder, map, key or policy; the message says how to put it right.
        UnavailableError: a map cannot be had.
    """
    _check_words(wanted)
    models = _models(wanted)
    combinations = [
        combination for label, _, settings in models for combination in _combinations(wanted, label, settings)
    ]
    base = models[0][2]
    rounds = wanted.rounds or tuple(sorted({0, base.demonstration.rounds}))
    seeds = range(base.seed, base.seed + wanted.trials)
    note("opening the maps")
    worlds = _worlds(combinations, seeds)
    policies = dict(_matched(policy, worlds) for policy in wanted.policies)
    if wanted.samples > 1:
        still = sorted({label for label, _, s in models if s.model.temperature == 0 and s.model.name != STAND_IN})
        if still:
            _log.warning(
                "--samples draws much the same replies from %s at temperature 0; set -s model.temperature=0.7.",
                ", ".join(still),
            )
    record: Any = wanted.record
    if record != "only":
        for _, _, settings in models:
            ModelCaller(settings.model, None, {}).close()
    arms = {combination.arm for combination in combinations}
    if len(arms) > 1 and len(worlds) < 2:
        raise UsageError(
            "One scenario cannot tell two apart: give --trials 2 or more (30 as a rule), or compare one thing alone."
        )
    return Comparison(combinations, rounds, seeds, record, wanted.samples, policies)


def _check_words(wanted: Wanted) -> None:
    if not wanted.models:
        raise UsageError("Name what to compare with --model, such as --model stand-in; give it again for further ones.")
    given = {
        "--model": wanted.models,
        "--prompts": wanted.prompts,
        "--planning": wanted.plannings,
        "--maps": wanted.maps,
        "--agents": wanted.agents,
        "--feedback": wanted.feedbacks,
        "--policy": wanted.policies,
    }
    for option, values in given.items():
        twice = next((value for value in values if list(values).count(value) > 1), None)
        if twice is not None:
            raise UsageError(f"{option} names {twice} twice; name each once.")
    check_count("--trials", wanted.trials)
    check_count("--samples", wanted.samples)
    if any(later <= before for before, later in itertools.pairwise(wanted.rounds)) or min(wanted.rounds, default=0) < 0:
        raise UsageError(f"--rounds must rise from 0 or more, such as 0,5,10, not {','.join(map(str, wanted.rounds))}.")
    if wanted.record not in get_args(RecordMode):
        raise UsageError(f"Unknown --record {wanted.record!r}: {nearest(wanted.record, get_args(RecordMode))}")
    for planning in wanted.plannings:
        planner_of(planning)
    for feedback in wanted.feedbacks:
        feedbacks.get(feedback)


def _models(wanted: Wanted) -> list[tuple[str, Path | None, Settings]]:
    """Label, settings file and settings of every model."""
    found = []
    for word in wanted.models:
        file = Path(word) if word.endswith((".yaml", ".yml")) else None
        split = _WITH_ADDRESS.fullmatch(word)
        name, address = (split[1], split[2]) if split else (word, None)
        given = {"model.name": None if file else name, "model.base_url": address}
        given["demonstration.rounds"] = wanted.rounds[-1] if wanted.rounds else None
        settings = load_settings(file, wanted.assignments, given, trust=wanted.trust)
        if file and settings.model.base_url == wanted.base_url:
            # Named again on this call.
            given["model.base_url"] = wanted.base_url
            settings = load_settings(file, wanted.assignments, given, trust=wanted.trust)
        if not settings.model.base_url and settings.model.name != STAND_IN:
            settings = settings.changed({"model.base_url": wanted.base_url})
        if settings.model.name == REPLAY:
            raise UsageError(
                "replay answers for one scenario only; compare models, and play a comparison's own record with "
                "--record only."
            )
        found.append((file.stem if file else name, file, settings))
    labels = [label for label, _, _ in found]
    named = []
    for label, file, settings in found:
        if labels.count(label) > 1 and not file:
            label = f"{label}@{plain_address(settings.model.base_url or '')}"
        named.append((label, file, settings))
    labels = [label for label, _, _ in named]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"Two models go by the name {label}; give each a settings file of its own name.")
    return named


def _combinations(wanted: Wanted, label: str, own: Settings) -> Iterator[Combination]:
    """Those of one model; an axis that is not named has the value of the model's own settings."""
    demonstration = own.demonstration
    for words, planning, place, agents, feedback in itertools.product(
        wanted.prompts or (str(demonstration.prompts or DEFAULT_VARIANT),),
        wanted.plannings or (demonstration.planning or "fleet",),
        wanted.maps or (own.map.name,),
        wanted.agents or (own.scenario.agents,),
        wanted.feedbacks or (demonstration.feedback,),
    ):
        chosen = {
            "demonstration.prompts": template_folder(Path(words)),
            "demonstration.planning": planning,
            "demonstration.feedback": feedback,
            "map.name": place,
            "scenario.agents": agents,
        }
        settings = own.changed(chosen)
        where = Path(place).name.split(".")[0] if "/" in place else place
        labels = dict(zip(AXES, (label, words, planning, where, str(agents), feedback), strict=True))
        yield Combination(labels, settings, PromptSet.load(settings.demonstration.prompts))


def _worlds(combinations: Iterable[Combination], seeds: Sequence[int]) -> dict[str, Scenario]:
    """Every scenario; a map too small for the agents or a prompt above the token budget is found here."""
    networks: dict[str, RoadNetwork] = {}
    worlds: dict[str, Scenario] = {}
    for combination in combinations:
        settings = combination.settings
        if settings.map.name not in networks:
            networks[settings.map.name] = open_map(settings.map.name, settings.map)
        for seed in seeds:
            own = combination.of(seed)
            if _world(own) not in worlds:
                worlds[_world(own)] = scenario_for(networks[settings.map.name], own)
            network, scenario = networks[settings.map.name], worlds[_world(own)]
            check_budget(own, PromptSet.load(own.demonstration.prompts), network, scenario)
    return worlds


def _world(settings: Settings) -> str:
    """What decides a scenario, as text."""
    environment = settings.environment
    content = {
        "seed": settings.seed,
        "map": [settings.map.name, settings.map.lefthand],
        "scenario": settings.scenario.model_dump(mode="json"),
        "seconds": environment.planned_seconds,
    }
    return json.dumps(content, sort_keys=True)


def _matched(policy: Path, worlds: Mapping[str, Scenario]) -> tuple[str, Path]:
    made_in = Scenario.from_json(load_trajectories(_trajectories(policy))[1])
    for world, scenario in worlds.items():
        if scenario == made_in:
            return world, policy
    raise UsageError(
        f"{policy} was trained in none of the trials' scenarios (its map is {made_in.map}, its seed {made_in.seed}, it "
        f"has {len(made_in.agents)} agents); train it with the --maps, --agents and one of the seeds compared."
    )


def _trajectories(policy: Path) -> Path:
    if policy.is_dir():
        check_links(policy)
    return policy / "trajectories.json" if policy.is_dir() else policy
