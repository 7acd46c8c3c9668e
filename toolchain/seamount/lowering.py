"""From a torch network to a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from seamount.errors import LoweringError
from seamount.ir import Graph, Input, IntLinear, Linear, Node, Output, Population
from seamount.nn.neuron import Neuron
from seamount.topology import INPUT, OUTPUT, Cell, Wire, trace

if TYPE_CHECKING:
    from seamount.quantization import QuantConnection, QuantPopulation


def lower(net: nn.Module, *, name: str | None = None, input_kind: str = "spike", input_bound: int = 1) -> Graph:
    """Turn a torch network into a graph: an integer one for a quantized network, else a float one.

    Populations and connections keep their module names; those of a Recurrent `r` are `r` and `r.connection`.

    Args:
        net: what `sm.quantize` returned, or a float network of `nn.Linear` and the neurons of `sm.nn`.
        name: of the graph; default the class of the network.
        input_kind, input_bound: what enters: `"spike"`, `"signed"` or `"graded"`, and its largest magnitude.

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
    nodes: list[Node] = []
    for cell in topology.cells:
        connections = [_connection(net, wire) for wire in cell.wires]
        nodes += [*connections, _population(net, cell)]
    first = [n for n in nodes if isinstance(n, Linear) and n.inputs == (INPUT,)]
    if not first:
        raise LoweringError(f"{type(net).__name__}: no connection reads the network's input.")
    shape = (first[0].weight.shape[1],)
    return Graph(
        [
            Input(name=INPUT, shape=shape, kind=input_kind, bound=input_bound),
            *nodes,
            Output(name=OUTPUT, inputs=(topology.output,)),
        ],
        name or type(net).__name__,
    )


def _connection(net: nn.Module, wire: Wire) -> Linear:
    module = net.get_submodule(wire.name)
    common = {"name": wire.name, "inputs": (wire.source,), "delay": wire.delay}
    if hasattr(module, "chip_weight"):
        quantized = cast("QuantConnection", module)
        return IntLinear(**common, weight=quantized.chip_weight(), weight_exp=int(quantized.weight_exp))
    assert isinstance(module, nn.Linear)
    return Linear(**common, weight=_numpy(module.weight))


def _population(net: nn.Module, cell: Cell) -> Population:
    neuron = net.get_submodule(cell.module)
    inputs = tuple(wire.name for wire in cell.wires)
    if hasattr(neuron, "integer_node"):
        return cast("QuantPopulation", neuron).integer_node(inputs)
    assert isinstance(neuron, Neuron)
    linears = [cast(nn.Linear, net.get_submodule(wire.name)) for wire in cell.wires]
    biases = [_numpy(c.bias) for c in linears if c.bias is not None]
    changed = {"bias": sum(biases, _numpy(cast(torch.Tensor, neuron.bias)))} if biases else {}
    return neuron.node(cell.name, inputs, (linears[0].out_features,), **changed)


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()
