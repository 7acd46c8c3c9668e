r"""The kinds of connections, each one linear operator in a float and an integer form.

Weights are `[out, ...]`. An integer connection shifts its sum, and not each weight, by its exponent.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from seamount.errors import GraphError
from seamount.fixed_point import shift
from seamount.ir.node import Connection


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Connection):
    """Float synapses, all to all: `a = weight @ s`, s and a in C order, so that flattening needs no node.

    Args:
        weight: float64 `[out, in]`.
        delay: steps, 0 for feed-forward.
    """

    stage: ClassVar[str | None] = "float"
    ARRAYS: ClassVar[dict[str, type]] = {"weight": np.float64}

    def check(self) -> None:
        super().check()
        if self.weight.ndim != 2:
            raise GraphError(f"{self.name}: weight must be [out, in], got shape {self.weight.shape}.")

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.weight.shape[1] != math.prod(in_shape):
            raise GraphError(f"{self.name}: weight [out, in] = {list(self.weight.shape)} reads {_values(in_shape)}.")
        return self.weight.shape[:1]

    def apply(self, s: np.ndarray) -> np.ndarray:
        return s.reshape(len(s), -1) @ self.weight.T

    def largest_sum(self, bound: int) -> int:
        return int(np.abs(self.weight).sum(axis=1).max()) * bound

    def synapses(self, in_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.out_shape(in_shape)
        rows, columns = (i.ravel() for i in np.indices(self.weight.shape))
        return rows, columns, self.weight.ravel()

    def matrix(self, in_shape: tuple[int, ...]) -> np.ndarray:
        self.out_shape(in_shape)
        return self.weight

    def count(self, in_shape: tuple[int, ...]) -> int:
        return int(np.count_nonzero(self.weight))


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv(Connection):
    r"""Float convolution in one or two dimensions, by the rank of the weight, as PyTorch's:

        a[o, y] = sum over i, k of weight[o, i, k] z[group of o, i, stride y + dilation k - padding]

    where `z[spacing x] = s[x]`, and zero elsewhere: with a spacing above 1, a transposed convolution.

    Args:
        weight: float64 `[out, in / groups, *kernel]`.
        stride, dilation, padding, spacing: one number a dimension, or one for all; a spacing or a stride is 1.
        groups: parts into which channels in and out are split; output channels read their own part only.
        delay: steps, 0 for feed-forward.
    """

    stride: tuple[int, ...] = (1,)
    padding: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    spacing: tuple[int, ...] = (1,)
    groups: int = 1

    stage: ClassVar[str | None] = "float"
    ARRAYS: ClassVar[dict[str, type]] = {"weight": np.float64}

    def check(self) -> None:
        super().check()
        dims = self.weight.ndim - 2
        if dims not in (1, 2):
            raise GraphError(
                f"{self.name}: weight must be [out, in, kernel] or [out, in, height, width], got {self.weight.shape}."
            )
        if 0 in self.weight.shape:
            raise GraphError(f"{self.name}: weight of shape {self.weight.shape} is empty.")
        for field in ("stride", "padding", "dilation", "spacing"):
            object.__setattr__(self, field, _per_dimension(self, field, dims, least=field != "padding"))
        for k, d, p in zip(self.kernel, self.dilation, self.padding, strict=True):
            if p > d * (k - 1):
                raise GraphError(
                    f"{self.name}: padding (used {p}, limit {d * (k - 1)} for a kernel of {k}). "
                    "Hint: beyond it the sum is always zero."
                )
        if max(self.spacing) > 1 and max(self.stride) > 1:
            raise GraphError(f"{self.name}: spacing {self.spacing} with stride {self.stride} (allowed: one of them).")
        if self.groups < 1 or self.weight.shape[0] % self.groups:
            raise GraphError(f"{self.name}: {self.weight.shape[0]} channels do not split into {self.groups} groups.")

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.weight.shape[2:]

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels = self.weight.shape[1] * self.groups
        if len(in_shape) != len(self.kernel) + 1 or in_shape[0] != channels:
            wanted = ", ".join([str(channels), *["length"] * (len(self.kernel) == 1), *self._plane()])
            raise GraphError(f"{self.name}: reads {_values(in_shape)} (allowed ({wanted})).")
        shape = [self.weight.shape[0]]
        geometry = zip(in_shape[1:], self.kernel, self.stride, self.padding, self.dilation, self.spacing, strict=True)
        for n, k, s, p, d, u in geometry:
            span, room = d * (k - 1) + 1, (n - 1) * u + 1 + 2 * p
            if room < span:
                raise GraphError(f"{self.name}: a kernel that spans {span} (limit {room}, its input of {in_shape}"
                                 f"{' with padding' * (p > 0)}).")  # fmt: skip
            shape.append((room - span) // s + 1)
        return tuple(shape)

    def _plane(self) -> list[str]:
        return ["height", "width"] if len(self.kernel) == 2 else []

    def apply(self, s: np.ndarray) -> np.ndarray:
        shape = self.out_shape(s.shape[1:])
        w = self.weight.reshape(self.groups, shape[0] // self.groups, -1)
        a = w @ self.patches(s).swapaxes(-1, -2)
        return a.reshape(len(s), *shape)

    def patches(self, s: np.ndarray) -> np.ndarray:
        """What each output position sees: `[B, *in_shape]` -> `[B, groups, positions, in / groups * kernel]`."""
        dims = len(self.kernel)
        shape = self.out_shape(s.shape[1:])
        around = [(p, p + (n - 1) * u + 1) for n, p, u in zip(s.shape[2:], self.padding, self.spacing, strict=True)]
        z = np.zeros((*s.shape[:2], *(end + p for (_, end), p in zip(around, self.padding, strict=True))), s.dtype)
        z[(..., *(slice(*ends, u) for ends, u in zip(around, self.spacing, strict=True)))] = s
        span = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        axes = tuple(range(2, 2 + dims))
        windows = np.lib.stride_tricks.sliding_window_view(z, span, axis=axes)  # type: ignore[call-overload]
        steps = (*self.stride, *self.dilation)
        windows = windows[(..., *(slice(None, None, n) for n in steps))]  # [B, C, *out, *kernel]
        grouped = windows.reshape(len(s), self.groups, -1, *windows.shape[2:])
        grouped = np.moveaxis(grouped, 2, 2 + dims)  # [B, groups, *out, C / groups, *kernel]
        return grouped.reshape(len(s), self.groups, math.prod(shape[1:]), -1)

    def largest_sum(self, bound: int) -> int:
        steps = [u // math.gcd(u, d) for u, d in zip(self.spacing, self.dilation, strict=True)]
        taps = np.abs(self.weight).sum(axis=1)  # places in the kernel that are `steps` apart meet a source together
        phases = itertools.product(*([slice(first, None, n) for first in range(n)] for n in steps))
        return max(int(taps[(..., *at)].sum(axis=tuple(range(1, taps.ndim))).max()) for at in phases) * bound

    def synapses(self, in_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = self.out_shape(in_shape)
        positions, taps = math.prod(shape[1:]), math.prod(self.weight.shape[1:])
        sources = np.arange(1, math.prod(in_shape) + 1).reshape(1, *in_shape)  # 0 is what padding reads
        reads = np.repeat(self.patches(sources)[0], shape[0] // self.groups, axis=0)  # [out, positions, taps]
        rows = np.broadcast_to(np.arange(shape[0] * positions).reshape(shape[0], positions, 1), reads.shape)
        weights = np.broadcast_to(self.weight.reshape(shape[0], 1, taps), reads.shape)
        real = reads > 0
        return rows[real], reads[real] - 1, weights[real]

    def count(self, in_shape: tuple[int, ...]) -> int:
        shape = self.out_shape(in_shape)
        geometry = zip(
            in_shape[1:], shape[1:], self.kernel, self.stride, self.padding, self.dilation, self.spacing, strict=True
        )
        places = np.ones((), object)  # exact for any shape: nothing as large as the source is made
        for n, out, k, s, p, d, u in geometry:
            # by place in the kernel: first and last output position at which it is on the source, not in the padding;
            # with a spacing, the first and last of the source from which it reaches the output
            if u > 1:
                n, out, s, p, d = out, n, u, -p, -d
            at = [(max(0, -((i * d - p) // s)), min(out - 1, (n - 1 + p - i * d) // s)) for i in range(k)]
            places = places[..., None] * np.array([max(0, last - first + 1) for first, last in at], object)
        return int(((self.weight != 0).sum(axis=(0, 1)) * places).sum())


@dataclass(frozen=True, eq=False, kw_only=True)
class IntConnection(Connection, abstract=True):
    """What integer connections share: `a = f(s) << weight_exp`; for a negative exponent the floor of the shifted sum.

    Args:
        weight: int64.
        weight_exp: shift of the sum (not of each weight).
    """

    weight_exp: int = 0

    stage: ClassVar[str | None] = "integer"
    ARRAYS: ClassVar[dict[str, type]] = {"weight": np.int64}

    def apply(self, s: np.ndarray) -> np.ndarray:
        return shift(super().apply(s), self.weight_exp)


@dataclass(frozen=True, eq=False, kw_only=True)
class IntLinear(IntConnection, Linear):
    """Integer synapses: `a = (weight @ s) << weight_exp`; for a negative exponent the floor of the shifted sum.

    Args:
        weight: int64 `[out, in]`.
        weight_exp: shift of the sum (not of each weight).
        delay: steps, 0 for feed-forward.
    """


@dataclass(frozen=True, eq=False, kw_only=True)
class IntConv(IntConnection, Conv):
    """Integer convolution: the sum of Conv, `<< weight_exp`; for a negative exponent the floor of the shifted sum.

    Args:
        weight: int64 `[out, in / groups, *kernel]`.
        weight_exp: shift of the sum (not of each weight).
        others: as for Conv.
    """


def _per_dimension(node: Conv, field: str, dims: int, least: int) -> tuple[int, ...]:
    value = getattr(node, field)
    values = tuple(int(n) for n in (value if isinstance(value, (tuple, list)) else (value,)))
    values = values * dims if len(values) == 1 else values
    if len(values) != dims or min(values) < least:
        raise GraphError(f"{node.name}: {field} = {value} (allowed {dims} numbers of at least {int(least)}).")
    return values


def _values(shape: tuple[int, ...]) -> str:
    return f"a source of shape {shape}"
