"""A policy as an ONNX file: for programs without Python, numpy or this package."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from leed_agentic.errors import LeedError, UsageError
from leed_agentic.learning.encoding import SCORE_SCALE
from leed_agentic.learning.policy import NORM_EPS, Policy
from leed_agentic.runs.files import whole_file

AGREES = 1e-5
"""Largest difference of a probability from the policy's own."""


class PolicyModule(torch.nn.Module):
    """The policy in torch: observations (k, d) and masks (k, m), both float32, to probabilities (k, m)."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        read = policy.facts["encoding"]
        numbers = sorted(read["numbers"])
        others = [column for column in range(read["columns"]) if column not in numbers]
        self.plain, self.relu = bool(read["plain"]), policy.facts["activation"] == "relu"
        self.norms = "scale0" in policy.tensors
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("others", torch.tensor(others, dtype=torch.int64))
        for name, array in policy.tensors.items():
            self.register_buffer(name, torch.from_numpy(np.array(array, dtype=np.float32)))

    def forward(self, observation: torch.Tensor, action_mask: torch.Tensor) -> torch.Tensor:
        held: Any = self
        x = observation.index_select(1, held.others)
        if not self.plain:
            x = torch.sign(x) * torch.log1p(x.abs()) / SCORE_SCALE
        if len(held.numbers):
            ids = observation.index_select(1, held.numbers).to(torch.int64)
            # -1, no junction, is the table's last row.
            ids = torch.where(ids < 0, ids + len(held.table), ids)
            x = torch.cat([torch.nn.functional.embedding(ids, held.table).flatten(1), x], dim=1)
        for layer in (0, 1):
            x = x @ getattr(self, f"weight{layer}") + getattr(self, f"bias{layer}")
            x = torch.relu(x) if self.relu else torch.tanh(x)
            if self.norms:
                scale, shift = getattr(self, f"scale{layer}"), getattr(self, f"shift{layer}")
                x = torch.nn.functional.layer_norm(x, x.shape[-1:], scale, shift, NORM_EPS)
        logits = x @ held.weight2 + held.bias2
        return torch.softmax(torch.where(action_mask > 0, logits, torch.full_like(logits, -1e30)), dim=-1)


def save_onnx(policy: Policy, file: Path) -> None:
    """Write the policy: inputs `observation` (k, d) and `action_mask` (k, m), output `probabilities` (k, m), float32.

    Raises:
        UsageError: onnx is not installed.
        LeedError: what was written does not say what the policy says.
    """
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        reference = importlib.import_module("onnx.reference")
    except ImportError as error:
        raise UsageError(f'An ONNX file needs onnx ({error}): pip install "leed-agentic[onnx]".') from error
    observations, masks = _examples(policy)
    # The exporter tells what it does on stdout and in warnings, none of which is about the policy.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            PolicyModule(policy).eval(),
            (torch.from_numpy(observations), torch.from_numpy(masks)),
            input_names=["observation", "action_mask"],
            output_names=["probabilities"],
            dynamic_shapes={"observation": {0: "rows"}, "action_mask": {0: "rows"}},
            dynamo=True,
            verbose=False,
        )
    # With the exporter of torch.export it is a program.
    model = cast(Any, program).model_proto
    (found,) = reference.ReferenceEvaluator(model).run(None, {"observation": observations, "action_mask": masks})
    own = np.array([policy.probabilities(o, m) for o, m in zip(observations, masks, strict=True)])
    apart = float(np.abs(found - own).max())
    if not apart <= AGREES:
        raise LeedError(f"The ONNX file would be {apart:.1e} apart from the policy; use the safetensors file.")
    with whole_file(file) as partial:
        partial.write_bytes(model.SerializeToString())


def _examples(policy: Policy, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Drawn observations and masks: junctions that the map has, and sizes of seconds to hours."""
    generator, read = np.random.default_rng(0), policy.facts["encoding"]
    observations = generator.exponential(300.0, (count, read["columns"])).astype(np.float32)
    junctions = len(policy.tensors["table"]) - 1
    for column in read["numbers"]:
        observations[:, column] = generator.integers(-1, junctions, count)
    masks = (generator.random((count, policy.actions)) < 0.6).astype(np.float32)
    masks[:, 0] = 1.0
    return observations, masks
