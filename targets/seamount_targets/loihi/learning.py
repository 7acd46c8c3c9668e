"""Learning on the emulated chip: what `compile(graph, "loihi2", learn=...)` runs.

Layers before the learning connection do not depend on it, so they run first, all samples at once, as in any program;
then its source's spikes stream through the learning engine, sample after sample, as on the chip.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seamount.errors import ResourceError
from seamount.fixed_point import U_BOUND
from seamount.ir import Graph, IntLinear
from seamount.learning import Plasticity, Rule
from seamount.learning.rule import TRACE_MAX, WEIGHT_SHIFT, Y_TAU
from seamount.passes.schedule import schedule
from seamount.program import Result
from seamount_targets.loihi.emulator import EmulatorProgram
from seamount_targets.loihi.learning_kernel import learn

ROUNDINGS = ("shared", "per-synapse")
"""How weights are rounded: with one number a step for all synapses, as Lava does, or one for each, as the chip does."""
SHARED_SEED = 2
"""Lava gives no other to the rounding of weights."""
CHUNK = 1 << 20
"""Numbers for the rounding of weights that are drawn at a time."""


class EmulatedLearning(EmulatorProgram):
    """A graph of which one connection learns, bit for bit as on Lava's LearningDense with `rounding="shared"`.

    Args:
        graph: checked against the limits of the target.
        target: its name.
        plasticity: what learns.
        rounding: one of ROUNDINGS.
        options: those of EmulatorProgram.
    """

    def __init__(self, graph: Graph, target: str, plasticity: Plasticity, rounding: str, **options) -> None:
        super().__init__(graph, target, **options)
        self.plasticity: Plasticity = plasticity
        self.rounding = rounding

    def _learn(self, x: np.ndarray, record: frozenset[str], labels: np.ndarray) -> Result:
        graph, plasticity, rule = self.graph, self.plasticity, self.plasticity.rule
        node, post = graph[plasticity.connection], graph.output
        assert isinstance(node, IntLinear)
        source = graph.source(node).name
        offset = schedule(graph).offsets[source]
        before = self._run(x, (record - {"weights"}) | {"spikes"})
        s = stream(x if source == graph.input.name else before.spikes[source])
        n, weights = len(s), node.weight.copy()
        spikes = np.zeros((n, post.size), np.uint8)
        v = np.zeros((n if "v" in record else 0, post.size), np.int32)
        trace = np.zeros((n if "weights" in record else 0, *weights.shape), np.int16)
        x_draws, y_draws = trace_draws(rule, n, offset)
        constants = np.stack([np.broadcast_to(c, post.shape) for c in post.constants()]).astype(np.int64)
        x1 = np.zeros(weights.shape[1], np.int64)
        y, u_state, v_state = np.zeros((3, post.size), np.int64)
        first = 0
        for w_draws in self._weight_draws(n, offset, weights.shape):
            largest = learn(
                s, labels, x.shape[0], constants, node.weight_exp, products(rule), rule.x1_impulse,
                decay_table(rule.x1_tau), decay_table(Y_TAU), x_draws, y_draws, w_draws,
                plasticity.table, plasticity.shift, plasticity.low,
                weights, x1, y, u_state, v_state, spikes, v, trace, first,
            )  # fmt: skip
            first += len(w_draws)
            if largest > U_BOUND:
                raise ResourceError(
                    f"{node.name}: its weights grew until |u| of {post.name} reached {largest} (limit {U_BOUND}). "
                    "Hint: a smaller lr, or a lower weight_exp with a lower threshold."
                )

        def shaped(values: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(values.reshape(-1, x.shape[0], *post.shape).swapaxes(0, 1))

        output = shaped(spikes)
        return Result(
            output=output,
            spikes={**before.spikes, post.name: output} if "spikes" in record else {},
            v={**before.v, post.name: shaped(v)} if "v" in record else {},
            weights={node.name: weights},
            weight_trace={node.name: trace} if "weights" in record else {},
        )

    def _weight_draws(self, n: int, offset: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """uint8 `[steps, out, in]` in 0..127, some steps at a time."""
        levels = 1 << WEIGHT_SHIFT
        if self.rounding == "shared":
            # Lava draws one number when it starts, and one before each update.
            draws = np.random.default_rng(SHARED_SEED).random(n + offset + 1)[offset + 1 :]
            yield np.broadcast_to((draws * levels).astype(np.uint8)[:, None, None], (n, *shape))
            return
        generator = np.random.default_rng(self.plasticity.rule.seed)
        size = max(1, CHUNK // int(np.prod(shape)))
        for first in range(0, n, size):
            yield generator.integers(0, levels, (min(size, n - first), *shape), dtype=np.uint8)


def stream(values: np.ndarray) -> np.ndarray:
    """`[T, B, *shape]` as uint8 `[B T, n]`: sample after sample."""
    steps, samples = values.shape[:2]
    return np.ascontiguousarray(values.swapaxes(0, 1)).reshape(samples * steps, -1)


def products(rule: Rule) -> np.ndarray:
    """A rule's products as the kernel takes them, int64 `[P, 7]`."""
    rows = [
        [p.dependency == "x0", *(p.factors.count(f) for f in ("x1", "y1", "y2")), p.mantissa, p.right, p.left]
        for p in rule.products
    ]
    return np.array(rows, np.int64)


def decay_table(tau: float) -> np.ndarray:
    """`exp(-1 / tau) x` for x = 0..127 as (floor, fraction), float64 `[2, 128]`; the exponential as Lava takes it."""
    z = np.exp(-1 / np.array([tau])) * np.arange(TRACE_MAX + 1)
    return np.stack([np.floor(z), z % 1])


def trace_draws(rule: Rule, n: int, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that round x1 and the modulator in each step, float64 `[n]` each.

    Lava has a generator for either, draws one number when it starts and two in each chip step, and uses the second.

    Args:
        rule: gives the seed.
        n: steps.
        offset: chip steps before the first of them.
    """
    x, y = (np.random.default_rng(rule.seed + k).random(2 * (offset + n) + 1) for k in (0, 2))
    return x[2 * offset + 2 :: 2], y[2 * offset + 2 :: 2]
