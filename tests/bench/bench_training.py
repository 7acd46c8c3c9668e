"""How fast networks train here and in other libraries: `python tests/bench/bench_training.py [--quick] [--net NAME]`.

Two networks of LIF neurons:

- `dense`: 700-512-512-20, T = 100, batch 64, 5 % input activity;
- `conv`: 16C5-P2-32C3-P2-10 on 34 x 34 x 2, T = 50, batch 16, 2.7 % input activity, more in the middle of the sensor:
  what the 1100 recordings of `nmnist_small_1100.npz` have in 50 frames of 6.72 ms. Pools are sums.

One training step is the forward pass, the cross-entropy of spike counts, the backward pass and Adam. Rounds alternate
between the libraries, so that whatever else the machine does meets them all; figures are medians. All have the same
inputs, weights and torch threads; `peers.py` says in which form each runs. Memory is the highest resident size during a
training step above what the process held after import, build and one step of a smaller batch (which compiles what is
compiled), in a process for each. The peers come with `uv sync --group bench`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import peers
import torch
from torch import Tensor, nn

THREADS = 2
SLOW = 10
"""Times the fastest, from which one look is enough."""
OURS, QUANTIZED = "seamount", "seamount 8-bit QAT"


class Case(ABC):
    """A network to train.

    Attributes:
        steps, batch: size of the input.
        weights: standard normal, times what makes hidden populations fire in 5 to 10 % of their steps.
    """

    title: str
    steps: int
    batch: int
    classes: int
    weights: list[Tensor]

    @abstractmethod
    def rates(self) -> Tensor:
        """Spikes a step of each input."""

    @abstractmethod
    def connections(self) -> list[nn.Module]:
        """Torch's own modules on `[T, B, ...]`, with one weight each, to be set."""

    @abstractmethod
    def network(self, neuron: nn.Module) -> nn.Module:
        """The network as seamount has it, with weights to be set."""

    def inputs(self, batch: int) -> tuple[Tensor, Tensor]:
        """Spikes `[T, B, ...]` and labels."""
        generator, rates = torch.Generator().manual_seed(1), self.rates()
        x = (torch.rand(self.steps, batch, *rates.shape, generator=generator) < rates).float()
        return x, torch.randint(self.classes, (batch,), generator=generator)

    def seamount(self, quantized: bool = False) -> nn.Module:
        import seamount as sm

        net = self.network(sm.nn.LIF(beta=peers.BETA, reset="zero", surrogate=sm.nn.FastSigmoid(peers.SLOPE)))
        self._set(net)
        return sm.quantize(net, calibration=self.inputs(self.batch // 4)[0]) if quantized else net

    def build(self, name: str) -> nn.Module:
        if name in (OURS, QUANTIZED):
            return self.seamount(name == QUANTIZED)
        connections = nn.ModuleList(self.connections())
        self._set(connections)
        return (peers.Torch if name == peers.LOOP else peers.installed()[name])(list(connections))

    def _set(self, net: nn.Module) -> None:
        for parameter, weight in zip(net.parameters(), self.weights, strict=True):
            parameter.data.copy_(weight)


def normal(shapes: Sequence[tuple[int, ...]], gains: Sequence[float]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) * gain for shape, gain in zip(shapes, gains, strict=True)]


class Dense(Case):
    sizes, rate = (700, 512, 512, 20), 0.05
    title, steps, batch, classes = "700-512-512-20", 100, 64, sizes[-1]
    weights = normal([(512, 700), (512, 512), (20, 512)], [0.095, 0.1, 0.12])

    def rates(self) -> Tensor:
        return torch.full(self.sizes[:1], self.rate)

    def connections(self) -> list[nn.Module]:
        return [nn.Linear(*sizes, bias=False) for sizes in zip(self.sizes[:-1], self.sizes[1:], strict=True)]

    def network(self, neuron: nn.Module) -> nn.Module:
        from seamount_models.networks import mlp

        return mlp(self.sizes, neuron)


class Convolutional(Case):
    side, rate, spread = 34, 0.027, 7.0
    title, steps, batch, classes = "16C5-P2-32C3-P2-10", 50, 16, 10
    weights = normal([(16, 2, 5, 5), (32, 16, 3, 3), (10, 2048)], [0.55, 0.1, 0.01])

    def rates(self) -> Tensor:
        line = torch.exp(-((torch.arange(self.side) - (self.side - 1) / 2) ** 2) / (2 * self.spread**2))
        rates = torch.outer(line, line).expand(2, -1, -1)
        return rates * self.rate / rates.mean()

    def connections(self) -> list[nn.Module]:
        pool = nn.AvgPool2d(2, divisor_override=1)
        return [
            peers.EachStep(nn.Conv2d(2, 16, 5, padding=2, bias=False)),
            peers.EachStep(pool, nn.Conv2d(16, 32, 3, padding=1, bias=False)),
            peers.EachStep(pool, nn.Flatten(), nn.Linear(2048, 10, bias=False)),
        ]

    def network(self, neuron: nn.Module) -> nn.Module:
        from seamount_models.networks import conv

        return conv((2, self.side, self.side), self.title, neuron)


CASES: dict[str, type[Case]] = {"dense": Dense, "conv": Convolutional}


def training(case: Case, name: str, batch: int) -> tuple[Callable[[], None], Callable[[], Tensor]]:
    """A training step and an inference."""
    net = case.build(name)
    x, labels = case.inputs(batch)
    # small steps, so that rates stay where they are
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x).sum(0), labels).backward()
        optimizer.step()

    def infer() -> Tensor:
        with torch.no_grad():
            return net(x)

    return step, infer


