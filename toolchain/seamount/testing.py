r"""Random networks and spikes, for the conformance suite and for whoever writes a target.

The networks are small, legal on every built-in target, and alive: the weights of a neuron are balanced and its
threshold follows from them, so that populations fire in some 5 to 40 % of their steps. With white input of mean zero
and variance `s^2` per step the free membrane has

    var(v) = s^2 (1 + alpha beta) / ((1 - alpha beta) (1 - alpha^2) (1 - beta^2)),    mean(v) = bias / (1 - beta)

and the threshold is put a share of sigma (`MARGIN`) above the mean.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT, U_LIMIT, UNITY
from seamount.ir import (
    NODE_TYPES,
    Conv,
    Graph,
    Input,
    IntConnection,
    IntConv,
    IntLinear,
    Linear,
    Node,
    Output,
    Population,
)
from seamount.limits import Limits
from seamount.neurons import (
    IntALIF,
    IntCubaLIF,
    IntGradedLIF,
    IntLI,
    IntRefractoryLIF,
    IntResonateAndFire,
    IntSigmaDelta,
    IntTernaryLIF,
    sigma_delta,
)
from seamount.neurons.leaky import retention_u, retention_v

MARGIN = {"zero": (0.1, 0.4), "subtract": (0.2, 0.6), "none": (0.6, 1.0), "refractory": (-0.2, 0.1)}
"""By reset, or for any where v is held after it, the range from which `(threshold - mean of v) / sigma` is drawn."""
NEURONS = ("cuba", "lif", "refractory", "alif", "ternary", "resonate", "graded", "sigma-delta")
"""Models that `random_graph` draws."""
TWO_SIDED = ("ternary", "graded")
"""Those of them that fire on either side."""
GRADED = ("graded", "sigma-delta")
"""Those whose spikes carry a value."""
MESSAGE_BITS = 14
"""Of the magnitude of graded spikes."""
RATE = 0.25
"""Rate of `random_spikes`, and the rate that thresholds assume of every source."""


def random_graph(
    rng: np.random.Generator,
    *,
    depth: int = 2,
    width: int = 16,
    conv: int = 0,
    neuron: str = "cuba",
    reset: str = "zero",
    readout: bool = False,
    recurrent: int = 0,
    feedback: int = 0,
    skip: bool = False,
    per_neuron: bool = False,
    weight_exp: tuple[int, int] = (-3, 3),
    kind: str = "spike",
    bound: int = 1,
    stage: str = "integer",
) -> Graph:
    """Draw a network `input -> fc1 -> pop1 -> ... -> output`.

    Args:
        rng: the only source of chance.
        depth: number of populations.
        width: size of the layers, each drawn from half to three halves of it.
        conv: number of layers, from the first, that are convolutions `conv<l>` of two dimensions, with recurrent
            connections that are convolutions too; the input then has channels, height and width.
        neuron: one of NEURONS; all but `"lif"` (du = 4095) have currents.
        reset: `"zero"`, `"subtract"` or `"none"`.
        readout: the last population is a leaky integrator.
        recurrent: delay of an all-to-all self edge `rec<l>` of every spiking population; 0 for none.
        feedback: delay of an edge `back` from the last spiking population to the first; 0 for none.
        skip: an edge `skip` from the input to the last population, next to the way through the layers.
        per_neuron: du, dv, vth, bias and reset_by differ from neuron to neuron.
        weight_exp: range of the exponents; where spikes carry v, they are the largest that fit, so that v is large.
        kind, bound: of the Input.
        stage: `"integer"`, or `"float"`: the same network in real numbers, one unit of v being 2^-14.

    Returns:
        A graph; even weights in [-256, 254], every parameter within the default `Limits`.

    Example:
        >>> import numpy as np
        >>> graph = random_graph(np.random.default_rng(0), depth=3, recurrent=1, readout=True)
        >>> [node.name for node in graph.populations]
        ['pop1', 'pop2', 'pop3']
    """
    if neuron not in NEURONS:
        raise GraphError(f"random_graph: neuron {neuron!r} is unknown. Allowed: {', '.join(NEURONS)}.")
    highest = Limits().weight_exp[1]
    weight_exp = (highest, highest) if neuron in GRADED else weight_exp
    sizes = [int(n) for n in rng.integers(max(1, width // 2), max(2, width + width // 2), depth + 1)]
    shapes: list[tuple[int, ...]] = [(n,) for n in sizes]
    names = ["input", *(f"pop{i}" for i in range(1, depth + 1))]
    geometries: dict[str, dict[str, Any]] = {}
    if conv:
        shapes[0] = (2, *(int(n) for n in rng.integers(6, 9, 2)))
    for layer in range(1, min(conv, depth) + 1):
        geometries[f"conv{layer}"], shapes[layer] = _convolution(rng, shapes[layer - 1])
        channels = shapes[layer][0]
        geometries[f"rec{layer}"] = {"weight": (channels, channels, 3, 3), "padding": (1, 1)}
    last_spiking = depth - 1 if readout else depth
    edges: list[tuple[str, int, int, int]] = [
        (f"conv{i}" if i <= conv else f"fc{i}", i - 1, i, 0) for i in range(1, depth + 1)
    ]
    if recurrent:
        edges += [(f"rec{i}", i, i, recurrent) for i in range(1, last_spiking + 1)]
    if feedback and last_spiking > 1:
        edges.append(("back", last_spiking, 1, feedback))
    if skip and depth > 1:
        edges.append(("skip", 0, depth, 0))

    nodes: list[Node] = [Input(name="input", shape=shapes[0], kind=kind, bound=bound)]
    sent = [RATE * (1 - RATE) if kind == "spike" else RATE * (bound + 1) * (2 * bound + 1) / 6]  # variance, by layer
    for layer in range(1, depth + 1):
        incoming = [e for e in edges if e[2] == layer]
        shape = shapes[layer]
        connections, power = [], np.zeros(shape)
        exp = int(rng.integers(weight_exp[0], weight_exp[1] + 1))
        for name, source, _, delay in incoming:
            geometry = geometries.get(name, {"weight": (prod(shape), prod(shapes[source]))})
            node = _connection(rng, name, names[source], geometry, delay,
                               int(np.clip(exp + rng.integers(-1, 2), *weight_exp)),
                               bound if not source else 1 << MESSAGE_BITS if neuron in GRADED else 0,
                               len(incoming))  # fmt: skip
            connections.append(node)
            if not delay:
                squares = (node.weight * 2.0 ** (node.weight_exp + ACT_SHIFT)) ** 2
                each = sent[source] * squares.reshape(len(squares), -1).sum(axis=1)
                power += each[:, None, None] if isinstance(node, IntConv) else each.reshape(shape)
        nodes += connections
        population = _population(rng, names[layer], [c.name for c in connections], shape, np.sqrt(power), neuron,
                                 reset, per_neuron, li=readout and layer == depth)  # fmt: skip
        nodes.append(population)
        sent.append(RATE * (1 - RATE) * (_magnitude(population) if neuron in GRADED else 1))
    nodes.append(Output(name="output", inputs=(names[depth],)))
    graph = Graph(nodes, "random")
    return graph if stage == "integer" else as_float(graph)


def random_spikes(rng: np.random.Generator, graph: Graph, steps: int, batch: int, rate: float = RATE) -> np.ndarray:
    """Draw `[T, B, *shape]` events within the Input's bound, in its dtype; a share `rate` of them is not zero."""
    node = graph.input
    shape = (steps, batch, *node.shape)
    events = rng.integers(1, node.bound + 1, shape)
    if node.kind != "spike":
        events *= rng.choice([-1, 1], shape)
    return (events * (rng.random(shape) < rate)).astype(node.dtype)


