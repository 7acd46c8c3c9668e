"""A population on the chip's integers; `connection.py` gives the equations that tie its units to its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seamount.errors import QuantizationError
from seamount.fixed_point import ACT_SHIFT, UNITY
from seamount.limits import Limits
from seamount.neurons import IntCubaLIF, IntLI
from seamount.neurons.cuba_lif import retention_u, retention_v
from seamount.nn.neuron import CubaLIF, Neuron, State
from seamount.nn.sequence import Dynamics, Population
from seamount.quantization.connection import CHIP_WEIGHT_BITS, QuantConnection


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
