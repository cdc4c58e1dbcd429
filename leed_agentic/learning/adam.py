"""Adam (Kingma and Ba 2015) on PyTorch's own fused step, with the moments kept here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.adam import adam

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Adam:
    """What `torch.optim.Adam(..., fused=True)` computes, number for number, by the function that it calls.

    The class itself imports PyTorch's compiler before its first step, which costs each process more processor time
    than twenty episodes of training do, and nothing here is compiled.

    Args:
        parameters: float tensors, learned in place.
        lr: step size.
        eps: added to the root of the second moment.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], lr: float, eps: float = 1e-8) -> None:
        self.parameters, self.lr, self.eps = parameters, lr, eps
        self.state: dict[nn.Parameter, dict[str, torch.Tensor]] = {}
        """Per parameter the steps made, shape (), and both moments, of its shape; none before its first gradient."""

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        for parameter in moved:
            if parameter not in self.state:
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                made = (step, torch.zeros_like(parameter), torch.zeros_like(parameter))
                self.state[parameter] = dict(zip(MOMENTS, made, strict=True))
        steps, means, squares = ([self.state[parameter][moment] for parameter in moved] for moment in MOMENTS)
        adam(
            list(moved),
            [parameter.grad for parameter in moved if parameter.grad is not None],
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
        )
