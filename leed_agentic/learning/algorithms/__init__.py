"""What the trainer asks of an algorithm, the algorithms by name, and their own settings."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import ValidationError
from torch import nn

from leed_agentic.errors import UsageError
from leed_agentic.learning.actor import Actor
from leed_agentic.learning.adam import Adam
from leed_agentic.learning.encoding import Encoding
from leed_agentic.learning.metrics import Metric
from leed_agentic.learning.networks import (
    SharedNetwork,
    StackedNetworks,
    clip_gradients,
    load_named,
    named_tensors,
)
from leed_agentic.registry import Registry, nearest
from leed_agentic.setting_groups import AlgorithmSettings, LearningSettings
from leed_agentic.settings import one_sentence
from leed_agentic.traffic.trajectory import Trajectory

_LEFT = re.compile(r"^MemAvailable:\s*(\d+) kB$", re.MULTILINE)
_BYTES = 20
"""Of a weight that learns: itself, its copy for acting, its gradient and Adam's two moments."""


class Algorithm(ABC):
    """n agents that act and learn.

    A subclass makes its networks in `__init__` (`learn_with`, `act_by`) and says in `update` how they learn. Everything
    random comes from `seed`, and everything that the next episode depends on is in `tensors` and `random_state`: a
    resumed run is then equal to one that was never stopped. Building one changes nothing outside it.

    Args:
        agents: n.
        actions: m.
        encoding: from observations to network inputs.
        settings: what all algorithms share; the group of this one's own is checked and becomes `options`.
    """

    Settings: ClassVar[type[AlgorithmSettings]] = AlgorithmSettings
    """Of the algorithm alone: the group learning.<group>.*."""
    group: ClassVar[str] = ""
    """Name of that group; the class's in small letters when empty."""
    metrics: ClassVar[Sequence[Metric]] = ()
    """Figures of `update` that the table of metrics lacks; without an entry a figure is a column all the same."""
    uses_demonstrations: bool = False
    """Whether the trainer asks a source of demonstrations."""
    policy: StackedNetworks | None = None
    """One network per agent whose outputs are the logits of its actions, if that is how it acts."""

    def __init__(self, agents: int, actions: int, encoding: Encoding, settings: LearningSettings, seed: int) -> None:
        self.agents, self.actions, self.encoding, self.settings = agents, actions, encoding, settings
        self.options: Any = options_of(type(self), settings)
        self.deterministic = False
        self.generator = np.random.default_rng([seed, 0xAC7])
        """Draws actions."""
        self.start = torch.Generator().manual_seed(seed)
        """Makes first weights."""
        self._numbers = 0
        """Weights made so far."""

    # -- networks ------------------------------------------------------------------------------------------------------
    def stacked(self, count: int, inputs: int, outputs: int, last_gain: float = 1.0) -> StackedNetworks:
        """Networks of the shape that all algorithms share."""
        s = self.settings
        self._reserve(count, inputs, outputs)
        return StackedNetworks(count, inputs, s.hidden, outputs, self.start, last_gain, s.activation)

    def for_agents(
        self, inputs: int, outputs: int, last_gain: float = 1.0, share: bool | None = None
    ) -> StackedNetworks:
        """A network per agent, or one for all as the algorithm's `share_policy` says (or `share`)."""
        s, o = self.settings, self.options
        shared = o.share_policy if share is None else share
        kind = {"activation": s.activation, "layer_norm": o.layer_norm}
        shape = (inputs, s.hidden, outputs, self.start, last_gain)
        self._reserve(1 if shared else self.agents, inputs, outputs)
        if shared:
            return SharedNetwork(self.agents, *shape, identity=o.agent_id, **kind)
        return StackedNetworks(self.agents, *shape, **kind)

    def _reserve(self, count: int, inputs: int, outputs: int) -> None:
        """Raises UsageError where the networks made so far and these do not fit into the machine's memory."""
        hidden = self.settings.hidden
        self._numbers += count * ((inputs + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * outputs)
        needed, free = self._numbers * _BYTES, _available_memory()
        if free is not None and needed > free:
            shared = f", share one policy (-s learning.{group_of(type(self))}.share_policy=true)"
            raise UsageError(
                f"The networks of {self.agents} agents need {needed / 1e9:.1f} GB to learn, and {free / 1e9:.1f} GB of "
                f"memory are free; take fewer agents{shared if hasattr(self.options, 'share_policy') else ''}, or "
                "smaller networks (-s learning.hidden=32)."
            )

    def learn_with(self, networks: Mapping[str, nn.Module], eps: float = 1e-8) -> None:
        """These learn, and are in the checkpoint under their names."""
        self.networks = dict(networks)
        for network in self.networks.values():
            network.to(self.settings.device)
        self.parameters = [p for network in self.networks.values() for p in network.parameters()]
        self.optimiser = Adam(self.parameters, self.settings.learning_rate, eps)

    def act_by(self, networks: StackedNetworks) -> None:
        """Actions come from these, one network per agent; call `refresh` of `actor` after they have changed."""
        self.actor = Actor(networks, self.encoding, self.generator)

    def on_device(self, *arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Arrays where the networks are."""
        return tuple(torch.from_numpy(array).to(self.settings.device) for array in arrays)

    def step(self, loss: torch.Tensor, norm: float | None = None, together: bool = False) -> None:
        """One gradient step.

        Args:
            norm: to which the gradient of each network is shortened, or `together` that of all; None: it is left.
        """
        self.optimiser.zero_grad()
        loss.backward()
        if norm is not None and together:
            nn.utils.clip_grad_norm_(self.parameters, norm)
        elif norm is not None:
            for network in self.networks.values():
                clip_gradients(network, norm)
        self.optimiser.step()

    # -- what the trainer asks -----------------------------------------------------------------------------------------
    def choose(self, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        """Draw an action, or take the likeliest while `deterministic` is set."""
        act = self.actor.best if self.deterministic else self.actor.draw
        return act(agent, observation, mask)

    def act(self, env: Any, agent: int, observation: np.ndarray, mask: np.ndarray) -> int:
        """As a policy that `drive` and every world take; it looks at the observation alone."""
        return self.choose(agent, observation, mask)

    @abstractmethod
    def update(
        self, experiences: Mapping[int, Trajectory], experts: Mapping[int, Trajectory], episode: int
    ) -> dict[str, Any]:
        """Learn from one episode; returns what to log: numbers, or arrays of one number per agent (NaN: none).

        Args:
            experiences: the agents' episode, tau^a; an agent without an entry took no part.
            experts: the demonstrations at hand, tau^e; empty for an algorithm that uses none.
            episode: k, from 0.
        """

    def tensors(self) -> dict[str, torch.Tensor]:
        """Networks and optimiser, by name, for a checkpoint."""
        return named_tensors(self.networks, self.optimiser)

    def load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take them up again. Raises UsageError when names or shapes do not fit."""
        load_named(self.networks, self.optimiser, tensors)
        self.actor.refresh()

    def random_state(self) -> dict[str, Any]:
        """State of the generator that draws actions."""
        return dict(self.generator.bit_generator.state)

    def load_random_state(self, state: Mapping[str, Any]) -> None:
        self.generator.bit_generator.state = dict(state)


algorithms: Registry[type[Algorithm]] = Registry(
    "algorithm",
    {
        name: f"{__name__}.{place}"
        for name, place in {
            "bc": "imitation.Bc",
            "bc-then-ppo": "imitation.BcThenPpo",
            "dapg": "dapg.Dapg",
            "ippo": "ppo.Ippo",
            "leed": "leed.Leed",
            "mappo": "mappo.Mappo",
            "q-lambda": "q_lambda.QLambda",
            "qmix": "qmix.Qmix",
            "sil": "sil.Sil",
        }.items()
    },
)


def algorithm_class(name: str) -> type[Algorithm]:
    """The algorithm of that name or dotted path. Raises UsageError when there is none, or it is none."""
    found = algorithms.get(name)
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        raise UsageError(f"{name} is no algorithm: it must be a subclass of {__name__}.Algorithm.")
    return found


def _available_memory() -> int | None:
    """Bytes that programs can still take, caches that give way included; None where the system does not say."""
    try:
        said = _LEFT.search(Path("/proc/meminfo").read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return 1024 * int(said[1]) if said else None


def group_of(kind: type[Algorithm]) -> str:
    return kind.group or kind.__name__.lower()


def options_of(kind: type[Algorithm], settings: LearningSettings) -> AlgorithmSettings:
    """The algorithm's own settings. Raises UsageError when one is unknown or out of range."""
    return _checked(kind, (settings.model_extra or {}).get(group_of(kind), {}))


def check_groups(settings: LearningSettings) -> None:
    """Every group of an algorithm holds what that algorithm takes.

    A dotted path is not imported here: settings are also read from files that others wrote. Its group is checked when
    the algorithm is made.

    Raises:
        UsageError: an unknown group or setting, a value out of range; the message names the nearest.
    """
    kinds = {group_of(kind): kind for kind in map(algorithms.get, algorithms.names())}
    for name, values in (settings.model_extra or {}).items():
        if name in kinds:
            _checked(kinds[name], values)
        elif not ("." in settings.algorithm and isinstance(values, Mapping | AlgorithmSettings)):
            homes = [f"learning.{group}.{name}" for group, kind in kinds.items() if name in kind.Settings.model_fields]
            fields = (field for kind in kinds.values() for field in kind.Settings.model_fields)
            known = {*LearningSettings.model_fields, *kinds, *fields}
            hint = f"did you mean {' or '.join(map(repr, homes))}?" if homes else nearest(name, known)
            raise UsageError(f"Unknown setting 'learning.{name}': {hint}")


def with_options(settings: LearningSettings) -> LearningSettings:
    """The settings with every one of the chosen algorithm's own, those at their defaults too.

    Raises:
        UsageError: no such algorithm, or a group that no algorithm at hand takes.
    """
    kind = algorithm_class(settings.algorithm)
    group, taken = group_of(kind), {group_of(known) for known in map(algorithms.get, algorithms.names())}
    for name in settings.model_extra or {}:
        if name not in (group, *taken):
            raise UsageError(f"Unknown setting 'learning.{name}': {settings.algorithm} takes learning.{group}.")
    return settings.model_copy(update={group: options_of(kind, settings).model_dump(mode="json")})


def _checked(kind: type[Algorithm], values: Any) -> AlgorithmSettings:
    try:
        return kind.Settings.model_validate(values)
    except ValidationError as error:
        raise UsageError(one_sentence(error, kind.Settings, f"learning.{group_of(kind)}.")) from error
