r"""Linear layers without neurons fold into the weight of the connection beside them.

Each function returns an equal connection, in the stage of the one given: integer weights stay exact. The symbols are
those of `Conv`: a kernel of size k, stride s, padding P, dilation d; a pool sums windows of size p, q apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from seamount.errors import LoweringError
from seamount.ir import Connection, Conv, Linear


@dataclass(frozen=True)
class Pool:
    """Sums over windows of every channel.

    Args:
        name: for errors.
        kernel, stride: p and q, one number a dimension.
    """

    name: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size(self) -> int:
        """Values in a window."""
        return prod(self.kernel)

    @property
    def overlaps(self) -> bool:
        """Whether some value is in several windows."""
        return any(p > q for p, q in zip(self.kernel, self.stride, strict=True))

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """`(C, *space)` -> `(C, *space)`.

        Raises:
            LoweringError: the input has other dimensions, or is smaller than a window.
        """
        space = in_shape[1:]
        if len(space) != len(self.kernel) or any(n < p for n, p in zip(space, self.kernel, strict=True)):
            raise LoweringError(f"{self.name}: windows of {self.kernel} do not fit a source of shape {in_shape}.")
        return in_shape[0], *((n - p) // q + 1 for n, p, q in zip(space, self.kernel, self.stride, strict=True))


def pool_before(connection: Connection, pool: Pool, in_shape: tuple[int, ...]) -> Connection:
    """What reads the pool's input, of shape `in_shape`, in the place of a connection that reads the pool."""
    connection.out_shape(pool.out_shape(in_shape))
    if isinstance(connection, Conv):
        return _pool_before_conv(connection, pool, in_shape)
    assert isinstance(connection, Linear)
    return _pool_before_linear(connection, pool, in_shape)


def _pool_before_linear(linear: Linear, pool: Pool, in_shape: tuple[int, ...]) -> Linear:
    """`W'[o, c, y q + r] = sum of W[o, c, y]` over windows y and r < p."""
    shape = pool.out_shape(in_shape)
    pooled = linear.weight.reshape(-1, *shape)
    weight = np.zeros((len(pooled), *in_shape), pooled.dtype)
    for offsets in product(*map(range, pool.kernel)):
        window = (slice(r, r + q * (n - 1) + 1, q) for r, q, n in zip(offsets, pool.stride, shape[1:], strict=True))
        weight[(..., *window)] += pooled
    return replace(linear, weight=weight.reshape(len(weight), -1))


def _pool_before_conv(conv: Conv, pool: Pool, in_shape: tuple[int, ...]) -> Conv:
    r"""A convolution of pooled spikes is one with a larger kernel of the spikes.

        W'[.., a d q + r] = sum of W[.., a] over taps a and r < p;    stride s q, padding P q, dilation 1

    Zeros that the convolution pads are windows of zeros only where windows do not overlap and leave nothing over.

    Raises:
        LoweringError: the convolution pads, and there would be spikes in its padding.
    """
    if max(conv.spacing) > 1:
        raise LoweringError(f"{pool.name}: pools before {conv.name}, which upsamples (allowed: one of them).")
    for n, p, q, padding in zip(in_shape[1:], pool.kernel, pool.stride, conv.padding, strict=True):
        if padding and (p > q or (n - p) % q + p > q):
            raise LoweringError(
                f"{pool.name}: its windows {'overlap' if p > q else f'leave {(n - p) % q} of {n} values over'}, which "
                f"{conv.name} would find in its padding. Hint: no padding in {conv.name}, or sizes that divide."
            )
    taps = tuple(d * q for d, q in zip(conv.dilation, pool.stride, strict=True))
    return replace(
        conv,
        weight=_spread(conv.weight, taps, pool.kernel),
        stride=_times(conv.stride, pool.stride),
        padding=_times(conv.padding, pool.stride),
        dilation=(1,),
    )


def upsample_before(connection: Connection, factor: tuple[int, ...], name: str) -> Conv:
    """A convolution of upsampled spikes is one of spaced spikes, with a larger kernel.

    W'[.., a d + r] = sum of W[.., a] over taps a and r < u;    spacing u, padding P + u - 1, dilation 1

    Args:
        connection: what reads the upsampled spikes.
        factor: u, one number a dimension.
        name: of what upsamples, for errors.

    Raises:
        LoweringError: it is no convolution, or one with a stride.
    """
    if (
        not isinstance(connection, Conv)
        or len(connection.kernel) != len(factor)
        or max(*connection.stride, *connection.spacing) > 1
    ):
        raise LoweringError(
            f"{name}: upsamples what {connection.name} reads (allowed: a convolution of {len(factor)} dimensions, of "
            "stride 1)."
        )
    return replace(
        connection,
        weight=_spread(connection.weight, connection.dilation, factor),
        spacing=factor,
        padding=tuple(p + u - 1 for p, u in zip(connection.padding, factor, strict=True)),
        dilation=(1,),
    )


def pool_after(conv: Conv, pool: Pool) -> Conv:
    """A convolution whose sums are pooled is one with a larger kernel.

    W'[.., a d + r s] = sum of W[.., a] over taps a and r < p;    stride s q, padding P, dilation 1
    """
    window = np.zeros([(p - 1) * s + 1 for p, s in zip(pool.kernel, conv.stride, strict=True)], bool)
    window[tuple(slice(None, None, s) for s in conv.stride)] = True
    return replace(
        conv,
        weight=_spread(conv.weight, conv.dilation, window.shape, window),
        stride=_times(conv.stride, pool.stride),
        dilation=(1,),
    )


def pool_alone(name: str, inputs: tuple[str, ...], pool: Pool, channels: int) -> Conv:
    """A pool between two populations is a convolution of ones, channel by channel."""
    weight = np.ones((channels, 1, *pool.kernel))
    return Conv(name=name, inputs=inputs, weight=weight, stride=pool.stride, groups=channels)


def scale(connection: Linear | Conv, factor: np.ndarray | float) -> Linear | Conv:
    """Each output, or channel, times its factor, `[out]` or ()."""
    factor = np.asarray(factor, np.float64)
    return replace(connection, weight=connection.weight * factor.reshape(-1, *[1] * (connection.weight.ndim - 1)))


def normalization(
    mean: np.ndarray, variance: np.ndarray, eps: float, gain: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a batch normalisation in evaluation: `gain (x - mean) / sqrt(variance + eps) + bias`."""
    factor = gain / np.sqrt(variance + eps)
    return factor, bias - factor * mean


def _spread(
    weight: np.ndarray, taps: tuple[int, ...], window: tuple[int, ...], used: np.ndarray | None = None
) -> np.ndarray:
    """Kernel in which each tap, `taps` apart, has become the (used) places of a window."""
    kernel = weight.shape[2:]
    size = [d * (k - 1) + p for k, d, p in zip(kernel, taps, window, strict=True)]
    spread = np.zeros((*weight.shape[:2], *size), weight.dtype)
    for offsets in product(*map(range, window)):
        if used is None or used[offsets]:
            at = (slice(r, r + d * (k - 1) + 1, d) for r, d, k in zip(offsets, taps, kernel, strict=True))
            spread[(..., *at)] += weight
    return spread


def _times(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x * y for x, y in zip(a, b, strict=True))
