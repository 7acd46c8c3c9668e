r"""Quantized connections, whose forward pass is the integer graph.

Brevitas gives a weight of `b` bits, `W ~ q s` with a narrow-range integer `q`. On the chip it becomes

    w = q << (9 - b)        always even, |w| <= 254
    l = s / 2^(9 - b)       value of one unit of w
    a = (w @ spikes) << K   floor of the sum for a negative exponent
    kappa = l 2^-K / 64     value of one unit of v

so that `kappa (a << 6) = W @ spikes`. Connections into one population share one Brevitas quantizer, hence one `l`, up
to powers of two: where one's weights are 2^e times smaller, it is stored as `W 2^e` and shifted by `K - e`. Between a
quantized connection and its population travels `a`, whole numbers in a float tensor, so that additions of several
connections stay exact. `QuantPopulation.node` is the only place where the integers of a population are made: the
forward pass runs on them, and `sm.lower` takes them as they are.

What a graded spike carries is a whole number of units `2^r`, and the exponent of a connection that reads it is larger
by r. That the unit is a power of two follows from kappa, which is one where the scales `s` are: those of a graded
population's connections.
"""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint, Int8WeightPerTensorFixedPoint
from torch import Tensor, nn
from torch.nn import functional

from seamount.ir import Conv, IntConnection, IntConv, IntLinear, Linear
from seamount.nn.connection import each_step
from seamount.nn.convolution import conv2d
from seamount.nn.linear import linear_of_codes
from seamount.topology import Wire

CHIP_WEIGHT_BITS = 9
"""Sign, 8 bits of magnitude; the last is 0 in MIXED sign mode."""
SCALE_FLOOR = 2**-6
"""A channel's largest weight counts as at least this part of the tensor's; else a zero channel's vth is infinite."""
EXACT_FLOAT32 = 1 << 24
QUANTIZERS = {
    (False, False): Int8WeightPerTensorFloat,
    (True, False): Int8WeightPerChannelFloat,
    (False, True): Int8WeightPerTensorFixedPoint,
    (True, True): Int8WeightPerChannelFixedPoint,
}
"""By whether each channel has a scale, and whether scales are powers of two."""


