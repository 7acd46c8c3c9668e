"""Sums over windows against torch's own, however the images lie in memory."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seamount.nn.pool import window_sums


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("size", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 3)), ((2, 3), (4, 4))])
def test_sums_and_gradients_are_those_of_torch(last, dtype, size, stride):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (5, 6, 11, 10), generator=generator).to(dtype)
    x = (x.contiguous(memory_format=torch.channels_last) if last else x).requires_grad_()
    want = functional.avg_pool2d(x, size, stride, divisor_override=1)
    got = window_sums(x, size, stride)
    g = torch.randint(-3, 4, want.shape, generator=generator).to(dtype)
    assert torch.equal(got, want)
    assert got.is_contiguous(memory_format=torch.channels_last) == last
    (g_got,), (g_want,) = torch.autograd.grad(got, x, g), torch.autograd.grad(want, x, g)
    assert torch.equal(g_got, g_want)
