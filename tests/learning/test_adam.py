"""The optimiser: PyTorch's Adam to the last bit, without what its class imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from leed_agentic.learning.adam import Adam

LIGHT = """
import sys
import torch
from leed_agentic.learning.adam import Adam
weight = torch.nn.Parameter(torch.ones(3))
optimiser = Adam([weight], 0.1)
(weight ** 2).sum().backward()
optimiser.step()
assert weight[0] < 1
heavy = {"torch._dynamo", "scipy.signal", "scipy.stats"} & sys.modules.keys()
assert not heavy, heavy
"""


@pytest.mark.slow
def test_it_is_pytorch_s_to_the_last_bit():
    torch.manual_seed(0)
    start = [torch.randn(3, 4, 5), torch.randn(7), torch.randn(2, 2)]
    ours, theirs = ([nn.Parameter(tensor.clone()) for tensor in start] for _ in range(2))
    mine = Adam(ours, 3e-3, eps=1e-5)
    known = torch.optim.Adam(theirs, lr=3e-3, eps=1e-5, fused=True)
    for step in range(20):
        for parameters, optimiser in ((ours, mine), (theirs, known)):
            optimiser.zero_grad()
            # The last one is learned in every third step only.
            used = parameters if step % 3 == 0 else parameters[:2]
            sum(((p - step / 10) ** 3).sum() for p in used).backward()
            optimiser.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(mine.state[a][name], known.state[b][name]) for name in known.state[b])


@pytest.mark.slow
def test_a_step_imports_no_compiler():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