class QuantConnection(nn.Module):
    """What QuantLinear and the quantized convolutions add to Brevitas' layers: spikes -> a, on the chip's integers.

    Attributes:
        bits: 2..8.
        bound: largest magnitude of its input.
        magnification: `e`: the stored weight is the float network's times 2^e.
        in_shape: of its source, before the pools in front of it.
        out_shape: of what it delivers, as the population's.
        bias: added by the population, to whose shape it broadcasts; or None.
        scale: `s`, set by `codes`; broadcasts to the population.
        source: the quantized population whose graded spikes it reads, or None.
        pattern: of the weight's shape, 0 where there is no synapse; None where all are there.
    """

    weight: nn.Parameter
    weight_exp: Tensor
    weight_quant: Any
    quant_weight: Any
    bias: nn.Parameter | None
    pattern: Tensor | None = None
    source: Any = None
    spread: tuple[int, ...] = ()
    """Dimensions of a parameter behind that of the channel."""

    @staticmethod
    def options(
        node: Linear | Conv, bits: int, per_channel: bool, graded: bool, sharing: QuantConnection | None
    ) -> dict[str, Any]:
        """Brevitas' arguments: a quantizer of its own, or that of a connection into the same population."""
        if sharing is not None:
            return {"bias": False, "weight_quant": sharing.weight_quant}
        return {
            "bias": False,
            "weight_quant": QUANTIZERS[per_channel, graded],
            "weight_bit_width": bits,
            "weight_scaling_min_val": _largest(node) * SCALE_FLOOR,
        }

    def adopt(
        self, node: Linear | Conv, bias: np.ndarray | None, bits: int, bound: int, in_shape: tuple[int, ...],
        out_shape: tuple[int, ...], sharing: QuantConnection | None,
    ) -> None:  # fmt: skip
        """Take over a float connection's weight and bias."""
        self.bits, self.bound, self.in_shape, self.out_shape = bits, bound, in_shape, out_shape
        self.magnification = 0
        if sharing is not None and np.any(node.weight):
            self.magnification = int(np.floor(np.log2(float(sharing.weight.detach().abs().max()) / _largest(node))))
        self.register_buffer("weight_exp", torch.tensor(0))
        self.scale: Tensor | None = None
        self.held: Tensor | None = None
        with torch.no_grad():
            self.weight.copy_(torch.tensor(node.weight) * 2.0**self.magnification)
        if bias is not None:
            self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))

    def codes(self) -> Tensor:
        """`q`, whole numbers in float32 of the weight's shape, straight-through to the weight; sets `scale`."""
        quantized = self.quant_weight()
        scale = quantized.scale.detach()
        self.scale = scale.reshape(-1, *self.spread) if scale.numel() > 1 else scale.reshape(())
        q = quantized.value / scale
        q = q + (q.round() - q).detach()
        return q if self.pattern is None else q * self.pattern.to(q.device)

    def chip_weight(self) -> np.ndarray:
        """`w`, int64 of the weight's shape."""
        with torch.no_grad():
            q = self.codes()
        return q.to(torch.int64).cpu().numpy() << (CHIP_WEIGHT_BITS - self.bits)

    def largest_sum(self) -> int:
        """Largest possible `|w @ spikes|`, all inputs at their bound."""
        return self._node(name="", inputs=("",), weight=self.chip_weight()).largest_sum(self.bound)

    def node(self, wire: Wire) -> IntConnection:
        """The integers as a node that reads the sums of the pools in front of it."""
        common = {"name": wire.name, "inputs": (wire.source,), "delay": wire.delay}
        return self._node(**common, weight=self.chip_weight(), weight_exp=int(self.weight_exp) + self.source_exp)

    @property
    def source_exp(self) -> int:
        """`r`: binary logarithm of one unit of what it reads."""
        return 0 if self.source is None else self.source.output_exp

    def _node(self, **fields: Any) -> IntConnection:
        raise NotImplementedError

    def hold(self, on: bool) -> None:
        """Quantize the weight once for all steps of a loop, or stop doing so."""
        self.held = self.codes() if on else None

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes `[.., *in_shape]`, or the sums that pools made of them, -> a `[.., *out_shape]`, whole numbers."""
        weight = self.effective_weight()
        a = self._sums(spikes.to(weight.dtype), weight)
        return a if self.exponent >= 0 and self.source is None else a + (a.floor() - a).detach()

    @property
    def exponent(self) -> int:
        """What a product of q and spikes is shifted by."""
        return CHIP_WEIGHT_BITS - self.bits + int(self.weight_exp)

    def effective_weight(self) -> Tensor:
        """`q 2^exponent`, in the dtype whose sums are exact; a power of two changes no digit of a sum."""
        q = self.codes() if self.held is None else self.held
        small = (self.weight[0].numel() * self.bound) << (self.bits - 1) < EXACT_FLOAT32
        number = torch.float32 if small and self._counts_in_float32() else torch.float64
        return q.to(number) * 2.0**self.exponent

    def _counts_in_float32(self) -> bool:
        return True

    def _sums(self, spikes: Tensor, q: Tensor) -> Tensor:
        raise NotImplementedError


class QuantLinear(QuantConnection, qnn.QuantLinear):
    """`nn.Linear` on the chip's integers: spikes `[.., in]` -> a `[.., out]`; arguments as of `quantized`."""

    def __init__(self, node: Linear, options: dict[str, Any]) -> None:
        qnn.QuantLinear.__init__(self, node.weight.shape[1], node.weight.shape[0], **options)

    def _node(self, **fields: Any) -> IntConnection:
        return IntLinear(**fields)

    def _sums(self, spikes: Tensor, q: Tensor) -> Tensor:
        return linear_of_codes(spikes, q, 2.0**self.exponent)


