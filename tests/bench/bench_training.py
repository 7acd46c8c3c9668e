"""How fast networks train here and in other libraries: `python tests/bench/bench_training.py [--quick]`.

A 700-512-512-20 LIF network, T = 100, batch 64, 5 % input activity. One training step is the forward pass, the
cross-entropy of spike counts, the backward pass and Adam. Rounds alternate between the libraries, so that whatever else
the machine does meets them all; figures are medians. All have the same inputs, weights and torch threads; `peers.py`
says in which form each runs. Memory is the highest resident size during a training step above what the process held
after import, build and one step of a smaller batch (which compiles what is compiled), in a process for each.
The peers come with `uv sync --group bench`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import peers
import torch
from torch import Tensor, nn

SIZES = (700, 512, 512, 20)
STEPS, BATCH, RATE = 100, 64, 0.05
GAIN = (1.0, 1.05, 1.3)
"""Standard deviation of a connection's weights times the square root of its expected input, by layer: hidden
populations then fire in 5 to 10 % of their steps."""
THREADS = 2
OURS, QUANTIZED = "seamount", "seamount 8-bit QAT"


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(out, fan_in, generator=generator) * gain / (fan_in * RATE) ** 0.5 * 0.5
        for fan_in, out, gain in zip(SIZES[:-1], SIZES[1:], GAIN, strict=True)
    ]


def inputs(batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """Spikes `[T, B, N]` and labels."""
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(STEPS, batch, SIZES[0], generator=generator) < RATE).float()
    return x, torch.randint(SIZES[-1], (batch,), generator=generator)


def seamount(quantized: bool = False) -> nn.Module:
    import seamount as sm
    from seamount_models.networks import mlp

    net = mlp(SIZES, sm.nn.LIF(beta=peers.BETA, reset="zero", surrogate=sm.nn.FastSigmoid(peers.SLOPE)))
    for parameter, weight in zip(net.parameters(), weights(), strict=True):
        parameter.data.copy_(weight)
    return sm.quantize(net, calibration=inputs(16)[0]) if quantized else net


def build(name: str) -> nn.Module:
    return seamount(name == QUANTIZED) if name in (OURS, QUANTIZED) else peers.installed()[name](weights())


def training(name: str, batch: int = BATCH) -> tuple[Callable[[], None], Callable[[], Tensor], nn.Module]:
    """A training step, an inference, and the network of both."""
    net = build(name)
    x, labels = inputs(batch)
    # small steps, so that rates stay where they are
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x).sum(0), labels).backward()
        optimizer.step()

    def infer() -> Tensor:
        with torch.no_grad():
            return net(x)

    return step, infer, net


def hidden_rates() -> list[float]:
    """Spikes per step and neuron of each population of the network that all have."""
    import seamount as sm

    net = seamount()
    with sm.nn.recording(net) as found, torch.no_grad():
        net(inputs()[0])
    return [float(p.recorded_spikes.mean()) for p in found.values() if p.recorded_spikes is not None]


def medians(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each action, in alternating rounds."""
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * float(np.median(found)) for name, found in times.items()}


def peak(name: str) -> float:
    """MiB of a training step above import, build and a small step; asks the kernel, in this process."""
    training(name, batch=BATCH // 4)[0]()
    step = training(name)[0]
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest size so far
    before = _resident("VmRSS")
    step()
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    """KiB, as the kernel counts them."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(field))
    return int(line.split()[1])


def memory(name: str) -> float:
    """`peak` in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def table(columns: dict[str, dict[str, float]], names: Sequence[str], others: Sequence[str]) -> None:
    print(f"\n{'':20}" + "".join(f"{title:>26}" for title in columns))
    for name in names:
        cells = []
        for found in columns.values():
            best = min((found[o] for o in others if o in found), default=float("nan"))
            cells.append(f"{found[name]:10.1f}  ({found[name] / best:5.2f})" if name in found else "")
        print(f"{name:20}" + "".join(f"{cell:>26}" for cell in cells))
    print("in brackets: ratio to the best of the peers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--peak", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    if arguments.peak:
        print(peak(arguments.peak))
        return
    rounds = 5 if arguments.quick else 21

    names = [OURS, QUANTIZED, *peers.installed()]
    others = [name for name in peers.installed() if name != peers.NAMES[peers.Torch]]
    if not others:
        print("no peer is installed: uv sync --group bench")
    print(f"{torch.get_num_threads()} threads; input rate {RATE:.0%}; rates of the populations: ", end="")
    print(", ".join(f"{rate:.1%}" for rate in hidden_rates()))
    made = {name: training(name) for name in names}
    for name, (_, infer, _) in made.items():
        print(f"{name:20} {infer().sum() / BATCH:8.2f} output spikes a sample")
    columns = {
        "training step, ms": medians({name: step for name, (step, _, _) in made.items()}, rounds),
        "inference, ms": medians({name: infer for name, (_, infer, _) in made.items()}, rounds),
        "memory, MiB": {name: memory(name) for name in names},
    }
    table(columns, names, others)


if __name__ == "__main__":
    main()
