"""How fast the emulator runs, against Lava and a plain NumPy loop: `python tests/bench/bench_emulator.py [--quick]`.

A 700-512-512-20 LIF network, 5 % input activity, batch 64, T = 100. A sample-step is one step of one sample. Rounds
alternate between the three, so that whatever else the machine does meets them all; figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np

import seamount as sm
from seamount.fixed_point import ACT_SHIFT, UNITY
from seamount.ir import Graph, Input, IntLinear, Node, Output
from seamount.neurons import IntCubaLIF
from seamount.neurons.leaky import retention_v

SIZES = (700, 512, 512, 20)
VTH = np.array([440, 320, 500])
"""Thresholds at which the hidden populations fire in 5 to 8 % of their steps."""
DU, DV = np.array(4095), np.array(410)
STEPS, BATCH, RATE = 100, 64, 0.05


def network(rng: np.random.Generator) -> Graph:
    """A feed-forward LIF network with random even weights."""
    nodes: list[Node] = [Input(name="input", shape=SIZES[:1])]
    for i, (fan_in, size) in enumerate(pairwise(SIZES), 1):
        weight = 2 * np.clip(np.round(rng.normal(0, 20, (size, fan_in))), -128, 127).astype(np.int64)
        nodes.append(IntLinear(name=f"fc{i}", inputs=(nodes[-1].name,), weight=weight))
        nodes.append(IntCubaLIF(name=f"lif{i}", inputs=(f"fc{i}",), shape=(size,), du=DU, dv=DV, vth=VTH[i - 1]))
    return Graph([*nodes, Output(name="output", inputs=(nodes[-1].name,))], "bench")


def numpy_float(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The network as one would write it in float32 NumPy: batched matrix products, a loop over time."""
    beta = np.float32(retention_v(DV) / UNITY)
    weights = [(c.weight.T << ACT_SHIFT).astype(np.float32) for c in graph.connections]
    thresholds = [np.float32(vth << ACT_SHIFT) for vth in VTH]
    v = [np.zeros((x.shape[1], size), np.float32) for size in SIZES[1:]]
    out = np.zeros((*x.shape[:2], SIZES[-1]), np.uint8)
    for t, s in enumerate(x.astype(np.float32)):
        for i, (weight, vth) in enumerate(zip(weights, thresholds, strict=True)):
            v[i] = beta * v[i] + s @ weight
            fired = v[i] > vth
            v[i][fired] = 0
            s = fired.astype(np.float32)
        out[t] = s
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, few samples for Lava")
    parser.add_argument("--no-lava", action="store_true", help="leave Lava out")
    arguments = parser.parse_args()
    rounds, lava_samples = (3, 2) if arguments.quick else (9, 8)

    rng = np.random.default_rng(0)
    graph = network(rng)
    x = (rng.random((STEPS, BATCH, SIZES[0])) < RATE).astype(np.uint8)
    start = time.perf_counter()
    emulator = sm.compile(graph, "loihi2")
    print(f"compiling for the emulator: {time.perf_counter() - start:.1f} s, once in a process")
    result = emulator.run(x, record=("spikes",))
    print(f"input rate {x.mean():.1%}; rates " + ", ".join(f"{k} {s.mean():.1%}" for k, s in result.spikes.items()))
    lava = None if arguments.no_lava else sm.compile(graph, "lava")

    rates: dict[str, list[float]] = {"emulator": [], "Lava fixed_pt": [], "NumPy float32": []}
    few = np.ascontiguousarray(x[:, :lava_samples])
    if lava is not None:
        witness = lava.run(few, record=("spikes",)).spikes
        equal = all(np.array_equal(s, result.spikes[k][:, :lava_samples]) for k, s in witness.items())
        print(f"spikes of {lava_samples} samples equal to Lava's in all {len(witness)} populations: {equal}")
    for _ in range(rounds):
        if lava is not None:
            rates["Lava fixed_pt"].append(STEPS * lava_samples / lava.run(few).seconds)
        runs = [emulator.run(x).seconds for _ in range(5)]
        rates["emulator"].append(STEPS * BATCH / float(np.median(runs)))
        start = time.perf_counter()
        numpy_float(graph, x)
        rates["NumPy float32"].append(STEPS * BATCH / (time.perf_counter() - start))

    for name, found in rates.items():
        if found:
            low, median, high = np.percentile(found, (0, 50, 100))
            print(f"{name:14} {median:12,.0f} sample-steps/s  (rounds {low:,.0f} to {high:,.0f})")
    for name in ("Lava fixed_pt", "NumPy float32"):
        if rates[name]:
            print(f"emulator / {name}: {np.median(np.divide(rates['emulator'], rates[name])):.0f}")


if __name__ == "__main__":
    main()
