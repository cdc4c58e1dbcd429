"""One agent's trained policy in one file, used without the training run, torch or SUMO: numpy computes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from leed_agentic.errors import UsageError
from leed_agentic.learning.encoding import Encoding
from leed_agentic.runs.files import whole_file

if TYPE_CHECKING:
    from leed_agentic.roads.network import RoadNetwork

FORMAT = "leed-policy"
FORMAT_VERSION = 1
NORM_EPS = 1e-5


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Units of shape (..., k) over their deviation (Ba et al. 2016), scaled and shifted."""
    apart = x - x.mean(-1, keepdims=True)
    return apart / np.sqrt((apart**2).mean(-1, keepdims=True) + NORM_EPS) * scale + shift


class Policy:
    """pi^i of one agent.

    Args:
        tensors: weight0, bias0, ... weight2, bias2 of the network, scale0 ... shift1 of its layer norms if it has them,
            and `table`, the code of each junction number.
        facts: where it comes from and how its observations are read; `Session.policy` lists them.

    Raises:
        KeyError, TypeError, ValueError: something is missing.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        self.tensors, self.facts = dict(tensors), dict(facts)
        self.agent, self.actions = int(facts["agent"]), int(facts["actions"])
        self._layers = [(tensors[f"weight{i}"], tensors[f"bias{i}"]) for i in range(3)]
        self._relu = facts["activation"] == "relu"
        read = facts["encoding"]
        table = tensors["table"]
        self._encoding = Encoding(read["columns"], read["numbers"], kind=read["kind"], plain=read["plain"], table=table)

    # -- acting --------------------------------------------------------------------------------------------------------
    def __call__(self, observation: np.ndarray, mask: np.ndarray, generator: np.random.Generator | None = None) -> int:
        """The likeliest legal action; with a generator, one drawn from the policy."""
        if generator is not None:
            return int(generator.choice(self.actions, p=self.probabilities(observation, mask)))
        legal, logits = self._logits(observation, mask)
        return int(legal[logits.argmax()])

    def probabilities(self, observation: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """pi^i(. | o), shape (m,); 0 for masked actions.

        Args:
            observation: the environment's own, shape (d,).
            mask: 1 for a legal action, shape (m,).

        Raises:
            UsageError: another shape, a junction that the policy's map does not have, or no legal action.
        """
        legal, logits = self._logits(observation, mask)
        # In float64, so that the sum is 1 closely enough to draw from.
        weights = np.exp(logits.astype(np.float64) - logits.max())
        result = np.zeros(self.actions)
        result[legal] = weights / weights.sum()
        return result

    def _logits(self, observation: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns, legal = self._encoding.columns, np.flatnonzero(mask)
        if np.shape(observation) != (columns,) or np.shape(mask) != (self.actions,) or not len(legal):
            raise UsageError(
                f"The policy takes an observation of shape ({columns},) and a mask of shape ({self.actions},) with a "
                f"legal action, not {np.shape(observation)} and {np.shape(mask)} with {len(legal)} legal ones."
            )
        try:
            x = self._encoding(np.asarray(observation, dtype=np.float32))
        except IndexError:
            raise UsageError(
                f"The observation names a junction that map {self.facts['map']} lacks; the policy was trained there."
            ) from None
        for layer, (weight, bias) in enumerate(self._layers[:2]):
            x = x @ weight + bias
            x = np.maximum(x, 0.0) if self._relu else np.tanh(x)
            if f"scale{layer}" in self.tensors:
                x = layer_norm(x, self.tensors[f"scale{layer}"], self.tensors[f"shift{layer}"])
        weight, bias = self._layers[2]
        return legal, (x @ weight + bias)[legal]

    def check(self, network: RoadNetwork) -> None:
        """Raises UsageError unless the network numbers its junctions and edges as the one the policy was trained on."""
        if [j.id for j in network.junctions] != self.facts["junctions"] or network.max_successors != self.actions:
            raise UsageError(
                f"The policy was trained on another network (map {self.facts['map']}) than {network.name}; "
                "its junction numbers mean nothing here: train anew on this one."
            )

    # -- files ---------------------------------------------------------------------------------------------------------
    def save(self, file: Path) -> None:
        """Write one safetensors file. Raises UnwritableError when the disk is full or cannot be written."""
        content = {"version": FORMAT_VERSION, "sha256": _digest(self.tensors, self.facts), **self.facts}
        # One entry: safetensors writes several in no fixed order, and equal policies shall be equal files.
        metadata = {FORMAT: json.dumps(content)}
        with whole_file(file) as partial:
            partial.write_bytes(save(self.tensors, metadata))

    @classmethod
    def load(cls, file: str | Path) -> Policy:
        """A policy of `leed policy export`. Raises UsageError when the file is missing, damaged or something else."""
        try:
            with safe_open(str(file), framework="numpy") as opened:
                metadata = opened.metadata() or {}
                if FORMAT not in metadata:
                    raise UsageError(f"{file} is not of format {FORMAT}; give a file of {_EXPORT}.")
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            facts = json.loads(metadata[FORMAT])
            version, digest = facts.pop("version"), facts.pop("sha256")
            if version != FORMAT_VERSION:
                raise UsageError(
                    f"{file} has version {version} of format {FORMAT}, this program reads {FORMAT_VERSION}; "
                    f"make it again with {_EXPORT}."
                )
            if digest != _digest(tensors, facts):
                raise UsageError(f"{file} was changed or damaged after it was written; make it again with {_EXPORT}.")
            return cls(tensors, facts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
            raise UsageError(f"Cannot read the policy {file} ({error}); give a file of {_EXPORT}.") from error


_EXPORT = "`leed policy export`"


def _digest(tensors: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str:
    # safetensors checks sizes only: a flipped bit in a weight would drive on unnoticed.
    content = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        content.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        content.update(np.ascontiguousarray(tensors[name]).tobytes())
    return content.hexdigest()
