"""Networks and their optimiser as named tensors, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from leed_agentic.errors import UsageError

_ADAM = ("step", "exp_avg", "exp_avg_sq")


def named_tensors(networks: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Every parameter as `<network>.<parameter>` and Adam's moments as `adam.<network>.<parameter>.<part>`."""
    named = {}
    for key, parameter in _parameters(networks):
        named[key] = parameter.detach()
        for part, value in optimiser.state.get(parameter, {}).items():
            named[f"adam.{key}.{part}"] = value
    return named


def load_named(
    networks: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Take up what `named_tensors` gave. Raises UsageError when a parameter is missing or of another shape."""
    for key, parameter in _parameters(networks):
        parameter.data.copy_(fitting(tensors, key, parameter))
        state = {p: tensors[f"adam.{key}.{p}"].clone() for p in _ADAM if f"adam.{key}.{p}" in tensors}
        if state:
            optimiser.state[parameter] = state


def fitting(tensors: Mapping[str, torch.Tensor], key: str, like: torch.Tensor) -> torch.Tensor:
    """The tensor of that name. Raises UsageError when it is missing or not of the shape of `like`."""
    stored = tensors.get(key)
    if stored is None or stored.shape != like.shape:
        raise UsageError(f"The checkpoint does not fit: {key} is missing or of another shape.")
    return stored


def _parameters(networks: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    return [(f"{name}.{part}", p) for name, network in networks.items() for part, p in network.named_parameters()]
