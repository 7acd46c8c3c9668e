"""What a torch network computes, seen as populations and connections.

`torch.fx` traces the network with neurons and connections as leaves; quantizing and lowering both read the result.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import fx, nn
from torch.fx.proxy import TraceError

from seamount.errors import LoweringError, UnsupportedNodeError
from seamount.nn.connection import NORMS, POOLS, SYNAPSES, Delayed, Flatten, Parts, Upsample2d
from seamount.nn.feedback import Feedback
from seamount.nn.neuron import Neuron, Recurrent

IDENTITIES = (nn.Identity, nn.Dropout)
"""Modules that vanish in inference."""


@dataclass
class Wire:
    """A connection: its dotted module name, the population (or `"input"`) it reads, its delay, and what folds into it.

    `before` and `after` are the names of pools between source and connection, and of pools and norms between
    connection and population, in the order of the signal. A pool may itself be the connection. What reads a
    concatenation is a wire for each `part`, from 0, named after it.
    """

    name: str
    source: str
    delay: int = 0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    part: int | None = None

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.name if self.part is None else self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Joined:
    """What several populations send, channel after channel."""

    parts: tuple[Spikes, ...]


@dataclass(frozen=True)
class Spikes:
    """What a population (or `"input"`) sends, through some pools."""

    source: str
    pools: tuple[str, ...] = ()


@dataclass
class Cell:
    """A population: its name in graphs, the dotted name of its neuron module, what it sums."""

    name: str
    module: str
    wires: list[Wire] = field(default_factory=list)


@dataclass
class Topology:
    """Populations in the order in which the network calls them; `output` names the one it returns."""

    cells: list[Cell]
    output: str


LEAVES = (Neuron, Recurrent, Feedback, Delayed, Flatten, Parts, *SYNAPSES, *POOLS, *NORMS)
ALLOWED = (
    "nn.Linear, convolutions, pools, norms and neurons of sm.nn, sm.nn.Delayed, sm.nn.Flatten, additions of synaptic "
    "inputs, torch.cat of spikes, nn.Dropout, nn.Identity"
)

Meaning = Spikes | Joined | list[Wire]

INPUT = "input"
OUTPUT = "output"


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


def trace(net: nn.Module) -> Topology:
    """Read the structure of a network.

    Args:
        net: its forward takes `[T, B, ...]` and is made of `nn.Linear`, the connections, pools, norms and neurons of
            `sm.nn`, additions of synaptic inputs, dropout and identities.

    Raises:
        UnsupportedNodeError: a module or function that has no counterpart, by name.
        LoweringError: a structure that is not populations and connections, by name.
    """
    reader = _Reader(net)
    out = _spikes("output", reader.read("", net, Spikes(INPUT)), "returns")
    if out.pools:
        raise LoweringError(f"{out.pools[-1]}: ends the network. Hint: end it with a neuron.")
    if out.source == INPUT:
        raise LoweringError(f"{type(net).__name__}: returns no population. Hint: end the network with a neuron.")
    return Topology(reader.cells, out.source)


class _Reader:
    """Gives each fx node its meaning: a source of spikes (a name), or synaptic input (a list of wires)."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.cells: list[Cell] = []
        self.called: set[str] = set()

    def read(self, prefix: str, module: nn.Module, given: Meaning) -> Meaning | None:
        """What a module, whose children's names begin with the prefix, returns for what it is given."""
        try:
            traced = _Tracer().trace(module)
        except (TraceError, TypeError, RuntimeError) as error:
            raise LoweringError(
                f"{prefix.rstrip('.') or type(module).__name__}: torch.fx cannot trace it: "
                f"{str(error).splitlines()[0]} Hint: the forward must not depend on the values of its input."
            ) from error
        meaning: dict[Any, Meaning | None] = {}
        for node in traced.nodes:
            who = f"{prefix}{node.name}"
            if node.op == "placeholder":
                if meaning:
                    raise LoweringError(f"{who}: is a second input (allowed 1).")
                meaning[node] = given
            elif node.op == "output":
                return meaning.get(node.args[0])
            elif node.op == "call_module":
                meaning[node] = self.call(f"{prefix}{node.target}", meaning.get(node.args[0]))
            elif node.op == "call_function" and node.target in (operator.add, torch.add):
                meaning[node] = [w for arg in node.args for w in _input(who, meaning.get(arg))]
            elif node.op == "call_function" and node.target in (torch.cat, torch.concat):
                meaning[node] = _joined(who, node, meaning)
            elif node.op == "get_attr":
                raise UnsupportedNodeError(f"{prefix}{node.target}: a tensor used outside a module cannot be lowered.")
            else:
                what = getattr(node.target, "__name__", node.target)
                raise UnsupportedNodeError(f"{who}: {what} cannot be lowered (allowed: {ALLOWED}).")
        return None

    def call(self, name: str, given: Meaning | None) -> Meaning | None:
        """What the module of that name returns for what it is given."""
        module = self.net.get_submodule(name)
        if isinstance(module, IDENTITIES):
            return given
        if name in self.called:
            raise UnsupportedNodeError(f"{name}: is called twice; give each call a module of its own.")
        self.called.add(name)
        if isinstance(module, nn.Flatten):
            return _flattened(name, module, given)
        if isinstance(given, Joined) and isinstance(module, (*SYNAPSES, Parts)):
            part = isinstance(module, Parts)
            return [
                Wire(f"{name}.{i}", s.source, before=s.pools, part=None if part else i)
                for i, s in enumerate(given.parts)
            ]
        if isinstance(module, SYNAPSES):
            spikes = _spikes(name, given)
            return [Wire(name, spikes.source, before=spikes.pools)]
        if isinstance(module, Delayed):
            if not isinstance(module.connection, SYNAPSES):
                raise UnsupportedNodeError(f"{name}: Delayed takes an nn.Linear or a convolution of sm.nn.")
            spikes = _spikes(name, given)
            return [Wire(f"{name}.connection", spikes.source, module.steps, spikes.pools)]
        if isinstance(module, POOLS):
            return _pooled(name, module, given)
        if isinstance(module, NORMS):
            wires = _input(name, given)
            if len({w.module for w in wires}) != 1:
                raise UnsupportedNodeError(f"{name}: folds into one connection, but reads a sum of {len(wires)}.")
            return [replace(w, after=(*w.after, name)) for w in wires]
        if isinstance(module, Neuron):
            return self._cell(Cell(name, name, _input(name, given)))
        if isinstance(module, Recurrent):
            if not isinstance(module.neuron, Neuron) or not isinstance(module.connection, SYNAPSES):
                raise UnsupportedNodeError(
                    f"{name}: Recurrent takes a neuron of sm.nn and an nn.Linear or a convolution."
                )
            loop = Wire(f"{name}.connection", name, delay=1)
            return self._cell(Cell(name, f"{name}.neuron", [*_input(name, given), loop]))
        if isinstance(module, Feedback):
            return self._feedback(name, module, _input(name, given))
        if not isinstance(module, LEAVES) and [*module.children()]:
            return self.read(f"{name}.", module, given)  # type: ignore[arg-type]
        raise UnsupportedNodeError(f"{name}: {type(module).__name__} cannot be lowered (allowed: {ALLOWED}).")

    def _feedback(self, name: str, module: Feedback, wires: list[Wire]) -> Spikes:
        """Its populations, of which the first also sums what the connection brings from the last."""
        before = len(self.cells)
        last = _spikes(f"{name}.body", self.call(f"{name}.body", wires), "returns")
        if len(self.cells) == before or self.cells[before].wires[: len(wires)] != wires:
            raise UnsupportedNodeError(f"{name}: its body does not begin with a neuron.")
        back = _input(f"{name}.connection", self.call(f"{name}.connection", last))
        first = self.cells[before]
        first.wires += [replace(w, delay=w.delay + module.delay) for w in back]
        self._check(first)
        return last

    def _cell(self, cell: Cell) -> Spikes:
        self._check(cell)
        self.cells.append(cell)
        return Spikes(cell.name)

    def _check(self, cell: Cell) -> None:
        neuron = cast(Neuron, self.net.get_submodule(cell.module))
        biased = [w.name for w in cell.wires if self._is_biased(w)]
        lasts = bool((torch.as_tensor(neuron.fields().get("alpha", 0)) > 0).any())
        if biased and (lasts or neuron.node_type.accumulates):
            where = "pass through the current of" if lasts else "add up in"
            raise UnsupportedNodeError(
                f"{biased[0]}: its bias would {where} {cell.name}, which the chip cannot do. "
                "Hint: use nn.Linear(bias=False) and give the neuron bias=torch.zeros(N)."
            )
        for wire in cell.wires:
            if any(wire.name == other.name for earlier in self.cells if earlier is not cell for other in earlier.wires):
                raise UnsupportedNodeError(
                    f"{wire.name}: what it delivers goes to several populations, the last being {cell.name} (allowed: "
                    "one). Hint: a connection for each."
                )

    def _is_biased(self, wire: Wire) -> bool:
        if any(isinstance(self.net.get_submodule(name), NORMS) for name in wire.after):
            return True
        return getattr(self.net.get_submodule(wire.module), "bias", None) is not None


