"""From a torch network to a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from seamount.errors import LoweringError
from seamount.ir import Connection, Graph, Input, Node, Output
from seamount.nn.neuron import Neuron
from seamount.synapses import input_shape as first_shape
from seamount.synapses import lowered, starts
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
    topology = trace(net)
    for module_name, p in [*net.named_parameters(), *net.named_buffers()]:
        if not bool(torch.isfinite(p).all()):
            bad = int((~torch.isfinite(p)).sum())
            raise LoweringError(f"{module_name}: holds {bad} NaN or infinite of {p.numel()} values.")
    shapes = {INPUT: tuple(input_shape or first_shape(net, topology))}
    nodes: list[Node] = []
    for cell in topology.cells:
        nodes += _cell(net, cell, shapes)
    return Graph(
        [
            Input(name=INPUT, shape=shapes[INPUT], kind=input_kind, bound=input_bound),
            *nodes,
            Output(name=OUTPUT, inputs=(topology.output,)),
        ],
        name or type(net).__name__,
    )


def _cell(net: nn.Module, cell: Cell, shapes: dict[str, tuple[int, ...]]) -> list[Node]:
    """A population after its connections; its shape joins `shapes`."""
    found: dict[str, Connection] = {}
    biases, begin = [], starts(net, cell, shapes)
    for wire in sorted(cell.wires, key=lambda w: w.source == cell.name):  # its own spikes have the shape of the others
        node, bias = lowered(net, wire, shapes[wire.source], begin[wire.name])
        found[wire.name] = node
        biases += [] if bias is None else [bias]
        shapes.setdefault(cell.name, node.out_shape(shapes[wire.source]))
    neuron = net.get_submodule(cell.module)
    inputs = tuple(wire.name for wire in cell.wires)
    connections = [found[name] for name in inputs]
    if hasattr(neuron, "integer_node"):
        return [*connections, cast("QuantPopulation", neuron).integer_node(inputs)]
    assert isinstance(neuron, Neuron)
    own = cast(torch.Tensor, neuron.bias).detach().double().numpy()
    changed = {"bias": sum(biases, own)} if biases else {}
    return [*connections, neuron.node(cell.name, inputs, shapes[cell.name], **changed)]
