"""From a graph to what the emulator executes: components in order, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seamount.errors import ResourceError, TargetError
from seamount.fixed_point import shift
from seamount.ir import Graph, IntConnection, IntConv, Population
from seamount.limits import largest_sum
from seamount_targets.loihi import sums
from seamount_targets.loihi.convolution import Convolution, convolution
from seamount_targets.loihi.kernels import padded, zeros
from seamount_targets.loihi.neuron_kernel import row_kernel

SMALL_MATRIX = 1 << 17
"""Entries up to which a convolution is run as the matrix that it is, which has faster paths."""
SMALL_MATRIX_IN_LOOP = 1 << 20
"""The same inside a loop, where sums are made step by step (there twice as fast at 2^18, slower from 2^22 on)."""


@dataclass(frozen=True)
class Wire:
    """A connection.

    Attributes:
        source: name of what it reads.
        column, width: its source on the bus; column -1 for an Input that is not 0 or 1, which is not on the bus.
        row: its first row in the weights of its population.
        delay: steps.
        shift: of the sum of halved weights, weight_exp + 1.
        product: which matrix product of `sums` gives its sum.
        events: whether its sum is made from rows of weights, event by event; None to decide by activity.
        convolution: what makes its sum instead, or None.
        inside: whether that is within a loop, so that it is made step by step.
        kind: of its source's spikes; graded ones are on a bus of their own.
    """

    source: str
    column: int
    width: int
    row: int
    delay: int
    shift: int
    product: str
    events: bool | None
    convolution: Convolution | None = None
    inside: bool = False
    kind: str = "spike"


@dataclass(frozen=True)
class Block:
    """A population and its incoming wires; arrays as `kernels.advance` takes them."""

    node: Population
    column: int
    wires: tuple[Wire, ...]
    code: int
    weights: np.ndarray
    constants: np.ndarray

    @property
    def v_index(self) -> int:
        return self.node.STATE.index("v")


@dataclass(frozen=True)
class Plan:
    """What a program runs.

    Attributes:
        components: blocks that depend on each other stand together; each component after those it reads.
        columns: width of the bus.
        graded_columns: width of the bus of graded spikes.
        history: largest delay.
    """

    components: tuple[tuple[Block, ...], ...]
    columns: int
    graded_columns: int
    history: int


def plan(graph: Graph, path: str | None = None) -> Plan:
    """Plan an integer graph.

    Args:
        graph: checked against the limits of the target.
        path: one of `sums.PATHS`, to take wherever it is exact.

    Raises:
        ResourceError: sums that 32 bits do not hold.
    """
    if path is not None and path not in sums.PATHS:
        raise TargetError(f"sums: {path!r} is unknown (allowed: {', '.join(sums.PATHS)}).")
    names = components(graph)
    start, columns, graded = {graph.input.name: -1}, 0, 0
    if graph.input.kind == "spike":
        start[graph.input.name], columns = 0, padded(int(np.prod(graph.input.shape)))
    for node in graph.populations:
        if not node.spiking:
            start[node.name] = -1
        elif node.kind == "graded":
            start[node.name], graded = graded, graded + padded(node.size)
        else:
            start[node.name], columns = columns, columns + padded(node.size)
    blocks = tuple(tuple(_block(graph, node, start, set(group), path) for node in group) for group in names)
    return Plan(blocks, max(columns, padded(1)), graded, max((c.delay for c in graph.connections), default=0))


def components(graph: Graph) -> list[list[Population]]:
    """Strongly connected components of the populations, in topological order.

    Two populations are in one component exactly where the same populations reach them (each reaches itself), and what
    follows a component is reached by more.
    """
    reads = {p.name: {c.inputs[0] for c in graph.incoming(p)} - {graph.input.name} for p in graph.populations}
    groups: dict[frozenset[str], list[Population]] = {}
    for node in graph.populations:
        reached_by, waiting = set(), [node.name]
        while waiting:
            name = waiting.pop()
            if name not in reached_by:
                reached_by.add(name)
                waiting += reads[name]
        groups.setdefault(frozenset(reached_by), []).append(node)
    return [groups[key] for key in sorted(groups, key=len)]


def _block(graph: Graph, node: Population, start: dict[str, int], group: set[Population], path: str | None) -> Block:
    incoming = [c for c in graph.incoming(node) if isinstance(c, IntConnection)]
    _check_sums(graph, node, incoming)
    wires, rows, matrices = [], 0, []
    for connection in incoming:
        source = graph.source(connection)
        column, size = start[source.name], int(np.prod(source.shape))
        inside, width = source in group, size if start[source.name] < 0 else padded(size)
        small = SMALL_MATRIX_IN_LOOP if inside else SMALL_MATRIX
        if isinstance(connection, IntConv) and size * node.size > small:
            convolved = convolution(connection, source.shape)
            wires.append(Wire(source.name, column, width, rows, connection.delay, connection.weight_exp + 1, "", False,
                              convolved, inside, source.kind))  # fmt: skip
            continue
        bound, largest = getattr(source, "bound", 1), largest_sum(graph, connection) // 2
        forced = path is not None and path != "events" and sums.exact(path, bound, largest)
        wires.append(
            Wire(
                source=source.name,
                column=column,
                width=width,
                row=rows,
                delay=connection.delay,
                shift=connection.weight_exp + 1,
                product=path if forced else sums.fastest_product(bound, largest),  # type: ignore[arg-type]
                events=_events(path, on_bus=column >= 0, inside=inside, graded=source.kind == "graded"),
                kind=source.kind,
            )
        )
        matrices.append((rows, connection.matrix(source.shape)))
        rows += padded(size)
    width = padded(node.size)
    weights = zeros((rows, width), np.int8)
    for row, matrix in matrices:
        halves = (matrix >> 1).astype(np.int8)
        assert np.array_equal(2 * halves.astype(np.int64), matrix), "the limits allow even 9-bit weights"
        weights[row : row + halves.shape[1], : node.size] = halves.T
    code, constants = row_kernel(node, width)
    return Block(node, start[node.name], tuple(wires), code, weights, constants)


def _events(path: str | None, on_bus: bool, inside: bool, graded: bool) -> bool | None:
    """Sums inside a component are made step by step, for which a matrix product is too slow to start."""
    if not on_bus:
        return False
    if inside or path == "events":
        return True
    return None if path is None and not graded else False


def _check_sums(graph: Graph, node: Population, incoming: list[IntConnection]) -> None:
    """The emulator adds in int32; with the limits' bound on u, sums stay below 2^27 and their total below 2^19."""
    largest = [largest_sum(graph, c) for c in incoming]
    total = sum(shift(s, c.weight_exp) + 1 for s, c in zip(largest, incoming, strict=True))
    if max(total, *largest) >= sums.SUM_LIMIT:
        raise ResourceError(
            f"{node.name}: synaptic sums (used {max(total, *largest)}, limit {sums.SUM_LIMIT - 1}). "
            "Hint: lower the weights or weight_exp."
        )
