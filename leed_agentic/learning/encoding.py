"""How an observation enters the networks: junction numbers as codes, scores as logarithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SCORE_SCALE = 4.0
REMEMBERED = 20_000
"""Encoded observations kept: 8 MB with the default codes."""


class Encoding:
    """From observations of shape (..., d) to network inputs of shape (..., size), float32.

    A junction's number says nothing by its size, so a network learns badly from it. Each number is looked up in a table
    instead: `onehot` (one input per junction), `codes` (a random point on the unit sphere per junction: a fixed
    projection of one-hot, a tenth of its size), `places` (that and where the junction lies, so that what was learnt of
    one says something of its neighbours) or `raw` (the number itself over the count, for comparison).
    Every other column is compressed to sign(x) log(1 + |x|) / 4, which maps seconds and metres to order 1.

    Args:
        columns: number of columns d.
        numbers: which columns hold junction numbers; -1 in them means none.
        junctions: how many junctions there are.
        kind: `codes`, `places`, `onehot` or `raw`.
        code_size: length of a code.
        plain: leave the other columns as they are (observations that are not Table I's).
        table: rows to look junction numbers up in, in place of those of `kind`; the last one stands for none.
        places: of `places`: metres east and north of each junction, shape (junctions, 2).
    """

    def __init__(
        self,
        columns: int,
        numbers: Sequence[int] = (),
        junctions: int = 0,
        kind: str = "codes",
        code_size: int = 16,
        plain: bool = False,
        table: np.ndarray | None = None,
        places: np.ndarray | None = None,
    ) -> None:
        self.columns, self.kind, self.plain = columns, kind, plain
        self.numbers = np.array(sorted(numbers), dtype=np.int64)
        self._others = np.array([c for c in range(columns) if c not in set(numbers)], dtype=np.int64)
        self.table = _table(kind, junctions, code_size, places) if table is None else table
        self.size = len(self._others) + len(self.numbers) * self.table.shape[1]
        self._known: dict[bytes, np.ndarray] = {}

    def one(self, observation: np.ndarray) -> np.ndarray:
        """One observation's inputs, shape (size,), not to be changed: remembered, because on a map most come again.

        With free streets an observation is a place and a destination: of 110,000 that ten agents met on Braunschweig,
        97 % were among 3,000 different ones.
        """
        key = observation.tobytes()
        inputs = self._known.get(key)
        if inputs is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            inputs = self._known[key] = self(observation)
        return inputs

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        others = observations[..., self._others]
        if not self.plain:
            others = np.copysign(np.log1p(np.abs(others)), others) / SCORE_SCALE
        if not len(self.numbers):
            return others.astype(np.float32)
        ids = observations[..., self.numbers].astype(np.int64)
        codes = self.table.take(ids, axis=0).reshape(*ids.shape[:-1], -1)
        return np.concatenate([codes, others], axis=-1, dtype=np.float32)


def _table(kind: str, junctions: int, code_size: int, places: np.ndarray | None = None) -> np.ndarray:
    """One row per junction and a last row of zeros, which -1 finds: no junction."""
    if kind == "onehot":
        rows = np.eye(junctions)
    elif kind == "raw":
        rows = (np.arange(junctions)[:, None] + 1.0) / max(junctions, 1)
    else:
        # The same codes in every run on a map: they are part of the policy's input, not of a run's luck.
        rows = np.random.default_rng(0xC0DE).normal(size=(junctions, code_size))
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        if kind == "places":
            assert places is not None  # noqa: S101 - who asks for them gives them
            rows = np.concatenate([rows, _waves(places)], axis=1)
    return np.concatenate([rows, np.zeros((1, rows.shape[1]))]).astype(np.float32)


def _waves(places: np.ndarray) -> np.ndarray:
    """Coordinates from -1 to 1 over the map's longer side, and waves of 4, 2, 1 and 1/2 of these units, shape (k, 18).

    The waves tell near junctions apart, which coordinates alone do too little (Tancik et al. 2020, arXiv 2006.10739).
    """
    middle = (places.max(axis=0) + places.min(axis=0)) / 2
    scaled = (places - middle) / max(float(np.ptp(places, axis=0).max()) / 2, 1e-9)
    angles = [np.pi * 2.0**k * scaled for k in (-1, 0, 1, 2)]
    return np.concatenate([scaled, *(wave(angle) for angle in angles for wave in (np.sin, np.cos))], axis=1)
