"""What online rules cost: `python tests/bench/bench_online.py [cost | memory] [--net mlp | vgg] [--rounds N]`.

- `cost`: CPU time of a step of OTTT and Approx OTPE on one thread, over that of a forward pass and a backward pass
  within the step by autograd, which is what any rule with an error has to do. Rounds alternate, figures are medians.
  SpikingJelly's OTTT (`OTTTSequential`, `OTTTLIFNode`) is measured beside them; its first connection learns from the
  input itself and keeps no trace of it.
- `memory`: highest resident size while a sample is learned, above what the process held after import, build and one
  step, at several lengths; each in a process of its own. Input is drawn step by step, so that it does not count.

Networks: `mlp` 700-512-512-20 at batch 64, `vgg` the VGG (sWS) of the OTTT paper on 32 x 32 x 3 at batch 8.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import seamount as sm
from seamount_models import networks, online
from seamount_models.online.losses import cross_entropy

BETA = 0.5
RULES: dict[str, Callable] = {"OTTT": online.OTTT, "ApproxOTPE": online.ApproxOTPE}
NETS = {"mlp": ((700,), 20, 64, 0.05), "vgg": ((3, 32, 32), 10, 8, 0.5)}
"""Shape, classes, batch and share of active inputs."""
LENGTHS = (10, 50, 200)


def build(net: str) -> nn.Sequential:
    lif = sm.nn.LIF(BETA)
    if net == "mlp":
        return networks.mlp((700, 512, 512, 20), lif, seed=0)
    return networks.vgg((3, 32, 32), 10, lif, readout=sm.nn.LI(BETA), seed=0)


def inputs(net: str, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    shape, classes, batch, rate = NETS[net]
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (batch,), generator=generator)
    for _ in range(steps):
        yield (torch.rand(batch, *shape, generator=generator) < rate).float(), labels


def sequence(net: str, steps: int) -> tuple[Tensor, Tensor]:
    """`inputs` as `[T, B, ...]` and `[T, B]`."""
    x, labels = zip(*inputs(net, steps), strict=True)
    return torch.stack(x), torch.stack(labels)


class WithinTheStep:
    """The least that a rule with an error has to do: forward and backward within each step, by autograd."""

    def __init__(self, net: nn.Sequential) -> None:
        self.net = net
        self.states: dict[int, tuple] = {}

    def step(self, x: Tensor, labels: Tensor) -> None:
        for i, module in enumerate(self.net):
            if isinstance(module, sm.nn.Neuron):
                x, state = module.step(x, self.states.get(i))
                self.states[i] = tuple(s.detach() for s in state)
            else:
                x = x.flatten(1) if isinstance(module, nn.Flatten) else module(x)
        cross_entropy(x, labels).backward()

    def reset(self) -> None:
        self.states = {}


class SpikingJelly:
    """OTTT of SpikingJelly on the same dense network."""

    def __init__(self, net: nn.Sequential) -> None:
        from spikingjelly.activation_based import functional, layer, neuron, surrogate

        def lif() -> nn.Module:
            options = {"decay_input": False, "v_reset": None, "surrogate_function": surrogate.ATan()}
            return neuron.OTTTLIFNode(tau=1 / (1 - BETA), **options)

        parts: list[nn.Module] = []
        for module in net:
            parts.append(module if isinstance(module, nn.Linear) else lif())
        self.net, self.clean = layer.OTTTSequential(*parts), functional.reset_net

    def step(self, x: Tensor, labels: Tensor) -> None:
        out = self.net(x)
        cross_entropy(out[0] if isinstance(out, list) else out, labels).backward()

    def reset(self) -> None:
        self.clean(self.net)


def cost(net: str, rounds: int, steps: int = 10) -> None:
    torch.set_num_threads(1)
    cases: dict[str, Callable] = {"within the step": WithinTheStep, **RULES}
    if net == "mlp":
        cases["SpikingJelly OTTT"] = SpikingJelly
    learners = {name: make(build(net)) for name, make in cases.items()}
    data = list(inputs(net, steps))
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for number in range(rounds + 1):
        for name, learner in learners.items():
            learner.reset()
            start = time.process_time()
            for x, labels in data:
                learner.step(x, labels)
            if number:  # the first round compiles what is compiled
                seconds[name].append((time.process_time() - start) / steps)
    base = statistics.median(seconds["within the step"])
    for name, values in seconds.items():
        value = statistics.median(values)
        print(f"{name:20} {1000 * value:9.2f} ms a step  {value / base:6.2f} of a forward and backward within the step")


def memory(net: str) -> None:
    for name in (*RULES, "BPTT"):
        for steps in LENGTHS:
            command = [sys.executable, __file__, "peak", "--net", net, "--rule", name, "--steps", str(steps)]
            print(f"{name:12} T = {steps:4}  {subprocess.check_output(command, text=True).strip()} MiB", flush=True)


def peak(net: str, rule: str, steps: int) -> None:
    torch.set_num_threads(1)
    model = build(net)
    if rule == "BPTT":
        learner = online.BPTT(model)
        learner.sample(*sequence(net, 1))
    else:
        learner = RULES[rule](model)
        learner.step(*next(inputs(net, 1)))
    learner.reset()
    held = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident size counts from here
    if rule == "BPTT":
        learner.sample(*sequence(net, steps))
    else:
        for x, labels in inputs(net, steps):
            learner.step(x, labels)
    print(f"{(resident('VmHWM') - held) / 1024:.1f}")


def resident(what: str) -> int:
    """KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "memory", "peak"], nargs="?", default="cost")
    parser.add_argument("--net", choices=list(NETS), default="mlp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rule", default="OTTT", help="of `peak`, which `memory` calls")
    parser.add_argument("--steps", type=int, default=10, help="of `peak`")
    given = parser.parse_args()
    if given.what == "cost":
        cost(given.net, given.rounds)
    elif given.what == "memory":
        memory(given.net)
    else:
        peak(given.net, given.rule, given.steps)
