"""A wire of a torch network as one connection of a graph, with the pools and norms around it folded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from seamount.errors import LoweringError, UnsupportedNodeError
from seamount.ir import Connection, Conv, Linear
from seamount.nn.connection import AvgPool2d, SumPool2d, Upsample2d
from seamount.passes import fold
from seamount.topology import INPUT, Cell, Topology, Wire

if TYPE_CHECKING:
    from seamount.quantization import QuantConnection

Shape = tuple[int, ...]


def lowered(net: nn.Module, wire: Wire, in_shape: Shape, start: int = 0) -> tuple[Connection, np.ndarray | None]:
    """The connection of a wire, and its bias for the population's `bias` field.

    Args:
        net: float or quantized.
        wire: of its topology.
        in_shape: of the wire's source.
        start: of its part of the module's inputs, as `starts` has it.

    Returns:
        The node; and a bias that broadcasts to the population, None where there is none or, in a quantized network,
        where the population has it already.
    """
    module = net.get_submodule(wire.module)
    if hasattr(module, "chip_weight"):
        quantized = cast("QuantConnection", module)
        node, bias, pools = quantized.node(wire), None, pools_of(net, wire)
    else:
        node, bias, pools = unpooled(net, wire, in_shape, start)
    return without_pools(node, pools, in_shape), bias


def shapes_of(net: nn.Module, topology: Topology, in_shape: Shape) -> dict[str, Shape]:
    """Shapes of one step of the input, `in_shape`, and of the populations: each that of what its first wire brings."""
    shapes = {INPUT: in_shape}
    for cell in topology.cells:
        wire = cell.wires[0]
        module = net.get_submodule(wire.module)
        if hasattr(module, "chip_weight"):
            shapes[cell.name] = cast("QuantConnection", module).out_shape
        else:
            node, _, pools = unpooled(net, wire, shapes[wire.source])
            shapes[cell.name] = node.out_shape(shapes_through(pools, shapes[wire.source])[-1])
    return shapes


def starts(net: nn.Module, cell: Cell, shapes: dict[str, Shape]) -> dict[str, int]:
    """By wire, where its part of what its module reads begins: 0 but for parts of a concatenation.

    Raises:
        LoweringError: the parts are not as many as the module reads.
    """
    found, ends = {}, {}
    for wire in cell.wires:
        found[wire.name] = ends.get(wire.module, 0)
        if wire.part is not None:
            ends[wire.module] = found[wire.name] + inputs_of(net, wire, shapes[wire.source])
    for name, end in ends.items():
        wanted = cast(nn.Linear | nn.Conv2d, net.get_submodule(name)).weight.shape[1]
        if end != wanted:
            raise LoweringError(f"{name}: reads a concatenation of {end} channels or inputs (allowed {wanted}).")
    return found


def inputs_of(net: nn.Module, wire: Wire, in_shape: Shape) -> int:
    """How many channels, or inputs of an nn.Linear, a wire brings."""
    shape = shapes_through(pools_of(net, wire), in_shape)[-1]
    return prod(shape) if isinstance(net.get_submodule(wire.module), nn.Linear) else shape[0]


def unpooled(
    net: nn.Module, wire: Wire, in_shape: Shape, start: int = 0
) -> tuple[Linear | Conv, np.ndarray | None, list[fold.Pool]]:
    """The connection of a float wire with all but the pools before it: node, bias, and these pools, which only sum."""
    pools = pools_of(net, wire)
    shape = shapes_through(pools, in_shape)[-1]
    node, bias = _synapses(net.get_submodule(wire.module), wire, shape)
    if wire.part is not None:
        if isinstance(node, Conv) and node.groups > 1:
            raise UnsupportedNodeError(f"{wire.module}: {node.groups} groups of a concatenation (allowed 1).")
        node = replace(node, weight=node.weight[:, start : start + inputs_of(net, wire, in_shape)])
    for name in wire.after:
        node, bias = _after(net, name, node, bias)
    node = fold.scale(node, prod(_factor(net, name) for name in wire.before))
    for name in reversed(wire.before):
        module = net.get_submodule(name)
        if isinstance(module, Upsample2d):
            node = fold.upsample_before(node, module.factor, name)
    if wire.part:
        bias = None  # the first part has it
    if bias is not None and isinstance(node, Conv):
        bias = bias.reshape(-1, *[1] * len(node.kernel))
    return node, bias, pools


def without_pools(node: Connection, pools: Sequence[fold.Pool], in_shape: Shape) -> Connection:
    """A connection that reads pools as one that reads their source."""
    shapes = shapes_through(pools, in_shape)
    for pool, shape in zip(reversed(pools), reversed(shapes[:-1]), strict=True):
        node = fold.pool_before(node, pool, shape)
    return node


def shapes_through(pools: Sequence[fold.Pool], shape: Shape) -> list[Shape]:
    """The shape of what enters each pool, and of what leaves the last."""
    shapes = [shape]
    for pool in pools:
        shapes.append(pool.out_shape(shapes[-1]))
    return shapes


def input_shape(net: nn.Module, topology: Topology) -> Shape:
    """Shape of one step of one sample, as far as the network's first connections tell it.

    Raises:
        LoweringError: they do not.
    """
    wires = [w for cell in topology.cells for w in cell.wires if w.source == INPUT]
    if not wires:
        raise LoweringError(f"{type(net).__name__}: no connection reads the network's input.")
    modules = [net.get_submodule(w.module) for w in wires]
    for module in modules:
        if hasattr(module, "chip_weight"):
            return cast("QuantConnection", module).in_shape
    sizes = [
        m.in_features
        for m, w in zip(modules, wires, strict=True)
        if isinstance(m, nn.Linear) and not (w.before or w.part is not None)
    ]
    if not sizes:
        raise LoweringError(
            f"{wires[0].name}: a {type(modules[0]).__name__} does not tell the shape of the network's input. "
            "Hint: sm.lower(net, input_shape=(channels, height, width))."
        )
    return (sizes[0],)


def pools_of(net: nn.Module, wire: Wire) -> list[fold.Pool]:
    """The pools between a wire's source and its connection, of which what upsamples is a part.

    Raises:
        UnsupportedNodeError: there are both.
    """
    modules = {name: net.get_submodule(name) for name in (*wire.before, wire.module)}
    upsampling = [name for name, module in modules.items() if isinstance(module, Upsample2d)]
    pools = {name: module for name, module in modules.items() if isinstance(module, SumPool2d)}
    if upsampling and pools:
        raise UnsupportedNodeError(f"{[*pools][-1]}: a pool beside {upsampling[0]}, which upsamples (allowed: one).")
    return [fold.Pool(name, m.kernel_size, m.stride) for name, m in pools.items() if name in wire.before]


def _factor(net: nn.Module, name: str) -> float:
    """What a pool multiplies its sums with."""
    module = net.get_submodule(name)
    return 1 / prod(module.kernel_size) if isinstance(module, AvgPool2d) else 1.0


def _synapses(module: nn.Module, wire: Wire, in_shape: Shape) -> tuple[Linear | Conv, np.ndarray | None]:
    """A module alone; one that is itself a pool reads `in_shape`."""
    inputs = (wire.source,)
    if isinstance(module, SumPool2d):
        pool = fold.Pool(wire.name, module.kernel_size, module.stride)
        pool.out_shape(in_shape)
        node = fold.pool_alone(wire.name, inputs, pool, in_shape[0])
        return (fold.scale(node, 1 / pool.size) if module.mean else node), None
    if isinstance(module, Upsample2d):
        node = Conv(name=wire.name, inputs=inputs, weight=np.ones((in_shape[0], 1, 1, 1)), groups=in_shape[0])
        return fold.upsample_before(node, module.factor, wire.name), None
    weight = module.effective_weight() if hasattr(module, "effective_weight") else module.weight  # type: ignore[operator]
    bias = None if module.bias is None else _numpy(cast(torch.Tensor, module.bias))
    common = {"name": wire.name, "inputs": inputs, "delay": wire.delay, "weight": _numpy(weight)}  # type: ignore[arg-type]
    if isinstance(module, nn.Linear):
        return Linear(**common), bias
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    if module.padding_mode != "zeros":
        raise UnsupportedNodeError(f"{wire.name}: padding_mode {module.padding_mode!r} (allowed: 'zeros').")
    return Conv(
        **common, stride=module.stride, padding=_padding(module, wire.name), dilation=module.dilation,
        groups=module.groups,
    ), bias  # fmt: skip


def _padding(module: nn.Conv1d | nn.Conv2d, name: str) -> Shape:
    if not isinstance(module.padding, str):
        return tuple(module.padding)
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    around = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    if any(n % 2 for n in around):
        raise UnsupportedNodeError(
            f"{name}: padding 'same' with an even kernel {module.kernel_size} pads one side more than the other. "
            "Hint: an odd kernel."
        )
    return tuple(n // 2 for n in around)


def _after(
    net: nn.Module, name: str, node: Linear | Conv, bias: np.ndarray | None
) -> tuple[Linear | Conv, np.ndarray | None]:
    """Fold the pool or norm behind a connection into its weight and bias."""
    module = net.get_submodule(name)
    if isinstance(module, SumPool2d):
        if not isinstance(node, Conv) or len(node.kernel) != len(module.kernel_size):
            raise UnsupportedNodeError(f"{name}: pools what {node.name} delivers (allowed: of a Conv2d).")
        pool = fold.Pool(name, module.kernel_size, module.stride)
        node, times = fold.pool_after(node, pool), pool.size * _factor(net, name)
        return fold.scale(node, _factor(net, name)), None if bias is None else bias * times
    assert isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedNodeError(f"{name}: keeps no statistics (track_running_stats=False), so it cannot fold.")
    mean, variance = _numpy(module.running_mean), _numpy(module.running_var)
    gain = np.ones_like(mean) if module.weight is None else _numpy(module.weight)
    shift = np.zeros_like(mean) if module.bias is None else _numpy(module.bias)
    if len(mean) != len(node.weight):
        raise LoweringError(f"{name}: normalises {len(mean)} channels of {node.name} (has {len(node.weight)}).")
    factor, shift = fold.normalization(mean, variance, module.eps, gain, shift)
    return fold.scale(node, factor), shift if bias is None else factor * bias + shift


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().cpu().numpy()
