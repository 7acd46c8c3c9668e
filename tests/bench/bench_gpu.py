"""What one kernel gains over a loop of tensors on a GPU: `python tests/bench/bench_gpu.py`.

Populations of 512 LIF neurons, T = 100, batch 64 and 512, forward and backward; medians of 20 rounds.
"""

from __future__ import annotations

import statistics

import torch

import seamount as sm
from seamount.nn import kernels


def milliseconds(population: sm.nn.Neuron, a: torch.Tensor) -> float:
    """Of a forward and a backward pass."""
    times = []
    for _ in range(25):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        population(a).sum().backward()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[5:])


def main() -> None:
    if not torch.cuda.is_available():
        print("no GPU: nothing to measure.")
        return
    choose = kernels.fused
    for name, population in {"LIF": sm.nn.LIF(0.9), "CubaLIF": sm.nn.CubaLIF(0.5, 0.9)}.items():
        for batch in (64, 512):
            a = torch.rand(100, batch, 512, device="cuda", requires_grad=True)
            one = milliseconds(population.cuda(), a)
            kernels.fused = lambda spec, a: None
            loop = milliseconds(population, a)
            kernels.fused = choose
            print(f"{name}, batch {batch}: {one:.2f} ms, {one / loop:.3f} of the loop of tensors ({loop:.2f} ms)")


if __name__ == "__main__":
    main()