def as_float(graph: Graph) -> Graph:
    """The float graph of which an integer graph is the quantized form; one unit of v is worth 2^-14."""
    unit = 2.0**-14
    nodes: list[Node] = []
    for node in graph:
        if isinstance(node, IntConnection):
            common: dict[str, Any] = {k: v for k, v in node.parameters().items() if k != "weight_exp"}
            source = graph.source(node)
            graded = isinstance(source, Population) and source.kind == "graded"
            carried = 2.0**source.shift * unit if graded else 1.0  # type: ignore[union-attr]
            common["weight"] = node.weight * 2.0 ** (node.weight_exp + ACT_SHIFT) * unit / carried
            kind = Conv if isinstance(node, IntConv) else Linear
            nodes.append(kind(name=node.name, inputs=node.inputs, **common))
        elif isinstance(node, Population):
            kind = NODE_TYPES[type(node).__name__.removeprefix("Int")]
            worth = replace(node, scale=unit).dequantize()  # type: ignore[call-arg]
            shared = {k: v for k, v in node.parameters().items() if k in kind.__dataclass_fields__}
            nodes.append(kind(name=node.name, inputs=node.inputs, **{**shared, **worth}))
        else:
            nodes.append(node)
    return Graph(nodes, graph.name)


def _convolution(rng: np.random.Generator, in_shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Arguments of an IntConv, with the shape of the weight in its place, and the shape of what it delivers."""
    groups = int(rng.choice([1, 2]))
    dilation = tuple(int(n) for n in rng.choice([1, 1, 2], 2))
    kernel = tuple(int(min(k, (n + 1) // 2)) for k, n in zip(rng.integers(2, 4, 2), in_shape[1:], strict=True))
    stride = tuple(int(n) for n in rng.integers(1, 3, 2))
    weight = (2 * int(rng.integers(1, 4)), in_shape[0] // groups, *kernel)
    geometry: dict[str, Any] = {
        "stride": stride,
        "dilation": dilation,
        "padding": tuple(int(rng.integers(0, k)) for k in kernel),
        "groups": groups,
    }
    shape = IntConv(name="", inputs=("",), weight=np.zeros(weight), **geometry).out_shape(in_shape)
    return {"weight": weight, **geometry}, shape


def _connection(rng, name, source, geometry, delay, exp, bound, share) -> IntConnection:
    """Even weights, and the given exponent or the largest smaller one whose sums stay inside 24 bits."""
    shape = geometry["weight"]
    axes = tuple(range(1, len(shape)))
    weight = rng.normal(0, 40, shape)
    weight = 2 * np.clip(np.round(weight - weight.mean(axis=axes, keepdims=True)), -128, 127).astype(np.int64)
    largest = int(np.abs(weight).sum(axis=axes).max()) * max(bound, 1) * share
    while largest * 2.0 ** (exp + ACT_SHIFT) > U_LIMIT:
        exp -= 1
    while exp < Limits().weight_exp[0]:
        weight, exp = weight // 4 * 2, exp + 1
    kind = IntConv if len(shape) > 2 else IntLinear
    return kind(**{**geometry, "name": name, "inputs": (source,), "weight": weight, "weight_exp": exp, "delay": delay})


def _population(rng, name, inputs, shape, sigma_a, neuron, reset, per_neuron, li) -> Population:
    limits = Limits()
    draw = shape if per_neuron else ()
    if per_neuron and len(shape) > 1 and rng.random() < 0.5:  # by channel
        draw = (shape[0], 1, 1)
        sigma_a = sigma_a.mean(axis=(1, 2), keepdims=True)
    if neuron == "resonate" and not li:
        return _resonator(rng, name, inputs, shape, sigma_a if per_neuron else sigma_a.mean(), draw)
    if neuron == "sigma-delta" and not li:
        return _sigma_delta(rng, name, inputs, shape, sigma_a if per_neuron else sigma_a.mean(), draw)
    du = np.asarray(limits.decay[1]) if neuron == "lif" else rng.integers(400, UNITY, draw)
    dv = rng.integers(200, 2500, draw)
    alpha, beta = retention_u(du) / UNITY, retention_v(dv) / UNITY
    gain = (1 + alpha * beta) / ((1 - alpha * beta) * (1 - alpha**2) * (1 - beta**2))
    sigma = sigma_a * np.sqrt(gain) if per_neuron else sigma_a.mean() * np.sqrt(gain)

    bias = rng.uniform(-0.3, 0.6, draw) * sigma * (1 - beta) * (neuron not in TWO_SIDED)
    bias_exp = int(rng.integers(0, 4))
    while np.abs(bias).max() / 2**bias_exp > limits.bias_mant[1]:
        bias_exp += 1
    bias_exp = min(bias_exp, limits.bias_exp[1])
    bias_mant = np.clip(np.round(bias / 2**bias_exp), *limits.bias_mant).astype(np.int64)
    common = {"name": name, "inputs": inputs, "shape": shape, "du": du, "dv": dv, "bias_mant": bias_mant,
              "bias_exp": bias_exp}  # fmt: skip
    if li:
        return IntLI(**common)
    mean = (bias_mant << bias_exp) / (1 - beta)
    margin = rng.uniform(*MARGIN["refractory" if neuron == "refractory" else reset], draw)
    vth = (mean + (margin + 0.75 * (neuron in TWO_SIDED)) * sigma) / (1 << ACT_SHIFT)
    vth = np.clip(np.round(vth), 1, limits.vth[1]).astype(np.int64)
    if neuron == "alif":
        dw, jump = rng.integers(40, 600, draw), np.round((vth << ACT_SHIFT) * rng.uniform(0.05, 0.3, draw))
        return IntALIF(**common, vth=vth, reset=reset, dw=dw, jump=jump.astype(np.int64))
    reset_by = None
    if per_neuron and reset == "subtract":
        reset_by = np.round((vth << ACT_SHIFT) * rng.uniform(0.8, 1.2, draw)).astype(np.int64)
    common |= {"vth": vth, "reset": reset, "reset_by": reset_by}
    if neuron == "graded":
        return IntGradedLIF(**common, shift=np.array(IntGradedLIF.sent_bits - MESSAGE_BITS))
    if neuron == "refractory":
        return IntRefractoryLIF(**common, refractory=int(rng.integers(1, 4)))
    return IntTernaryLIF(**common) if neuron == "ternary" else IntCubaLIF(**common)


def _sigma_delta(rng, name, inputs, shape, sigma_a, draw) -> Population:
    """Its sum changes by some sigma of the input in each step."""
    vth = np.round(rng.uniform(0.6, 1.6, draw) * sigma_a / (1 << ACT_SHIFT))
    mantissas = np.round(rng.uniform(-0.5, 1.0, draw) * sigma_a / 16)
    activation = str(rng.choice(sigma_delta.ACTIVATIONS))
    return IntSigmaDelta(
        name=name, inputs=inputs, shape=shape, vth=np.clip(vth, 1, Limits().vth[1]),
        shift=np.array(sigma_delta.sent_bits(activation) - MESSAGE_BITS),
        bias_mant=np.clip(mantissas, *Limits().bias_mant), bias_exp=4, activation=activation,
        cumulative=int(rng.integers(2)),
    )  # fmt: skip


def _magnitude(node: Any) -> float:
    """Square of what a graded spike carries, about."""
    return 0.0 if not node.spiking else float(np.square(0.9 * (node.vth << ACT_SHIFT) / 2.0**node.shift).mean())


def _resonator(rng, name, inputs, shape, sigma_a, draw) -> Population:
    """u has the variance `s^2 / (2 (1 - beta^2))`; it fires once a period where the magnitude is above vth."""
    beta, period = rng.uniform(0.7, 0.95, draw), rng.uniform(2.5, 6, draw)
    sigma = sigma_a / np.sqrt(2 * (1 - beta**2))
    mantissas = np.round(rng.choice([0, 1]) * rng.uniform(-0.05, 0.1, draw) * sigma_a / 16)
    unity = UNITY * beta * np.exp(2j * np.pi / period)
    vth = np.round(rng.uniform(0.05, 0.4, draw) * sigma / (1 << ACT_SHIFT))
    return IntResonateAndFire(
        name=name, inputs=inputs, shape=shape, re=np.round(unity.real), im=np.round(unity.imag),
        vth=np.clip(vth, 1, Limits().vth[1]), bias_mant=np.clip(mantissas, *Limits().bias_mant), bias_exp=4,
    )  # fmt: skip
