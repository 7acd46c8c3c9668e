"""How much memory learning takes, against the number of steps: each measurement in a process of its own.

The figure is the highest resident size of the process while a sample is learned, above what it held after import and
build. It has the gradients, states and traces; what is compiled on the first step; and what the allocator keeps. Input
is drawn step by step, so that a rule that learns by steps does not hold it; BPTT has to, and its input counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numba
import torch
from torch import Tensor, nn

import seamount as sm
from seamount.errors import SeamountError
from seamount_models import networks, online

BETA = 0.5
RULES: dict[str, Callable[..., Any]] = {
    "OTTT": online.OTTT,
    "ApproxOTPE": online.ApproxOTPE,
    "BPTT": online.BPTT,
}
"""The rules of O(n) that the papers measure, and what grows with T."""
LENGTHS = (10, 50, 200)


@dataclass(frozen=True)
class Load:
    """A network and what it learns.

    Args:
        shape, classes: of a sample.
        batch: samples at a time.
        active: share of inputs that are 1.
        gain: of the weights, for hidden populations of which 5 to 20 % fire, as after training.
        processes: whose median a figure is; one process may differ by some MiB, which counts where that is all.
    """

    shape: tuple[int, ...]
    classes: int
    batch: int
    active: float
    gain: float
    processes: int = 1

    def build(self) -> nn.Sequential:
        """The network: dense, or the VGG (sWS) of the OTTT paper."""
        lif = sm.nn.LIF(BETA)
        if len(self.shape) == 1:
            net = networks.mlp((*self.shape, 512, 512, self.classes), lif, seed=0)
        else:
            net = networks.vgg(self.shape, self.classes, lif, readout=sm.nn.LI(BETA), seed=0)  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(self.gain)
        return net

    def inputs(self, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Input `[B, ...]` of each step, with labels `[B]`."""
        generator = torch.Generator().manual_seed(0)
        labels = torch.randint(self.classes, (self.batch,), generator=generator)
        for _ in range(steps):
            yield (torch.rand(self.batch, *self.shape, generator=generator) < self.active).float(), labels


LOADS = {"mlp": Load((700,), 20, 64, 0.05, 1.5, processes=5), "vgg": Load((3, 32, 32), 10, 8, 0.5, 1.0)}
"""`mlp` is 700-512-512-20 at batch 64; `vgg` reads 32 x 32 x 3, at the paper's batch 8."""


def peaks(
    loads: Sequence[str], rules: Sequence[str] = tuple(RULES), lengths: Sequence[int] = LENGTHS
) -> Iterator[dict[str, Any]]:
    """Measure every rule on every load at every length.

    Yields:
        Rows: `net`, `rule`, `steps`, `mib` (as of `peak`).
    """
    for load in loads:
        for rule in rules:
            for steps in lengths:
                yield {"net": load, "rule": rule, "steps": steps, "mib": peak(RULES[rule], LOADS[load], steps)}


def peak(rule: Callable[[nn.Module], Any], load: Load, steps: int) -> float | None:
    """Highest resident size of a process while a rule learns a sample, above import and build, MiB; median of several.

    Args:
        rule: makes of the network what has `step(x, labels)`, or of BPTT's kind; a name in a module, not a lambda.
        load: what is learned.
        steps: T.

    Returns:
        MiB; None where the machine has no room for it.

    Raises:
        SeamountError: not on Linux; or the process was ended.
    """
    found = []
    for _ in range(load.processes):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                found.append(pool.submit(_peak, rule, load, steps).result())
            except BrokenProcessPool as error:
                raise SeamountError(
                    f"memory: T = {steps}: the measuring process was ended. Hint: fewer steps."
                ) from error
    return None if None in found else median(found)


def _peak(rule: Callable[[nn.Module], Any], load: Load, steps: int) -> float | None:
    torch.set_num_threads(1)
    numba.njit(_same)(0)  # the first compilation imports most of Numba
    learner = rule(load.build())
    held = _count_from_here()
    try:
        if isinstance(learner, online.BPTT):
            x, labels = torch.empty(steps, load.batch, *load.shape), torch.empty(steps, load.batch, dtype=torch.int64)
            for t, step in enumerate(load.inputs(steps)):
                x[t], labels[t] = step
            learner.sample(x, list(labels))
        else:
            for x, labels in load.inputs(steps):
                learner.step(x, labels)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return None
        raise
    return (_kib("/proc/self/status", "VmHWM") - held) / 1024


def _same(x: int) -> int:
    return x


def _count_from_here() -> int:
    """Let the highest resident size count from here, and give no more than there is; returns the size now, KiB."""
    try:
        import resource  # not on Windows

        Path("/proc/self/clear_refs").write_text("5")
        room = 1024 * (_kib("/proc/self/status", "VmData") + _kib("/proc/meminfo", "MemAvailable"))
        resource.setrlimit(resource.RLIMIT_DATA, (room, room))
        return _kib("/proc/self/status", "VmRSS")
    except (ImportError, OSError) as error:
        raise SeamountError(f"memory: {error}. Hint: measured by /proc, which only Linux has.") from error


def _kib(file: str, what: str) -> int:
    lines = Path(file).read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])
