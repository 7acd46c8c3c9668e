"""What the tests of gradients share: spikes with a derivative of their own, and the gradients that a rule leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import seamount as sm

SLOPE = 5.0
"""Of the fast sigmoid in the tests of online rules."""


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor, derivative: Callable[[Tensor], Tensor]) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(z)
        ctx.derivative = derivative
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        return gradients[0] * ctx.derivative(ctx.saved_tensors[0]), None


def fast_sigmoid(z: Tensor) -> Tensor:
    """Derivative of z / (1 + SLOPE |z|)."""
    return 1 / (1 + SLOPE * z.abs()) ** 2


def spike(z: Tensor, derivative: Callable[[Tensor], Tensor] = fast_sigmoid) -> Any:
    """1 where z > 0, with that derivative in its place."""
    return _Spike.apply(z, derivative)


def lif(beta: Any, *values: Any, **options: Any) -> sm.nn.LIF:
    """A population with that derivative."""
    return sm.nn.LIF(beta, *values, surrogate=sm.nn.FastSigmoid(SLOPE), **options)


def by_rule(rule: Any, x: Tensor, y: Any) -> dict[str, Any]:
    """Gradients by name, of a sample from a clean state."""
    rule.net.zero_grad()
    rule.sample(x, y)
    return {name: p.grad for name, p in rule.net.named_parameters()}


def error(got: Tensor, want: Tensor) -> float:
    """Norm of the difference, relative."""
    return float((got - want).norm() / want.norm())
