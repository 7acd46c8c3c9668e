"""From a float network to one that runs the chip's integers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from seamount import targets
from seamount.errors import QuantizationError, raise_all
from seamount.limits import Limits
from seamount.nn.connection import POOLS, Parts, SumPool2d
from seamount.nn.delay import with_fixed_delays
from seamount.nn.neuron import Neuron, parent_of
from seamount.quantization.calibration import calibrate, spikes_of
from seamount.quantization.connection import QuantConnection, quantized
from seamount.quantization.population import QuantPopulation
from seamount.synapses import inputs_of, shapes_of, shapes_through, starts, unpooled
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

    Batch norms (with the statistics that they have in evaluation), weight standardisation and pools behind a connection
    are folded into its weight and bias first, and train as such from then on; pools in front of a connection sum whole
    numbers, and the factor of a mean goes into the weight. Dropout, which scales what it keeps, is left out.

    Args:
        net: float network of `nn.Linear` and what `sm.nn` has.
        weight_bits: 2..8.
        per_channel: one weight scale per output neuron instead of one per connection.
        target: whose limits hold.
        calibration: spikes `[T, B, ...]`, or a data split with `spikes(indices)`, of which at most 512 samples are
            used.
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
    net = with_fixed_delays(net)
    qnet = copy.deepcopy(net)
    for name in [name for name, module in qnet.named_modules() if isinstance(module, nn.Dropout)]:
        _put(qnet, name, nn.Identity())
    topology = trace(qnet)
    if any(isinstance(m, (QuantPopulation, QuantConnection)) for m in qnet.modules()):
        raise QuantizationError(
            f"{type(net).__name__}: is quantized already. Hint: give the float network, or calibrate."
        )
    raise_all(QuantizationError, _not_finite(qnet))
    spikes = spikes_of(calibration)
    shapes, bounds = shapes_of(net, topology, tuple(spikes.shape[2:])), {INPUT: input_bound}
    bounds |= {cell.name: cast(Neuron, net.get_submodule(cell.module)).bound for cell in topology.cells}
    for cell in topology.cells:
        _replace(net, qnet, cell, shapes, weight_bits, per_channel, limits, bounds)
    _tell_units(qnet, topology.cells)
    calibrate(qnet, spikes)
    return qnet


def _tell_units(qnet: nn.Module, cells: Sequence[Cell]) -> None:
    """Let connections that read graded spikes know the population that sends them."""
    senders = {cell.name: qnet.get_submodule(cell.module) for cell in cells}
    for wire in (wire for cell in cells for wire in cell.wires if wire.source != INPUT):
        sender = senders[wire.source]
        if isinstance(sender, QuantPopulation) and sender.node_type.kind == "graded":
            object.__setattr__(qnet.get_submodule(wire.name), "source", sender)  # not as a submodule


def _replace(
    net: nn.Module, qnet: nn.Module, cell: Cell, shapes: dict[str, tuple[int, ...]], bits: int, per_channel: bool,
    limits: Limits, bounds: dict[str, int],
) -> None:  # fmt: skip
    """Put quantized modules into `qnet` where `net` has those of a cell."""
    connections: dict[str, QuantConnection] = {}
    graded = cast(Neuron, net.get_submodule(cell.module)).node_type.kind == "graded"
    begin = starts(net, cell, shapes)
    for name in dict.fromkeys(wire.module for wire in cell.wires if wire.part is not None):
        sizes = [inputs_of(net, wire, shapes[wire.source]) for wire in cell.wires if wire.module == name]
        spatial = cast(Any, net.get_submodule(name)).weight.ndim - 2
        _put(qnet, name, Parts(sizes, -1 - spatial))
    for wire in cell.wires:
        in_shape = shapes[wire.source]
        node, bias, pools = unpooled(net, wire, in_shape, begin[wire.name])
        for pool in (pool for pool in pools if pool.overlaps):
            raise QuantizationError(
                f"{pool.name}: its windows of {pool.kernel}, {pool.stride} apart, overlap before {wire.name}, whose "
                "quantized weights would add up beyond their bits. Hint: a stride of at least the kernel, or the pool "
                "behind the connection."
            )
        bound = bounds[wire.source] * prod(pool.size for pool in pools)
        module = quantized(
            node, bias, bits=bits, per_channel=per_channel, graded=graded, bound=bound,
            in_shape=in_shape, out_shape=node.out_shape(shapes_through(pools, in_shape)[-1]),
            sharing=next(iter(connections.values()), None),
        )  # fmt: skip
        module.weight.requires_grad_(not isinstance(net.get_submodule(wire.module), POOLS))
        module.pattern = cast(Tensor | None, getattr(net.get_submodule(wire.module), "pattern", None))
        connections[wire.name] = module
        _put(qnet, wire.name, module)
        for name in (*wire.before, *wire.after):
            _put(qnet, name, nn.Identity())
        for pool in pools:
            _put(qnet, pool.name, SumPool2d(pool.kernel, pool.stride))  # type: ignore[arg-type]
    neuron = qnet.get_submodule(cell.module)
    assert isinstance(neuron, Neuron)
    _put(qnet, cell.module, QuantPopulation(neuron, [connections[w.name] for w in cell.wires], limits, cell.name))


def _put(net: nn.Module, name: str, module: nn.Module) -> None:
    module.train(net.training)
    setattr(parent_of(net, name), name.rpartition(".")[2], module)


def _not_finite(net: nn.Module) -> list[str]:
    return [
        f"{name}: holds {int((~torch.isfinite(p)).sum())} NaN or infinite of {p.numel()} values."
        for name, p in [*net.named_parameters(), *net.named_buffers()]
        if not bool(torch.isfinite(p).all())
    ]
