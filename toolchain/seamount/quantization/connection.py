r"""Quantized connections and populations, whose forward pass is the integer graph.

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
"""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from torch import Tensor, nn
from torch.nn import functional

CHIP_WEIGHT_BITS = 9
"""Sign, 8 bits of magnitude; the last is 0 in MIXED sign mode."""
SCALE_FLOOR = 2**-6
"""A channel's largest weight counts as at least this part of the tensor's; else a zero channel's vth is infinite."""
EXACT_FLOAT32 = 1 << 24


class QuantConnection(qnn.QuantLinear):
    """`nn.Linear` with a Brevitas weight quantizer, on the chip's integers: spikes `[.., in]` -> a `[.., out]`.

    Args:
        linear: the float connection; its bias, if any, is added by the population.
        bits: 2..8.
        per_channel: one scale per output neuron instead of one for all.
        sharing: a connection into the same population whose quantizer this one shares.
        bound: largest magnitude of its input.
    """

    weight_exp: Tensor

    def __init__(
        self, linear: nn.Linear, bits: int, per_channel: bool, sharing: QuantConnection | None, bound: int
    ) -> None:
        largest = max(float(linear.weight.detach().abs().max()), 1e-6)
        if sharing is None:
            options: dict[str, Any] = {
                "weight_quant": Int8WeightPerChannelFloat if per_channel else Int8WeightPerTensorFloat,
                "weight_bit_width": bits,
                "weight_scaling_min_val": largest * SCALE_FLOOR,
            }
        else:
            options = {"weight_quant": sharing.weight_quant}
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, **options)
        self.bits, self.bound = bits, bound
        self.magnification = 0
        """`e`: the stored weight is the float network's times 2^e."""
        if sharing is not None:
            self.magnification = int(np.floor(np.log2(float(sharing.weight.detach().abs().max()) / largest)))
        self.register_buffer("weight_exp", torch.tensor(0))
        self.scale: Tensor | None = None
        self.held: Tensor | None = None
        with torch.no_grad():
            self.weight.copy_(linear.weight * 2.0**self.magnification)
            if linear.bias is not None:
                self.bias.copy_(linear.bias)

    def codes(self) -> Tensor:
        """`q`, whole numbers in float32 `[out, in]`, straight-through to the weight; sets `scale`, `[out]` or ()."""
        quantized = self.quant_weight()
        scale = quantized.scale.detach()
        self.scale = scale.reshape(-1) if scale.numel() > 1 else scale.reshape(())
        q = quantized.value / scale
        return q + (q.round() - q).detach()

    def chip_weight(self) -> np.ndarray:
        """`w`, int64 `[out, in]`."""
        with torch.no_grad():
            q = self.codes()
        return q.to(torch.int64).numpy() << (CHIP_WEIGHT_BITS - self.bits)

    def hold(self, on: bool) -> None:
        """Quantize the weight once for all steps of a loop, or stop doing so."""
        self.held = self.codes() if on else None

    def forward(self, spikes: Tensor) -> Tensor:  # type: ignore[override]
        """Spikes `[.., in]` -> a `[.., out]`, whole numbers."""
        q = self.codes() if self.held is None else self.held
        if (self.in_features * self.bound) << (self.bits - 1) < EXACT_FLOAT32:
            a = functional.linear(spikes.float(), q)
        else:
            a = functional.linear(spikes.double(), q.double())
        exponent = CHIP_WEIGHT_BITS - self.bits + int(self.weight_exp)
        a = a * 2.0**exponent
        return a if exponent >= 0 else a + (a.floor() - a).detach()
