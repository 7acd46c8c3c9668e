"""What online rules cost: `python tests/bench/bench_online.py [cost | memory] [--net mlp | vgg] [--rounds N]`.

- `cost`: CPU time of a step of OTTT and Approx OTPE on one thread, over that of a forward pass and a backward pass
  within the step by autograd, which is what any rule with an error has to do; 1.2 at most. Rounds alternate, figures
  are medians; compilation is left out. Other libraries are measured beside them on the same weights and inputs, and
  should take no less time (`online_peers.py` says what differs); the outputs of the first step are compared.
- `memory`: highest resident size above that after import and build, as `seamount study memory` has it: at T = 200 at
  most 1.1 times that at T = 10, of BPTT linear in T. Other libraries, at the shortest length, should take no less.

Networks are those of `seamount_models.online.memory`: `mlp` 700-512-512-20 at batch 64, `vgg` the VGG (sWS) of the OTTT
paper on 32 x 32 x 3 at batch 8. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import online_peers
import torch
from torch import Tensor, nn

import seamount as sm
from seamount_models import online
from seamount_models.online.losses import cross_entropy
from seamount_models.online.memory import LENGTHS, LOADS, peak, peaks

OURS: dict[str, Callable[[nn.Module], Any]] = {"OTTT": online.OTTT, "ApproxOTPE": online.ApproxOTPE}
BASE = "within the step"
STEPS = 10


class WithinTheStep:
    """The least that a rule with an error has to do: forward and backward within each step, by autograd."""

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.states: dict[int, tuple] = {}

    def step(self, x: Tensor, labels: Tensor) -> Tensor:
        for i, module in enumerate(self.net):
            if isinstance(module, sm.nn.Neuron):
                x, state = module.step(x, self.states.get(i))
                self.states[i] = tuple(s.detach() for s in state)
            else:
                x = x.flatten(1) if isinstance(module, nn.Flatten) else module(x)
        cross_entropy(x, labels).backward()
        return x.detach()

    def reset(self) -> None:
        self.states = {}


def cost(net: str, rounds: int) -> list[bool]:
    """Print milliseconds a step; returns which goals are met."""
    torch.set_num_threads(1)
    load, peers = LOADS[net], online_peers.installed(net)
    learners = {name: make(load.build()) for name, make in ({BASE: WithinTheStep} | OURS | peers).items()}
    data = list(load.inputs(STEPS))
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    outputs: dict[str, Tensor] = {}
    for number in range(rounds + 1):
        for name, learner in learners.items():
            learner.reset()
            start = time.process_time()
            for x, labels in data:
                outputs.setdefault(name, learner.step(x, labels))  # those of the first step
            if number:  # the first round compiles what is compiled
                seconds[name].append((time.process_time() - start) / STEPS)
    ms = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    for name, value in ms.items():
        differing = (outputs[name] - outputs[BASE]).abs().gt(1e-3).float().mean()
        print(f"{name:22} {value:9.2f} ms a step  {value / ms[BASE]:6.2f} of {BASE}; {differing:.1%} of outputs differ")
    goals = [goal(f"{name} over {BASE}", ms[name] / ms[BASE], 1.2) for name in OURS]
    return goals + [goal(f"OTTT over {name}", ms["OTTT"] / ms[name], 1.0) for name in peers]


def memory(net: str, lengths: list[int]) -> list[bool]:
    """Print MiB at each length; returns which goals are met."""
    found: dict[str, list[float]] = {}
    for row in peaks([net], (*OURS, "BPTT"), lengths):
        found.setdefault(row["rule"], []).append(float("nan") if row["mib"] is None else row["mib"])
        print(f"{row['rule']:22} T = {row['steps']:4} {found[row['rule']][-1]:9.1f} MiB", flush=True)
    peers = {name: peak(make, LOADS[net], lengths[0]) for name, make in online_peers.installed(net).items()}
    for name, mib in peers.items():
        print(f"{name:22} T = {lengths[0]:4} {mib:9.1f} MiB", flush=True)
    ends = f"T = {lengths[-1]} over T = {lengths[0]}"
    goals = [goal(f"{name}, {ends}", found[name][-1] / found[name][0], 1.1) for name in OURS]
    slopes = [
        (found["BPTT"][i + 1] - found["BPTT"][i]) / (lengths[i + 1] - lengths[i]) for i in range(len(lengths) - 1)
    ]
    print("BPTT, MiB a step between lengths: " + ", ".join(f"{slope:.2f}" for slope in slopes))
    goals.append(goal("BPTT, largest over smallest of these", max(slopes) / min(slopes), 1.2))
    return goals + [goal(f"OTTT over {name}", found["OTTT"][0] / mib, 1.0) for name, mib in peers.items() if mib]


def goal(what: str, value: float, limit: float) -> bool:
    met = value <= limit
    print(f"{what}: {value:.3f}, at most {limit}: {'met' if met else 'missed'}")
    return met


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "memory"], nargs="?", default="cost")
    parser.add_argument("--net", choices=list(LOADS), default="mlp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS))
    given = parser.parse_args()
    print("load", os.getloadavg(), flush=True)
    met = cost(given.net, given.rounds) if given.what == "cost" else memory(given.net, given.lengths)
    sys.exit(not all(met))
