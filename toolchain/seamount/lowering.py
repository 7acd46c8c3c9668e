"""From a torch network to a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from seamount.errors import LoweringError
from seamount.ir import Graph, Input, Node, Output
from seamount.nn.delay import with_fixed_delays
from seamount.nn.neuron import Neuron
from seamount.synapses import input_shape as first_shape
from seamount.synapses import lowered, shapes_of, starts
from seamount.topology import INPUT, OUTPUT, Cell, trace

if TYPE_CHECKING:
    from seamount.quantization import QuantPopulation


def lower(
    net: nn.Module,
    *,
    name: str | None = None,
    input_kind: str = "spike",
    input_bound: int = 1,
    input_shape: tuple[int, ...] | None = None,
) -> Graph:
    """Turn a torch network into a graph: an integer one for a quantized network, else a float one.

    Populations and connections keep their module names; those of a Recurrent `r` are `r` and `r.connection`. Pools and
    norms fold into the connection that they are next to, norms with the statistics that they have in evaluation; a
    pool between two populations is a convolution of its name.

    Args:
        net: what `sm.quantize` returned, or a float network of `nn.Linear` and what `sm.nn` has.
        name: of the graph; default the class of the network.
        input_kind, input_bound: what enters: `"spike"`, `"signed"` or `"graded"`, and its largest magnitude.
        input_shape: of one step of one sample, where a convolution or pool reads the input of a float network.

    Raises:
        UnsupportedNodeError: a module without a counterpart in the graph; names it.
        LoweringError: the structure is not one of populations and connections, or a parameter is NaN; names the module.
        QuantizationError: an integer that the target cannot represent.

    Example:
        >>> import torch, seamount as sm
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), sm.nn.LIF(beta=0.9))
        >>> sm.lower(net).stage
        'float'
    """
    net = with_fixed_delays(net)
    topology = trace(net)
    for module_name, p in [*net.named_parameters(), *net.named_buffers()]:
        if not bool(torch.isfinite(p).all()):
            bad = int((~torch.isfinite(p)).sum())
            raise LoweringError(f"{module_name}: holds {bad} NaN or infinite of {p.numel()} values.")
    shapes = shapes_of(net, topology, tuple(input_shape or first_shape(net, topology)))
    nodes = [node for cell in topology.cells for node in _cell(net, cell, shapes)]
    return Graph(
        [
            Input(name=INPUT, shape=shapes[INPUT], kind=input_kind, bound=input_bound),
            *nodes,
            Output(name=OUTPUT, inputs=(topology.output,)),
        ],
        name or type(net).__name__,
    )


def _cell(net: nn.Module, cell: Cell, shapes: dict[str, tuple[int, ...]]) -> list[Node]:
    """A population after its connections."""
    begin = starts(net, cell, shapes)
    found = [lowered(net, wire, shapes[wire.source], begin[wire.name]) for wire in cell.wires]
    connections, biases = [node for node, _ in found], [bias for _, bias in found if bias is not None]
    neuron = net.get_submodule(cell.module)
    inputs = tuple(wire.name for wire in cell.wires)
    if hasattr(neuron, "integer_node"):
        return [*connections, cast("QuantPopulation", neuron).integer_node(inputs)]
    assert isinstance(neuron, Neuron)
    own = cast(torch.Tensor, neuron.bias).detach().double().numpy()
    changed = {"bias": sum(biases, own)} if biases else {}
    return [*connections, neuron.node(cell.name, inputs, shapes[cell.name], **changed)]
