"""Recurrent populations: one kernel, the loop of tensors and the loop of steps are the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.nn import kernels

STEPS, BATCH, SIZE = 40, 6, 12
KERNEL, TENSORS = 0, 1 << 40
"""Sizes from which a kernel is taken: always, never."""
NEURONS = {
    "CubaLIF": lambda: sm.nn.CubaLIF(torch.linspace(0.3, 0.8, SIZE), 0.9, learn="alpha", detach_reset=True),
    "ALIF": lambda: sm.nn.ALIF(0.9, 0.95, adaptation=1.8, learn=("beta", "vth")),
    "TernaryLIF": lambda: sm.nn.TernaryLIF(0.9, reset="zero"),
}
CONNECTIONS = {
    "dense": lambda: nn.Linear(SIZE, SIZE, bias=False),
    "one to one": lambda: sm.nn.OneToOne(SIZE, -0.4),
    "biased": lambda: nn.Linear(SIZE, SIZE),
}


def by_step(population, x: torch.Tensor) -> torch.Tensor:
    """`s[t] = neuron(x[t] + connection(s[t-1]))`, which autograd differentiates step by step."""
    s, state, spikes = torch.zeros_like(x[0]), None, []
    for a in x:
        s, state = population.neuron.step(a + population.connection(s), state)
        spikes.append(s)
    return torch.stack(spikes)


def gradients(population: nn.Module, run: Callable, x: torch.Tensor) -> tuple[torch.Tensor, list]:
    out = run(x)
    (out * torch.linspace(-1, 1, out.numel(), dtype=x.dtype).view_as(out)).sum().backward()
    found = [x.grad, *(p.grad for p in population.parameters())]
    x.grad = None
    population.zero_grad()
    return out.detach(), found


@pytest.mark.parametrize(
    ("name", "connection"),
    [pytest.param(name, connection, marks=() if "CubaLIF" in name or "dense" in connection else pytest.mark.slow)
     for name in NEURONS for connection in CONNECTIONS],
)  # fmt: skip
def test_every_way_to_run_it_is_the_loop_of_its_steps(name, connection, monkeypatch):
    torch.manual_seed(0)
    population = sm.nn.Recurrent(NEURONS[name](), CONNECTIONS[connection]()).double()
    x = torch.randn(STEPS, BATCH, SIZE, dtype=torch.float64).requires_grad_()
    want, wanted = gradients(population, lambda x: by_step(population, x), x)
    assert 0.02 < want.abs().mean() < 0.9
    assert all(bool(g.any()) for g in wanted)
    for size in (KERNEL, TENSORS):
        monkeypatch.setattr(kernels, "FUSED", size)
        out, found = gradients(population, population, x)
        assert torch.equal(out, want)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("bits", "size"), [pytest.param(8, KERNEL, marks=pytest.mark.slow), (3, TENSORS)], ids=["kernel", "tensors"]
)
def test_the_quantized_population_is_the_graph_and_its_gradient_the_loops(bits, size, monkeypatch):
    monkeypatch.setattr(kernels, "FUSED", size)
    torch.manual_seed(bits)
    net = nn.Sequential(
        nn.Linear(20, SIZE, bias=False), sm.nn.Recurrent(sm.nn.ALIF(0.9, 0.95, adaptation=0.5), nn.Linear(SIZE, SIZE)),
        nn.Linear(SIZE, SIZE, bias=False), sm.nn.Recurrent(sm.nn.LIF(0.8, 0.5), nn.Linear(SIZE, SIZE, bias=False)),
        nn.Linear(SIZE, 5, bias=False), sm.nn.LI(0.9),
    )  # fmt: skip
    with torch.no_grad():
        for layer, gain in ((net[0], 8), (net[2], 4)):
            layer.weight.mul_(gain)  # type: ignore[operator]
    x = (torch.rand(STEPS, BATCH, 20) < 0.3).float()
    qnet = sm.quantize(net, weight_bits=bits, calibration=x.to(torch.uint8))
    with sm.nn.recording(qnet) as found:
        sm.verify(sm.lower(qnet), ["reference", qnet], x.to(torch.uint8)).check()
    rates = [float(p.recorded_spikes.mean()) for p in found.values() if p.spiking and p.recorded_spikes is not None]
    assert len(rates) == 2
    assert 0.01 < min(rates) <= max(rates) < 0.9
    *front, last = list(qnet.children())[:4]
    heard = nn.Sequential(*front)(x).detach().requires_grad_()
    want, wanted = gradients(last, lambda x: by_step(last, x), heard)
    out, got = gradients(last, last, heard)
    assert torch.equal(out, want)
    for a, b in zip(got, wanted, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_chunks_carry_state_and_spikes(monkeypatch):
    torch.manual_seed(0)
    population = sm.nn.Recurrent(sm.nn.CubaLIF(0.6, 0.9), nn.Linear(SIZE, SIZE, bias=False))
    x = torch.randn(STEPS, BATCH, SIZE)
    for size in (KERNEL, TENSORS):
        monkeypatch.setattr(kernels, "FUSED", size)
        with sm.nn.carrying(population):
            chunks = torch.cat([population(part) for part in x.split(7)])
        assert torch.equal(chunks, population(x))
