"""A population on the chip's integers; `connection.py` gives the equations that tie its units to its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seamount.fixed_point import ACT_SHIFT
from seamount.ir import Population
from seamount.limits import Limits
from seamount.neurons.quantize import kappa
from seamount.nn.neuron import Neuron, State
from seamount.nn.sequence import Chip
from seamount.nn.spec import Loop
from seamount.quantization.connection import CHIP_WEIGHT_BITS, QuantConnection


class QuantPopulation(Neuron):
    """A population on the chip's integers; what trains is the float neuron's and its connections'.

    Args:
        neuron: the float neuron.
        connections: what it sums; not registered as submodules, since they live where the network put them.
        limits: of the target.
        name: for errors.

    Attributes:
        observed: where not None, the largest `|a|` (or v, where it sums a over steps, in the units of a) seen so far;
            calibration turns it on.
    """

    connections: tuple[QuantConnection, ...]

    def __init__(self, neuron: Neuron, connections: list[QuantConnection], limits: Limits, name: str) -> None:
        nn.Module.__init__(self)
        self.neuron, self.limits, self.name = neuron, limits, name
        self.node_type = neuron.node_type  # type: ignore[misc]
        self.surrogate, self.detach_reset = neuron.surrogate, neuron.detach_reset
        self.shape = connections[0].out_shape
        self.observed: float | None = None
        self.held: tuple[Any, ...] | None = None
        object.__setattr__(self, "connections", tuple(connections))

    def fields(self) -> dict[str, Any]:
        return self.neuron.fields()

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
        return connection.scale.detach().double().cpu().numpy() / 2.0 ** (CHIP_WEIGHT_BITS - connection.bits)

    def total_bias(self) -> Tensor:
        """The population's bias and its connections', float, () or `[N]`."""
        total: Tensor = self.neuron.bias  # type: ignore[assignment]
        for connection in self.connections:
            if connection.bias is not None:
                total = total + connection.bias
        return total

    def float_node(self, inputs: tuple[str, ...] = ()) -> Population:
        """The float population that the integers stand for."""
        return self.neuron.node(self.name, inputs, self.shape, bias=self.total_bias().detach().double().cpu().numpy())

    def integer_node(self, inputs: tuple[str, ...] = (), fresh: bool = True) -> Population:
        """The population's integers, by its model's `quantize`: what the forward pass runs on, and `sm.lower` takes.

        Raises:
            QuantizationError: a threshold, bias or reset that the target cannot represent.
        """
        return self.float_node(inputs).quantize(self.lsb(fresh) * 2.0**-self.weight_exp, self.limits)

    @property
    def output_exp(self) -> int:
        """Binary logarithm of the value of one unit of a graded spike; 0 for spikes."""
        if self.node_type.kind != "graded":
            return 0
        largest = kappa(self.lsb() * 2.0**-self.weight_exp).max() * 2.0 ** self.float_node().sent_bits
        return round(np.log2(largest / self.neuron.bound))

    def hold(self, on: bool) -> None:
        """Compute the integers once for all steps of a loop, or stop doing so."""
        self.held = self._integers() if on else None

    def _integers(self) -> tuple[Any, ...]:
        """The integer step, the chip's constants, and the float step's constants dequantized, straight-through."""
        node = self.integer_node(fresh=False)
        unit = torch.tensor(node.scale, dtype=torch.float32)  # type: ignore[attr-defined]
        carries = not node.spiking or node.kind == "graded"
        output = torch.tensor(node.output_scale, dtype=torch.float32) if carries else None
        constants = tuple(torch.tensor(c, dtype=torch.int64) for c in node.constants())
        chip = Chip(constants, unit, 1 << ACT_SHIFT, output)
        exact = node.dequantize()
        fields = {**self.fields(), "bias": self.total_bias()}
        if "reset_by" in fields and fields["reset_by"] is None:
            fields["reset_by"] = fields["vth"]
        shadow = {k: _straight_through(v, exact[k]) if k in exact else v for k, v in fields.items()}
        return node.step, chip, self.neuron.constants(**shadow)

    def _chip_step(self) -> Any:
        return self._step

    def _run(self, a: Tensor, state: State, keep_v: bool, loop: Loop | None) -> tuple[Tensor, Tensor, State]:
        self._step, chip, constants = self._integers() if self.held is None else self.held
        constants = [c.to(a) if isinstance(c, Tensor) else c for c in constants]
        out, v, state = self._apply_step(a, state, keep_v or self.observed is not None, loop, constants, chip)
        if self.observed is not None:
            heard = a if loop is None else loop.heard
            self.observed = max(self.observed, float(heard.abs().max()))
            if "alpha" not in self.node_type.ARRAYS:  # no u that decays: the state holds the sums of many steps
                self.observed = max(self.observed, float(v.abs().max()) / (1 << ACT_SHIFT))
        return (out if chip.output is None else out * chip.output.to(out.device)), v, state


def _straight_through(parameter: Tensor, value: np.ndarray) -> Tensor:
    """`value` in the forward pass, the parameter in the backward pass."""
    exact = torch.tensor(value, dtype=torch.float32, device=parameter.device)
    return parameter + (exact - parameter).detach() if parameter.requires_grad else exact
