"""Accuracy from training to the chip: float, quantized to 8 bits, on the emulator; the first samples on Lava as well.

    python tests/bench/bench_accuracy.py [digits] [mnist]

Needs Lava (`uv sync`), and for mnist the data in SEAMOUNT_DATA.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import seamount as sm
from seamount_models import recipes, training

CODINGS = 5
LAVA_SAMPLES = 100


def measure(name: str) -> bool:
    """Train, quantize, fine-tune and deploy a recipe; print its figures; return whether every spike was equal."""
    start = time.perf_counter()
    recipe = recipes.load(name)
    net, data, _ = recipes.train(recipe)
    trained = time.perf_counter() - start
    qnet = sm.quantize(net, weight_bits=8, calibration=data.train)
    recipes.fine_tune(recipe, qnet, data)
    graph = sm.lower(qnet, name=name)
    program = sm.compile(graph, "loihi2")
    print(
        f"{name}: {'-'.join(map(str, recipe.network['sizes']))}, T = {data.test.steps}, {len(data.test)} test samples"
    )
    floats, integers = [], []
    for coding in range(CODINGS):
        floats.append(training.evaluate(net, data.test, seed=coding).accuracy)
        right = 0
        for spikes, labels in data.test.batches(1000, seed=coding):
            right += int((program.run(spikes).counts.argmax(1) == labels.numpy()).sum())
        integers.append(right / len(data.test))
    print(f"  float accuracy   {100 * np.mean(floats):.2f} % over {CODINGS} codings, coding 0: {100 * floats[0]:.2f} %")
    print(f"  integer graph    {100 * np.mean(integers):.2f} % on the same spikes, coding 0: {100 * integers[0]:.2f} %")
    print(f"  trained in {trained:.0f} s, with quantization and fine-tuning {time.perf_counter() - start:.0f} s")
    x = next(data.test.batches(LAVA_SAMPLES, seed=0))[0]
    report = sm.verify(graph, ["reference", "loihi2", "lava"], x)
    for row in report.rows[1:]:
        print(f"  {row.target:8s} {row.equal} of {row.values} spike values and {row.v_equal} of {row.v_values} v equal")
    if report.divergence is not None:
        print(f"  {report.divergence}")
    return report.ok


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=["digits", "mnist"])
    parser.add_argument("--quick", action="store_true", help="digits only")
    options = parser.parse_args()
    failed = [name for name in (["digits"] if options.quick else options.recipes) if not measure(name)]
    raise SystemExit(bool(failed))
