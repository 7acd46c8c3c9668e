"""Learning on the chip: `python tests/bench/bench_learning.py [--no-lava]`.

The digits network (64-128-10) is trained and quantized, its readout wiped to random weights and relearned by OTTT on
the emulated chip, in two passes over the training set, the second with half the rate (another run, with another rule).
Accuracy is of the graph with the learned weights floored to even, on the test set, which is coded anew. Then the same
on Lava for some hundred steps: weights after every step, and steps per second of both.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import seamount as sm
from seamount.ir import Graph
from seamount_models import recipes
from seamount_models.demo import wiped
from seamount_models.splits import Dataset

CONNECTION = "readout"
RATES = (0.25, 0.125)
SEEDS = 5
LAVA_SAMPLES = 40
FLOOR = 92.0
"""Accuracy in percent that the median must reach."""


def accuracy(graph: Graph, data: Dataset) -> float:
    spikes, labels = data.test.spikes(seed=100), data.test.y.numpy()
    return 100 * float((sm.compile(graph, "loihi2").run(spikes).counts.argmax(1) == labels).mean())


def coded(data: Dataset, rng: np.random.Generator, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The training set in a new order and coding."""
    order = torch.as_tensor(rng.permutation(len(data.train)))
    return data.train.spikes(order, seed=seed).numpy(), data.train.y[order].numpy()


def relearn(graph: Graph, data: Dataset, seed: int, rounding: str) -> tuple[list[float], float]:
    """Accuracy of the wiped readout and after each pass; seconds that learning took."""
    rng = np.random.default_rng(seed)
    graph, seconds = wiped(graph, CONNECTION, rng), 0.0
    found = [accuracy(graph, data)]
    for i, lr in enumerate(RATES):
        spikes, labels = coded(data, rng, seed=10 * seed + i)
        learner = sm.compile(graph, "loihi2", learn={CONNECTION: sm.learning.OTTT(lr=lr)}, rounding=rounding)
        result = learner.run(spikes, labels=labels)
        graph, seconds = result.learned(graph), seconds + result.seconds
        found.append(accuracy(graph, data))
    return found, seconds


def compare(graph: Graph, data: Dataset) -> bool:
    """The same samples on Lava and on the emulator: weights after each step, and steps per second."""
    rng = np.random.default_rng(0)
    graph = wiped(graph, CONNECTION, rng)
    spikes, labels = coded(data, rng, seed=0)
    spikes, labels = spikes[:, :LAVA_SAMPLES], labels[:LAVA_SAMPLES]
    traces, rates = [], []
    for target in ("lava", "loihi2"):
        learner = sm.compile(graph, target, learn={CONNECTION: sm.learning.OTTT(lr=RATES[0])})
        result = learner.run(spikes, labels=labels, record=("weights",))
        traces.append(result.weight_trace[CONNECTION])
        rates.append(len(traces[-1]) / result.seconds)
    equal = int((traces[0] == traces[1]).all(axis=(1, 2)).sum())
    print(f"  Lava: {len(traces[0])} steps compared, {traces[0][0].size} weights each: {equal} steps equal")
    print(f"  Lava {rates[0]:,.0f} learning steps/s")
    return equal == len(traces[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-lava", action="store_true", help="leave Lava out")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args()
    seeds = 1 if arguments.quick else SEEDS
    recipe = recipes.load("digits")
    net, data, _ = recipes.train(recipe)
    graph = sm.lower(sm.quantize(net, weight_bits=8, calibration=data.train))
    print(f"digits 64-128-10: {accuracy(graph, data):.2f} % as trained")
    sm.compile(graph, "loihi2", learn={CONNECTION: sm.learning.OTTT(lr=1.0)})
    ok = True
    for rounding in ("shared", "per-synapse"):
        start = time.perf_counter()
        runs = [relearn(graph, data, seed, rounding) for seed in range(seeds)]
        steps = len(RATES) * len(data.train) * data.train.steps
        print(f"rounding {rounding}: {seeds} seeds, rates {', '.join(map(str, RATES))} LSB")
        for seed, (found, _) in enumerate(runs):
            print(f"  seed {seed}: wiped {found[0]:5.2f} %, " + ", ".join(f"pass {i + 1} {a:.2f} %" for i, a in
                                                                       enumerate(found[1:])))  # fmt: skip
        medians = np.median([found for found, _ in runs], axis=0)
        print(f"  median: wiped {medians[0]:.2f} %, " + ", ".join(f"{a:.2f} %" for a in medians[1:]))
        rate = steps / float(np.median([seconds for _, seconds in runs]))
        print(f"  emulator {rate:,.0f} learning steps/s; all of this in {time.perf_counter() - start:.1f} s")
        ok &= medians[-1] >= FLOOR
    if not arguments.no_lava:
        ok &= compare(graph, data)
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
