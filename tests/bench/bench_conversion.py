"""Accuracy of trained ReLU networks, of what they convert to, and of that on the chip, by the number of steps.

    python tests/bench/bench_conversion.py [digits] [mnist] [mnist-conv] [--quick]

Beside it SpikingJelly's conversion of the same network, on the same input: by percentile and layer, and by channel with
v beginning at half a threshold. Each is calibrated on the same samples. Prints accuracies on the test split in %. Exits
with 1 where a spike or a v differs between the targets, where the last T loses more than it may against the ReLU
network, or where 8 bits lose more than they may. Needs the data in SEAMOUNT_DATA; what is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import seamount as sm
from seamount_models import datasets, training
from seamount_models.conversion import SAMPLES, convert
from seamount_models.splits import Dataset, Split

STEPS = (4, 8, 16, 32, 64)
QUICK = ("digits",)
BITS = 8
MAY_LOSE = 0.5
"""Points, at the last T against the ReLU network, and by quantization at each T from 8 on."""
VERIFIED = 20
"""Samples that every target runs."""
TARGETS = ["reference", "onnxruntime", "loihi2"]
BATCH = 100


@dataclass
class Case:
    """A network and how long it trains.

    Args:
        data: name and settings of the data set.
        net: the ReLU network.
        epochs: of training.
        samples: of the test split, at most.
    """

    data: dict
    net: Callable[[], nn.Sequential]
    epochs: int
    samples: int


def dense(*sizes: int) -> nn.Sequential:
    """A perceptron of ReLUs."""
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Sequential:
    """12C5-P2-24C5-P2-10 with batch norms."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5), nn.BatchNorm2d(12), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(12, 24, 5), nn.BatchNorm2d(24), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(24 * 16, 10),
    )  # fmt: skip


CASES = {
    "digits": Case({"name": "digits"}, lambda: dense(64, 64, 64, 10), 40, 360),
    "mnist": Case({"name": "mnist"}, lambda: dense(784, 256, 128, 10), 6, 10_000),
    "mnist-conv": Case({"name": "mnist", "flat": False}, convolutional, 3, 1000),
}


def trained(case: Case) -> nn.Sequential:
    """The ReLU network after training with Adam on intensities."""
    torch.manual_seed(0)
    net, split = case.net(), datasets.load(**case.data, coding="direct", steps=1).train
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(case.epochs):
        for x, y in split.batches(64, shuffle=True, seed=int(torch.randint(1 << 30, ()))):
            optimizer.zero_grad()
            functional.cross_entropy(net(intensities(split, x)), y).backward()
            optimizer.step()
    return net.eval()


def intensities(split: Split, spikes: Tensor) -> Tensor:
    """What graded input `[T, B, ...]`, equal in all steps, stands for: `[B, ...]`."""
    return spikes[0].float() / split.input.bound


@torch.no_grad()
def accuracy(split: Split, scores: Callable[[Tensor], Tensor]) -> float:
    """In %, of a function from graded input `[T, B, ...]` to scores `[B, classes]`."""
    right = sum(int((scores(x).argmax(-1) == y).sum()) for x, y in split.batches(BATCH))
    return 100 * right / len(split)


def of_spikingjelly(ann: nn.Module, data: Dataset, test: Split, **settings) -> float:
    """Accuracy of SpikingJelly's conversion, run as its documentation does: outputs added up over the steps."""
    from spikingjelly.activation_based import ann2snn
    from spikingjelly.activation_based import functional as sj

    seen = intensities(data.train, data.train.spikes(range(SAMPLES)))
    recipe = ann2snn.RateCodingRecipe([(seen, None)], mode="99.9%", **settings)
    net = ann2snn.FXConverter(recipe).convert(ann)

    def scores(x: Tensor) -> Tensor:
        sj.reset_net(net)
        once = intensities(test, x)
        return torch.stack([net(once) for _ in range(len(x))]).sum(0)

    return accuracy(test, scores)


def measure(name: str, samples: int | None) -> bool:
    """Print a case's table; return whether it is as it should be."""
    case = CASES[name]
    start = time.perf_counter()
    ann = trained(case)
    seconds = time.perf_counter() - start
    ok, reached = True, 0.0
    for steps in STEPS:
        data = datasets.load(**case.data, coding="direct", steps=steps)
        test = data.test.subset(range(min(samples or case.samples, len(data.test))))
        if steps == STEPS[0]:
            reached = accuracy(test, lambda x, test=test: ann(intensities(test, x)))
            print(f"{name}: {len(test)} test samples, ReLU network {reached:.2f} %, trained in {seconds:.0f} s")
            heads = " ".join(f"{h:>8s}" for h in ("cut off", "half", "8 bits"))
            print(f"    T {heads} {'rates %':>16s}   SpikingJelly: layer, channel")
        plain = 100 * training.evaluate(convert(ann, data.train, half=False), test).accuracy
        net = convert(ann, data.train)
        found = training.evaluate(net, test)
        kind, bound = data.input
        qnet = sm.quantize(net, weight_bits=BITS, calibration=data.train, input_bound=bound)
        graph = sm.lower(qnet, name=name, input_kind=kind, input_bound=bound)
        program = sm.compile(graph, "loihi2")
        chip = accuracy(test, lambda x, p=program: torch.from_numpy(p.run(x).output).sum(0))
        rates = " ".join(f"{100 * rate:.1f}" for rate in found.rates.values())
        peers = "   not installed"
        if importlib.util.find_spec("spikingjelly"):
            settings = {}, {"channel_wise": True, "half_threshold": True}
            peers = " ".join(f"{of_spikingjelly(ann, data, test, **one):8.2f}" for one in settings)
        half = 100 * found.accuracy
        print(f"  {steps:3d} {plain:8.2f} {half:8.2f} {chip:8.2f} {rates:>16s}   {peers}", flush=True)
        ok &= steps < 8 or half - chip <= MAY_LOSE
        ok &= steps < STEPS[-1] or reached - chip <= MAY_LOSE
        ok &= sm.verify(graph, TARGETS, test.spikes(range(VERIFIED))).ok
    print(f"  {'as it should be' if ok else 'MISSED'}; equal on {', '.join(TARGETS)}, {VERIFIED} samples at each T")
    return ok


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--quick", action="store_true", help=f"{' and '.join(QUICK)} only")
    parser.add_argument("--samples", type=int, help="of the test split, at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = QUICK if options.quick else options.cases
    raise SystemExit(bool([name for name in chosen if not measure(name, options.samples)]))
