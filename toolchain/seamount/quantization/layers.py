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

from dataclasses import replace
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from torch import Tensor, nn
from torch.nn import functional

from seamount.errors import QuantizationError
from seamount.fixed_point import ACT_SHIFT, UNITY
from seamount.limits import Limits
from seamount.neurons import IntCubaLIF, IntLI
from seamount.neurons.cuba_lif import retention_u, retention_v
from seamount.nn.neuron import CubaLIF, Neuron, State
from seamount.nn.sequence import Dynamics, Population

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


class QuantPopulation(Neuron):
    """A population on the chip's integers; what trains is the float neuron's and its connections'.

    Args:
        neuron: the float neuron.
        connections: what it sums; not registered as submodules, since they live where the network put them.
        limits: of the target.
        name: for errors.

    Attributes:
        observed: where not None, the largest `|a|` seen so far; calibration turns it on.
    """

    connections: tuple[QuantConnection, ...]

    def __init__(self, neuron: Neuron, connections: list[QuantConnection], limits: Limits, name: str) -> None:
        nn.Module.__init__(self)
        self.neuron, self.limits, self.name = neuron, limits, name
        self.spiking = neuron.spiking
        self.observed: float | None = None
        self.held: tuple[Any, ...] | None = None
        object.__setattr__(self, "connections", tuple(connections))

    @property
    def alpha(self) -> Tensor:  # type: ignore[override]
        return self.neuron.alpha

    @property
    def weight_exp(self) -> int:
        """K."""
        first = self.connections[0]
        return int(first.weight_exp) + first.magnification

    @weight_exp.setter
    def weight_exp(self, exponent: int) -> None:
        for connection in self.connections:
            connection.weight_exp.fill_(exponent - connection.magnification)

    def lsb(self, fresh: bool = True) -> np.ndarray:
        """`l`, float64 () or `[N]`; `fresh` quantizes the weights anew instead of taking the last forward pass's."""
        connection = self.connections[0]
        if fresh or connection.scale is None:
            with torch.no_grad():
                connection.codes()
        assert connection.scale is not None
        return _numpy(connection.scale) / 2.0 ** (CHIP_WEIGHT_BITS - connection.bits)

    def total_bias(self) -> Tensor:
        """The population's bias and its connections', float, () or `[N]`."""
        return sum((c.bias for c in self.connections if c.bias is not None), self.neuron.bias)

    def node(self, inputs: tuple[str, ...] = (), fresh: bool = True) -> IntCubaLIF | IntLI:
        """The population's integers.

            dv = round(4096 (1 - beta)),  du = round(4095 - 4096 alpha),  both clamped to 0..4095
            vth = round(vth 2^K / l),  reset_by = round(reset_by / kappa),  default vth << 6
            bias = round(bias / kappa), with the smallest exponent that fits its mantissa

        Raises:
            QuantizationError: a threshold, bias or reset that the target cannot represent.
        """
        n, limits = self.neuron, self.limits
        unit = self.lsb(fresh) * 2.0**-self.weight_exp
        kappa = unit / (1 << ACT_SHIFT)
        bias = self._round("bias", _numpy(self.total_bias()), kappa, limits.bias)
        exponent = limits.bias_exp[0]
        while np.abs(np.round(bias / 2**exponent)).max() > limits.bias_mant[1]:
            exponent += 1
        common = {
            "name": self.name,
            "inputs": inputs,
            "shape": (self.connections[0].out_features,),
            "dv": np.clip(np.round(UNITY * (1 - _numpy(n.beta))), *limits.decay),
            "du": np.clip(np.round(UNITY - 1 - UNITY * _numpy(n.alpha)), *limits.decay),
            "bias_mant": np.round(bias / 2**exponent),
            "bias_exp": exponent,
            "scale": kappa,
        }
        if not isinstance(n, CubaLIF):
            return IntLI(**common)
        vth = self._round("vth", _numpy(n.vth), unit, limits.vth[1])
        reset_by = None
        if n.reset_by is not None:
            reset_by = self._round("reset_by", _numpy(n.reset_by), kappa, limits.vth[1] << ACT_SHIFT)
        return IntCubaLIF(**common, vth=vth, reset=n.reset, reset_by=reset_by)

    def _round(self, what: str, values: np.ndarray, unit: np.ndarray, limit: int) -> np.ndarray:
        whole = np.round(values / unit)
        worst = np.abs(whole).max()
        if not worst <= limit:
            raise QuantizationError(
                f"{self.name}: {what} (used {worst:.0f}, limit {limit}, in units of {np.min(unit):.3g}). "
                "Hint: calibrate again, or bring weights and threshold to the same size."
            )
        return whole

    def hold(self, on: bool) -> None:
        """Compute the integers once for all steps of a loop, or stop doing so."""
        self.held = self._constants() if on else None

    def _constants(self) -> tuple[Any, ...]:
        """Chip constants as int64 tensors; kappa; alpha, beta, bias, vth, reset_by dequantized, straight-through."""
        node = self.node(fresh=False)
        chip = tuple(torch.tensor(c, dtype=torch.int64) for c in node.constants())
        unit = torch.tensor(node.scale, dtype=torch.float32)
        n = self.neuron
        shadow = [
            _shadow(n.alpha, retention_u(node.du) / UNITY),
            _shadow(n.beta, retention_v(node.dv) / UNITY),
            _shadow(self.total_bias(), node.bias * _scale(node)),
        ]
        if isinstance(n, CubaLIF) and isinstance(node, IntCubaLIF):
            shadow += [
                _shadow(n.vth, (node.vth << ACT_SHIFT) * _scale(node)),
                _shadow(n.removed, node.reset_by * _scale(node)),
            ]
        else:
            shadow += [torch.zeros(()), torch.zeros(())]
        return chip, unit, shadow

    def _run(self, a: Tensor, state: State, keep_v: bool) -> tuple[Tensor, Tensor, State]:
        if self.observed is not None:
            self.observed = max(self.observed, float(a.abs().max()))
        chip, unit, shadow = self._constants() if self.held is None else self.held
        n = self.neuron
        dynamics = Dynamics(keep_v=keep_v, chip=chip, unit=unit, gain=1 << ACT_SHIFT)
        if isinstance(n, CubaLIF):
            dynamics = replace(dynamics, zero=n.reset == "zero", detach_reset=n.detach_reset, surrogate=n.surrogate)
        out, v, u_last, v_last = Population.apply(a, *state, *(p.to(a.dtype) for p in shadow), dynamics)  # type: ignore[misc]
        if not self.spiking:
            out = out * unit
        return out, v, State(u_last, v_last)


def _numpy(value: Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def _scale(node: IntCubaLIF | IntLI) -> np.ndarray:
    assert node.scale is not None
    return node.scale


def _shadow(parameter: Tensor, value: np.ndarray) -> Tensor:
    """`value` in the forward pass, the parameter in the backward pass (straight-through)."""
    exact = torch.tensor(value, dtype=torch.float32)
    return parameter + (exact - parameter).detach() if parameter.requires_grad else exact
