"""Accuracy from training to the chip: float, quantized, on the emulator; the first samples on Lava as well.

    python tests/bench/bench_accuracy.py [digits] [nmnist] ... [--bits 8 4] [--checkpoints FOLDER]

Exits with 1 where an accuracy is below its goal, where quantization loses more than it may, or where a spike or a v
differs. Settings were chosen on parts of the training splits; the test splits are looked at here. A recipe of a data
set with folds is trained once a fold. Needs Lava (`uv sync`), and the data in SEAMOUNT_DATA.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import seamount as sm
from seamount.errors import ResourceError
from seamount.ir import Graph
from seamount_models import losses, recipes, training
from seamount_models.datasets import nmnist
from seamount_models.recipes import Recipe
from seamount_models.splits import Dataset
from seamount_models.training.evaluation import correct, weight_of


@dataclass(frozen=True)
class Goal:
    """Float accuracy on the test split in %, None for any; points that 8 bits may lose, and fewer bits."""

    accuracy: float | None = None
    lost: float = 0.5
    lost_below: float = 1.0


GOALS = {
    "digits": Goal(),
    "mnist": Goal(),
    "mnist-conv": Goal(99.0),
    "mnist-conv-ottt": Goal(98.5),
    "mnist-conv-ottt-a": Goal(98.5),
    "fashion-mnist": Goal(90.0),
    "nmnist": Goal(92.0),
    "spoken-digits": Goal(90.0),
    "qtdb": Goal(86.5, lost=1.0),
    "qtdb-eprop": Goal(84.9, lost=1.0),
}
QUICK = ["digits", "spoken-digits"]
CODINGS = 5
"""Codings of the test split whose accuracies are averaged, where the code is drawn at random."""
LAVA_VALUES = 20_000_000
"""Values of v that are compared on Lava, at most: it takes some seconds for so many."""
LAVA_SAMPLES = 100


@dataclass
class Run:
    """One training of a recipe.

    Attributes:
        floating, integer: test accuracy in % of the float network, and of the integer graph by the bits of a weight.
        seconds: of processor time that the float training took, other work on the machine left out.
        graphs: integer graph by the bits of a weight.
    """

    data: Dataset
    floating: float
    seconds: float
    integer: dict[int, float]
    graphs: dict[int, Graph]


def run(recipe: Recipe, bits: list[int], checkpoint: Path | None) -> Run:
    """Train a recipe; quantize, fine-tune and deploy it."""
    start = time.process_time()
    net, data, _ = recipes.train(recipe, checkpoint=checkpoint)
    seconds = time.process_time() - start
    found = Run(data, 0.0, seconds, {}, {})
    again = [data.test.spikes([0], seed=seed) for seed in range(2)]
    codings = range(1 if torch.equal(*again) else CODINGS)
    floats = [training.evaluate(net, data.test, seed=c, loss=recipe.training.get("loss")).accuracy for c in codings]
    found.floating = 100 * float(np.mean(floats))
    for number in bits:
        qnet = recipes.quantize(recipe, net, data, weight_bits=number)
        if recipe.fine_tuning:
            own = checkpoint and checkpoint.with_suffix(f".{number}.pt")
            recipes.fine_tune(recipe, qnet, data, checkpoint=own)
        graph = sm.lower(qnet, name=recipe.name, input_kind=data.input.kind, input_bound=data.input.bound)
        found.graphs[number] = graph
        found.integer[number] = 100 * float(np.mean([deployed(recipe, graph, data, c) for c in codings]))
    return found


def deployed(recipe: Recipe, graph: Graph, data: Dataset, coding: int) -> float:
    """Accuracy on the test split of the graph on the emulated chip."""
    program = sm.compile(graph, "loihi2")
    decode = losses.decoder(losses.find(recipe.training.get("loss", "count_cross_entropy")))
    right = labelled = 0
    for spikes, labels in data.test.batches(500, seed=coding):
        result = program.run(spikes)
        output = result.output if result.output_scale is None else result.output * result.output_scale
        right += correct(torch.from_numpy(output), labels, decode)
        labelled += weight_of(labels)
    return right / labelled


def equal_everywhere(graph: Graph, data: Dataset) -> bool:
    """Run the first test samples on the reference, the emulator and Lava; print how much is equal."""
    values = data.test.steps * sum(population.size for population in graph.populations)
    samples = max(1, min(LAVA_SAMPLES, LAVA_VALUES // values))
    targets = ["reference", "loihi2", "lava"]
    try:
        sm.compile(graph, "lava")
    except ResourceError as error:
        print(f"  lava     MISSED: {error}")
        targets.remove("lava")
    report = sm.verify(graph, targets, data.test.spikes(range(samples)))
    for row in report.rows[1:]:
        print(
            f"  {row.target:8s} {row.samples} samples: {row.equal} of {row.values} spike values "
            f"and {row.v_equal} of {row.v_values} v equal, {row.seconds:.1f} s"
        )
    if report.divergence is not None:
        print(f"  {report.divergence}")
    return report.ok and "lava" in targets


def measure(name: str, bits: list[int], checkpoints: Path | None) -> bool:
    """Run a recipe, once a fold where it has folds; print its figures; return whether it is as it should be."""
    recipe = recipes.load(name)
    parts = [recipe]
    if "fold" in recipe.data:
        parts = [replace(recipe, data={**recipe.data, "fold": fold}) for fold in range(nmnist.FOLDS)]
    layers = recipe.network.get("layers") or "-".join(map(str, recipe.network["sizes"]))
    print(f"{name}: {layers}, {recipe.training['epochs']} epochs", flush=True)
    runs = []
    for number, part in enumerate(parts):
        runs.append(run(part, bits, checkpoints and checkpoints / f"{name}-{number}.pt"))
        if len(parts) > 1:
            integers = ", ".join(f"{b} bits {accuracy:.2f} %" for b, accuracy in runs[-1].integer.items())
            print(f"  fold {number}: float {runs[-1].floating:.2f} %, {integers}", flush=True)
    floats = [one.floating for one in runs]
    goal, reached = GOALS.get(name, Goal()), float(np.mean(floats))
    ok = goal.accuracy is None or reached >= goal.accuracy
    wanted = "" if goal.accuracy is None else f", goal {goal.accuracy:g} %"
    print(f"  float    {_percent(floats)}{wanted}{'' if ok else ', MISSED'}")
    for number in bits:
        integers = [one.integer[number] for one in runs]
        lost, allowed = reached - float(np.mean(integers)), goal.lost if number == 8 else goal.lost_below
        ok &= lost <= allowed
        verdict = "" if lost <= allowed else ", MISSED"
        print(f"  {number} bits   {_percent(integers)}, {lost:+.2f} points lost, allowed {allowed:g}{verdict}")
    trained = sum(one.seconds for one in runs)
    print(
        f"  {len(runs[0].data.test)} test samples; float training {trained:.0f} s on {torch.get_num_threads()} threads"
    )
    return equal_everywhere(runs[0].graphs[bits[0]], runs[0].data) and ok


def _percent(values: list[float]) -> str:
    spread = f" +- {np.std(values):.2f} over {len(values)} folds" if len(values) > 1 else ""
    return f"{np.mean(values):.2f} %{spread}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=list(GOALS))
    parser.add_argument("--quick", action="store_true", help=f"{' and '.join(QUICK)} only")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4], help="of a weight; Lava runs the first")
    parser.add_argument("--checkpoints", type=Path, help="folder to which each epoch is saved, and read if it is there")
    options = parser.parse_args()
    if options.checkpoints:
        options.checkpoints.mkdir(parents=True, exist_ok=True)
    chosen = QUICK if options.quick else options.recipes
    failed = [name for name in chosen if not measure(name, options.bits, options.checkpoints)]
    raise SystemExit(bool(failed))