def _joined(who: str, node: fx.Node, meaning: dict[Any, Meaning | None]) -> Joined:
    """Spikes of several populations; the dimension of channels is the one after time and batch."""
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    if dim != 2:
        raise UnsupportedNodeError(f"{who}: concatenates along dimension {dim} (allowed 2, the channels).")
    parts = node.args[0] if node.args else node.kwargs["tensors"]
    return Joined(tuple(_spikes(who, meaning.get(part)) for part in parts))  # type: ignore[union-attr]


def _flattened(name: str, module: nn.Flatten, given: Meaning | None) -> Spikes | Joined:
    if (module.start_dim, module.end_dim) != (2, -1):
        raise UnsupportedNodeError(
            f"{name}: flattens dimensions {module.start_dim}..{module.end_dim} (allowed 2..-1, all but time and "
            "batch). Hint: sm.nn.Flatten()."
        )
    return given if isinstance(given, Joined) else _spikes(name, given)


def _pooled(name: str, module: nn.Module, given: Meaning | None) -> Meaning:
    """Part of the connection before it, or of the one that will read it."""
    if isinstance(given, Joined):
        return Joined(tuple(Spikes(s.source, (*s.pools, name)) for s in given.parts))
    if isinstance(given, Spikes):
        return Spikes(given.source, (*given.pools, name))
    if isinstance(module, Upsample2d):
        raise UnsupportedNodeError(f"{name}: upsamples synaptic input (allowed: spikes). Hint: before the convolution.")
    return [replace(w, after=(*w.after, name)) for w in _input(name, given)]


def _spikes(who: str, meaning: Meaning | None, does: str = "reads") -> Spikes:
    if not isinstance(meaning, Spikes):
        raise LoweringError(
            f"{who}: {does} synaptic input, not the spikes of one population. "
            "Hint: put a neuron between two connections, and one at the end."
        )
    return meaning


def _input(who: str, meaning: Meaning | None) -> list[Wire]:
    if isinstance(meaning, Spikes) and meaning.pools:
        return [Wire(meaning.pools[-1], meaning.source, before=meaning.pools[:-1])]
    if not isinstance(meaning, list):
        raise LoweringError(
            f"{who}: reads spikes, not the output of a connection. Hint: put an nn.Linear before each population."
        )
    return meaning
