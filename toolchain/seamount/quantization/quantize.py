"""From a float network to one that runs the chip's integers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from seamount import targets
from seamount.errors import QuantizationError, raise_all
from seamount.limits import Limits
from seamount.nn.neuron import parent_of
from seamount.quantization.calibration import calibrate
from seamount.quantization.connection import QuantConnection
from seamount.quantization.population import QuantPopulation
from seamount.topology import INPUT, Cell, trace

BITS = range(2, 9)


def quantize(
    net: nn.Module,
    *,
    weight_bits: int = 8,
    per_channel: bool = False,
    target: str = "loihi2",
    calibration: Any,
    input_bound: int = 1,
) -> nn.Module:
    """Quantize a network for a target; the given one is left as it is.

    Weights get Brevitas quantizers; thresholds, decays, biases and resets become the target's integers; one weight
    exponent per population is chosen on the calibration data and kept from then on. The forward pass of the result is
    the integer graph that `sm.lower` makes of it, spike for spike, before, during and after further training.

    Args:
        net: float network of `nn.Linear` and the neurons of `sm.nn`.
        weight_bits: 2..8.
        per_channel: one weight scale per output neuron instead of one per connection.
        target: whose limits hold.
        calibration: spikes `[T, B, N]`, or a data split with `spikes(indices)`, of which at most 512 samples are used.
        input_bound: largest magnitude of an input value, 1 for spikes.

    Returns:
        A new network with the same forward, which trains like the float one (quantization-aware).

    Raises:
        QuantizationError: a weight is NaN, or a parameter has no representation within the target's limits; names the
            module.
        UnsupportedNodeError, LoweringError: as `sm.lower`.
    """
    if weight_bits not in BITS:
        raise QuantizationError(f"weight_bits = {weight_bits} (allowed {BITS.start}..{BITS.stop - 1}).")
    limits = targets.find(target).limits
    qnet = copy.deepcopy(net)
    cells = trace(qnet).cells
    if any(isinstance(m, (QuantPopulation, QuantConnection)) for m in qnet.modules()):
        raise QuantizationError(
            f"{type(net).__name__}: is quantized already. Hint: give the float network, or calibrate."
        )
    raise_all(QuantizationError, _not_finite(qnet))
    for cell in cells:
        _replace(qnet, cell, weight_bits, per_channel, limits, input_bound)
    calibrate(qnet, calibration)
    return qnet


def _replace(net: nn.Module, cell: Cell, bits: int, per_channel: bool, limits: Limits, input_bound: int) -> None:
    connections: list[QuantConnection] = []
    for wire in cell.wires:
        linear = net.get_submodule(wire.name)
        assert isinstance(linear, nn.Linear)
        sharing = connections[0] if connections else None
        bound = input_bound if wire.source == INPUT else 1
        connections.append(QuantConnection(linear, bits, per_channel, sharing, bound))
        _put(net, wire.name, connections[-1])
    neuron = net.get_submodule(cell.module)
    _put(net, cell.module, QuantPopulation(neuron, connections, limits, cell.name))  # type: ignore[arg-type]


def _put(net: nn.Module, name: str, module: nn.Module) -> None:
    module.train(net.training)
    setattr(parent_of(net, name), name.rpartition(".")[2], module)


def _not_finite(net: nn.Module) -> list[str]:
    return [
        f"{name}: holds {int((~torch.isfinite(p)).sum())} NaN or infinite of {p.numel()} values."
        for name, p in [*net.named_parameters(), *net.named_buffers()]
        if not bool(torch.isfinite(p).all())
    ]
