r"""Random networks and spikes, for the conformance suite and for whoever writes a target.

The networks are small, legal on every built-in target, and alive: the weights of a neuron are balanced and its
threshold follows from them, so that populations fire in some 5 to 40 % of their steps. With white input of mean zero
and variance `s^2` per step the free membrane has

    var(v) = s^2 (1 + alpha beta) / ((1 - alpha beta) (1 - alpha^2) (1 - beta^2)),    mean(v) = bias / (1 - beta)

and the threshold is put a share of sigma (`MARGIN`) above the mean.
"""

from __future__ import annotations

import numpy as np

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT, U_LIMIT, UNITY
from seamount.ir import Graph, Input, IntLinear, Linear, Node, Output, Population
from seamount.limits import Limits
from seamount.neurons import LI, CubaLIF, IntCubaLIF, IntLI
from seamount.neurons.cuba_lif import retention_u, retention_v

MARGIN = {"zero": (0.1, 0.4), "subtract": (0.2, 0.6), "none": (0.6, 1.0)}
"""By reset, the range from which `(threshold - mean of v) / sigma` is drawn."""
RATE = 0.25
"""Rate of `random_spikes`, and the rate that thresholds assume of every source."""


def random_graph(
    rng: np.random.Generator,
    *,
    depth: int = 2,
    width: int = 16,
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
        neuron: `"cuba"`, or `"lif"` (du = 4095).
        reset: `"zero"`, `"subtract"` or `"none"`.
        readout: the last population is a leaky integrator.
        recurrent: delay of an all-to-all self edge `rec<l>` of every spiking population; 0 for none.
        feedback: delay of an edge `back` from the last spiking population to the first; 0 for none.
        skip: an edge `skip` from the input to the last population, next to the way through the layers.
        per_neuron: du, dv, vth, bias and reset_by differ from neuron to neuron.
        weight_exp: range of the exponents.
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
    if neuron not in ("cuba", "lif"):
        raise GraphError(f"random_graph: neuron {neuron!r} is unknown. Allowed: cuba, lif.")
    sizes = [int(n) for n in rng.integers(max(1, width // 2), max(2, width + width // 2), depth + 1)]
    names = ["input", *(f"pop{i}" for i in range(1, depth + 1))]
    last_spiking = depth - 1 if readout else depth
    edges: list[tuple[str, int, int, int]] = [(f"fc{i}", i - 1, i, 0) for i in range(1, depth + 1)]
    if recurrent:
        edges += [(f"rec{i}", i, i, recurrent) for i in range(1, last_spiking + 1)]
    if feedback and last_spiking > 1:
        edges.append(("back", last_spiking, 1, feedback))
    if skip and depth > 1:
        edges.append(("skip", 0, depth, 0))

    nodes: list[Node] = [Input(name="input", shape=(sizes[0],), kind=kind, bound=bound)]
    for layer in range(1, depth + 1):
        incoming = [e for e in edges if e[2] == layer]
        connections, power = [], np.zeros(sizes[layer])
        exp = int(rng.integers(weight_exp[0], weight_exp[1] + 1))
        for name, source, _, delay in incoming:
            node = _connection(rng, name, names[source], (sizes[layer], sizes[source]), delay,
                               int(np.clip(exp + rng.integers(-1, 2), *weight_exp)),
                               0 if source else bound, len(incoming))  # fmt: skip
            connections.append(node)
            variance = RATE * (1 - RATE) if source or kind == "spike" else RATE * (bound + 1) * (2 * bound + 1) / 6
            if not delay:
                power += variance * ((node.weight * 2.0 ** (node.weight_exp + ACT_SHIFT)) ** 2).sum(axis=1)
        shape = (sizes[layer],)
        nodes += connections
        nodes.append(_population(rng, names[layer], [c.name for c in connections], shape, np.sqrt(power), neuron,
                                 reset, per_neuron, li=readout and layer == depth))  # fmt: skip
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
        if isinstance(node, IntLinear):
            weight = node.weight * 2.0 ** (node.weight_exp + ACT_SHIFT) * unit
            nodes.append(Linear(name=node.name, inputs=node.inputs, delay=node.delay, weight=weight))
        elif isinstance(node, (IntCubaLIF, IntLI)):
            decays = {"alpha": retention_u(node.du) / UNITY, "beta": retention_v(node.dv) / UNITY}
            common = {"name": node.name, "inputs": node.inputs, "shape": node.shape, "bias": node.bias * unit}
            if isinstance(node, IntLI):
                nodes.append(LI(**common, **decays))
            else:
                vth = (node.vth << ACT_SHIFT) * unit
                assert node.reset_by is not None
                nodes.append(CubaLIF(**common, **decays, vth=vth, reset=node.reset, reset_by=node.reset_by * unit))
        else:
            nodes.append(node)
    return Graph(nodes, graph.name)


def _connection(rng, name, source, shape, delay, exp, bound, share) -> IntLinear:
    """Even weights, and the given exponent or the largest smaller one whose sums stay inside 24 bits."""
    weight = rng.normal(0, 40, shape)
    weight = 2 * np.clip(np.round(weight - weight.mean(axis=1, keepdims=True)), -128, 127).astype(np.int64)
    largest = int(np.abs(weight).sum(axis=1).max()) * max(bound, 1) * share
    while largest * 2.0 ** (exp + ACT_SHIFT) > U_LIMIT:
        exp -= 1
    while exp < Limits().weight_exp[0]:
        weight, exp = weight // 4 * 2, exp + 1
    return IntLinear(name=name, inputs=(source,), weight=weight, weight_exp=exp, delay=delay)


def _population(rng, name, inputs, shape, sigma_a, neuron, reset, per_neuron, li) -> Population:
    limits = Limits()
    draw = shape if per_neuron else ()
    du = rng.integers(400, UNITY, draw) if neuron == "cuba" else np.asarray(limits.decay[1])
    dv = rng.integers(200, 2500, draw)
    alpha, beta = retention_u(du) / UNITY, retention_v(dv) / UNITY
    gain = (1 + alpha * beta) / ((1 - alpha * beta) * (1 - alpha**2) * (1 - beta**2))
    sigma = sigma_a * np.sqrt(gain) if per_neuron else sigma_a.mean() * np.sqrt(gain)

    bias = rng.uniform(-0.3, 0.6, draw) * sigma * (1 - beta)
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
    vth = (mean + rng.uniform(*MARGIN[reset], draw) * sigma) / (1 << ACT_SHIFT)
    vth = np.clip(np.round(vth), 1, limits.vth[1]).astype(np.int64)
    reset_by = None
    if per_neuron and reset == "subtract":
        reset_by = np.round((vth << ACT_SHIFT) * rng.uniform(0.8, 1.2, draw)).astype(np.int64)
    return IntCubaLIF(**common, vth=vth, reset=reset, reset_by=reset_by)