class _QuantConv(QuantConnection):
    """A convolution on the chip's integers: spikes `[.., C, *space]` -> a."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    spacing: tuple[int, ...]
    kernel_size: tuple[int, ...]
    groups: int
    convolve: Any
    transposed: Any

    def _node(self, **fields: Any) -> IntConnection:
        return IntConv(**fields, **self._geometry(), spacing=self.spacing)

    def _geometry(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def _counts_in_float32(self) -> bool:
        # Elsewhere a library may choose an algorithm (Winograd) that multiplies by fractions; it has none for float64.
        return self.weight.device.type == "cpu"

    def _sums(self, spikes: Tensor, q: Tensor) -> Tensor:
        if max(self.spacing) == 1:
            return each_step(lambda s: type(self).convolve(s, q, **self._geometry()), spikes, q.ndim - 1)
        options: dict[str, Any] = {"dilation": self.dilation, "groups": self.groups, "stride": self.spacing}
        sizes = zip(self.kernel_size, self.dilation, self.padding, strict=True)
        options["padding"] = tuple(d * (k - 1) - p for k, d, p in sizes)
        mirrored = q.flip(*range(2, q.ndim)).unflatten(0, (self.groups, -1)).transpose(1, 2).flatten(0, 1)
        return each_step(lambda s: type(self).transposed(s, mirrored, **options), spikes, q.ndim - 1)


class QuantConv1d(_QuantConv, qnn.QuantConv1d):
    """`nn.Conv1d` on the chip's integers: spikes `[.., C, L]` -> a; arguments as of `quantized`."""

    spread = (1,)
    convolve, transposed = staticmethod(functional.conv1d), staticmethod(functional.conv_transpose1d)

    def __init__(self, node: Conv, options: dict[str, Any]) -> None:
        qnn.QuantConv1d.__init__(self, **_arguments(node), **options)
        self.spacing = node.spacing


class QuantConv2d(_QuantConv, qnn.QuantConv2d):
    """`nn.Conv2d` on the chip's integers: spikes `[.., C, H, W]` -> a; arguments as of `quantized`."""

    spread = (1, 1)
    convolve, transposed = staticmethod(conv2d), staticmethod(functional.conv_transpose2d)

    def __init__(self, node: Conv, options: dict[str, Any]) -> None:
        qnn.QuantConv2d.__init__(self, **_arguments(node), **options)
        self.spacing = node.spacing


def quantized(
    node: Linear | Conv,
    bias: np.ndarray | None,
    *,
    bits: int,
    per_channel: bool,
    graded: bool,
    bound: int,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    sharing: QuantConnection | None,
) -> QuantConnection:
    """A float connection with a Brevitas weight quantizer.

    Args:
        node: the connection; pools in front of it stay in front.
        bias: broadcasts to its population, which adds it.
        bits: 2..8.
        per_channel: one scale per output neuron or channel instead of one for all.
        graded: scales are powers of two, as the population that it feeds needs whose spikes carry a value.
        bound: largest magnitude of its input.
        in_shape, out_shape: as `QuantConnection` has them.
        sharing: a connection into the same population whose quantizer this one shares.
    """
    options = QuantConnection.options(node, bits, per_channel, graded, sharing)
    if isinstance(node, Conv):
        module: QuantConnection = (QuantConv1d if len(node.kernel) == 1 else QuantConv2d)(node, options)
    else:
        module = QuantLinear(node, options)
    module.adopt(node, bias, bits, bound, in_shape, out_shape, sharing)
    return module


def _arguments(node: Conv) -> dict[str, Any]:
    """Brevitas' arguments for the shape of a convolution."""
    return {
        "in_channels": node.weight.shape[1] * node.groups,
        "out_channels": node.weight.shape[0],
        "kernel_size": node.kernel,
        "stride": node.stride,
        "padding": node.padding,
        "dilation": node.dilation,
        "groups": node.groups,
    }


def _largest(node: Linear | Conv) -> float:
    return max(float(np.abs(node.weight).max()), 1e-6)