def population_rates(case: Case) -> list[float]:
    """Spikes per step and neuron of each population of the network that all have."""
    import seamount as sm

    net = case.seamount()
    with sm.nn.recording(net) as found, torch.no_grad():
        net(case.inputs(case.batch)[0])
    return [float(p.recorded_spikes.mean()) for p in found.values() if p.recorded_spikes is not None]


def medians(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each action, in alternating rounds; what is SLOW in the first takes no part in the others."""
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        fastest = min((found[0] for found in times.values() if found), default=float("inf"))
        for name, action in actions.items():
            if times[name] and times[name][0] > SLOW * fastest:
                continue
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(found)) for name, found in times.items()}


def peak(case: Case, name: str) -> float:
    """MiB of a training step above import, build and a small step; asks the kernel, in this process."""
    training(case, name, batch=case.batch // 4)[0]()
    step, _ = training(case, name, case.batch)
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest size so far
    before = _resident("VmRSS")
    step()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    """KiB, as the kernel counts them."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(field))
    return int(line.split()[1])


def memory(net: str, name: str) -> float:
    """`peak` in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--net", net, "--peak", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def table(columns: dict[str, dict[str, float]], names: Sequence[str], others: Sequence[str]) -> None:
    print(f"\n{'':20}" + "".join(f"{title:>26}" for title in columns))
    for name in names:
        cells = []
        for found in columns.values():
            best = min((found[o] for o in others if o in found), default=float("nan"))
            cells.append(f"{found[name]:10.1f}  ({found[name] / best:5.2f})" if name in found else "")
        print(f"{name:20}" + "".join(f"{cell:>26}" for cell in cells))
    print("in brackets: ratio to the best of the peers\n")


def bench(net: str, rounds: int) -> None:
    case, others = CASES[net](), list(peers.installed())
    names = [OURS, QUANTIZED, *others, peers.LOOP]
    print(f"{case.title}, T = {case.steps}, batch {case.batch}; input rate {case.rates().mean():.1%}; ", end="")
    print("rates of the populations: " + ", ".join(f"{rate:.1%}" for rate in population_rates(case)))
    made = {name: training(case, name, case.batch) for name in names}
    for name, (_, infer) in made.items():
        print(f"{name:20} {infer().sum() / case.batch:8.2f} output spikes a sample")
    columns = {
        "training step, ms": medians({name: step for name, (step, _) in made.items()}, rounds),
        "inference, ms": medians({name: infer for name, (_, infer) in made.items()}, rounds),
        "memory, MiB": {name: memory(net, name) for name in names},
    }
    table(columns, names, others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--net", choices=CASES, help="only this network")
    parser.add_argument("--peak", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    if arguments.peak:
        print(peak(CASES[arguments.net](), arguments.peak))
        return
    if not peers.installed():
        print("no peer is installed: uv sync --group bench")
    print(f"{torch.get_num_threads()} threads; load of the machine {os.getloadavg()[0]:.1f}\n")
    for net in [arguments.net] if arguments.net else CASES:
        bench(net, 5 if arguments.quick else 21)


if __name__ == "__main__":
    main()
