"""Flatten: the values and gradients of nn.Flatten, however the channels lie."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import seamount as sm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(3, 2, 5, 4, 6), (3, 2, 5, 1, 1), (1, 1, 1, 4, 6), (0, 2, 5, 4, 6)])
def test_flatten_is_torchs(shape, last, dtype):
    x = torch.randn(shape).to(dtype)
    if last:
        x = x.movedim(2, -1).contiguous().movedim(-1, 2)
    found = []
    for flatten in (sm.nn.Flatten(), nn.Flatten(2)):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = flatten(leaf)
        (out * torch.arange(out.shape[2])).sum().backward()
        found.append((out, leaf.grad))
    assert found[0][0].shape == found[1][0].shape
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
