r"""Connections over `[T, B, ...]`: torch's own, with time folded into the batch, and what folds into their weights.

`nn.Linear` acts on the last dimension and needs no counterpart here. All others see each step of each sample alone, so
that a sequence is equal to the loop of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seamount.errors import SeamountError
from seamount.nn.convolution import conv2d
from seamount.nn.layout import in_order
from seamount.nn.pool import window_sums


def each_step(function: Any, x: Tensor, dims: int) -> Tensor:
    """Call a function of `[B, *dims]` on `[T, B, *dims]`, or on `[B, *dims]` as it is."""
    if x.ndim == dims + 1:
        return function(x)
    if x.ndim != dims + 2:
        raise SeamountError(f"input has shape {list(x.shape)} (allowed [T, B, ...] with {dims} dimensions after them).")
    return function(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Conv1d(nn.Conv1d):
    """`nn.Conv1d` over `[T, B, C, L]`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return each_step(super().forward, input, 2)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` over `[T, B, C, H, W]`; faster on a CPU where few of its inputs are active.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.Conv2d(2, 8, 3, padding=1)(torch.zeros(5, 1, 2, 6, 6)).shape
        torch.Size([5, 1, 8, 6, 6])
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return each_step(super().forward, input, 3)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002
        if self.padding_mode != "zeros":
            return super()._conv_forward(input, weight, bias)
        return conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Flatten(nn.Flatten):
    """`[T, B, ...]` -> `[T, B, N]`, in C order; in graphs it needs no node."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """`[T, B, ...]` -> `[T, B, N]`."""
        return (
            in_order(input.flatten(0, 1)).unflatten(0, input.shape[:2]) if input.ndim == 5 else super().forward(input)
        )


class SumPool2d(nn.Module):
    """Sums of spikes over windows of `[T, B, C, H, W]`; without neurons, so that it folds into a connection's weight.

    Args:
        kernel_size: of the window, one number or (height, width).
        stride: from window to window; default the kernel size.
    """

    mean = False

    def __init__(self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] | None = None) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.stride = self.kernel_size if stride is None else _pair(stride)
        if min(*self.kernel_size, *self.stride) < 1:
            raise SeamountError(
                f"{type(self).__name__}: kernel {self.kernel_size}, stride {self.stride} (allowed 1 or more)."
            )

    def forward(self, x: Tensor) -> Tensor:
        """`[T, B, C, H, W]` -> `[T, B, C, H', W']`; sums of whole numbers are whole numbers."""
        x = x if x.is_floating_point() else x.float()
        sums = each_step(lambda s: window_sums(s, self.kernel_size, self.stride), x, 3)
        return sums / math.prod(self.kernel_size) if self.mean else sums

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class AvgPool2d(SumPool2d):
    """Means of spikes over windows, in all else as SumPool2d."""

    mean = True


class Upsample2d(nn.Module):
    """Repeats spikes of `[T, B, C, H, W]` over blocks; without neurons, so that it folds into a convolution behind it.

    Args:
        factor: size of a block, one number or (height, width).
    """

    def __init__(self, factor: int | tuple[int, int]) -> None:
        super().__init__()
        self.factor = _pair(factor)
        if min(self.factor) < 1:
            raise SeamountError(f"Upsample2d: factor {self.factor} (allowed 1 or more).")

    def forward(self, x: Tensor) -> Tensor:
        """`[.., C, H, W]` -> `[.., C, H factor, W factor]`, each value in a block of its own."""
        return x.repeat_interleave(self.factor[0], -2).repeat_interleave(self.factor[1], -1)

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class BatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d` of a connection's output `[T, B, N]`, with statistics over time and batch.

    It folds into the connection with the statistics that it has in evaluation.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return each_step(super().forward, input, 1)


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` of `[T, B, C, H, W]`, in all else as BatchNorm1d."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return each_step(super().forward, input, 3)


def standardized(weight: Tensor, gain: Tensor, eps: float) -> Tensor:
    r"""Scaled weight standardisation: `W^[i] = gain[i] (W[i] - mean_i) / (sigma_i sqrt(N))`, N inputs a neuron.

    Args:
        weight: `[out, ...]`.
        gain: `[out]`.
        eps: added to `sigma^2 N`.

    Source: Xiao et al. 2022 (OTTT), section 4.4; eps as SpikingJelly adds it.
    """
    flat = weight.flatten(1)
    variance, mean = torch.var_mean(flat, 1, keepdim=True)
    scale = torch.rsqrt(variance * flat.shape[1] + eps) * gain[:, None]
    return ((flat - mean) * scale).view_as(weight)


class _Standardized(nn.Module):
    """What WSLinear and WSConv2d add to their layers: a trained gain per output, in the place of a norm over time."""

    weight: Tensor
    gain: nn.Parameter
    eps: float

    def _standardize(self, gain: float, eps: float) -> None:
        self.gain = nn.Parameter(torch.full((self.weight.shape[0],), float(gain)))
        self.eps = eps

    def effective_weight(self) -> Tensor:
        """The standardised weight, which is what graphs get."""
        return standardized(self.weight, self.gain, self.eps)


class WSLinear(_Standardized, nn.Linear):
    """`nn.Linear` with scaled weight standardisation.

    Args:
        in_features, out_features, bias: those of `nn.Linear`.
        gain: first value of the trained gain of each output.
        eps: added to the variance of a neuron's weights times their number.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, gain: float = 1.0, eps: float = 1e-4
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias)
        self._standardize(gain, eps)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return functional.linear(input, self.effective_weight(), self.bias)


class WSConv2d(_Standardized, Conv2d):
    """Conv2d over `[T, B, C, H, W]` with scaled weight standardisation; `gain`, `eps` as in WSLinear.

    Example:
        >>> import torch, seamount as sm
        >>> conv = sm.nn.WSConv2d(2, 8, 3, bias=False)
        >>> bool(conv.effective_weight().sum((1, 2, 3)).abs().max() < 1e-5)
        True
    """

    def __init__(self, *args: Any, gain: float = 1.0, eps: float = 1e-4, **options: Any) -> None:
        Conv2d.__init__(self, *args, **options)
        self._standardize(gain, eps)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return each_step(lambda s: self._conv_forward(s, self.effective_weight(), self.bias), input, 3)


class Delayed(nn.Module):
    """A connection whose spikes arrive `steps` later, and zeros before: a synaptic delay.

    Args:
        connection: nn.Linear or a convolution.
        steps: 0..62 on the built-in targets.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.Delayed(torch.nn.Identity(), 2)(torch.arange(1.0, 5).reshape(4, 1, 1)).flatten()
        tensor([0., 0., 1., 2.])
    """

    carrying: Callable[[Tensor], Tensor] | None = None
    carried: Tensor | None = None

    def __init__(self, connection: nn.Module, steps: int) -> None:
        super().__init__()
        if steps < 0:
            raise SeamountError(f"Delayed: steps = {steps} (allowed 0 or more).")
        self.connection, self.steps = connection, steps

    def forward(self, x: Tensor) -> Tensor:
        """Spikes `[T, B, ...]` -> synaptic input `[T, B, ...]`; a bias does not wait."""
        under_way = x.new_zeros(self.steps, *x.shape[1:]) if self.carried is None else self.carried
        line = torch.cat([under_way, x])
        if self.carrying:
            self.carried = self.carrying(line[len(x) :])
        return self.connection(line[: len(x)])

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


class Parts(nn.Module):
    """Connections whose sources are concatenated, which is the sum of each on its own source.

    Quantizing puts it in the place of a connection that reads a concatenation.

    Args:
        sizes: channels of each source; inputs where it is flat.
        dim: of the channels, from the end.
    """

    def __init__(self, sizes: list[int], dim: int) -> None:
        super().__init__()
        self.sizes, self.dim = sizes, dim

    def forward(self, x: Tensor) -> Tensor:
        """Spikes `[.., sum of sizes, ..]` -> synaptic input."""
        parts = zip(self.children(), x.split(self.sizes, self.dim), strict=True)
        return torch.stack([connection(s) for connection, s in parts]).sum(0)


POOLS = (SumPool2d, Upsample2d)
NORMS = (BatchNorm1d, BatchNorm2d, nn.BatchNorm1d, nn.BatchNorm2d)
SYNAPSES = (nn.Linear, nn.Conv1d, nn.Conv2d)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
