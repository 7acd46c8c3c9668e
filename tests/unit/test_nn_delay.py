"""Delays that learn: against loops and DCLS's convolution, on every target, and what they are good for."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional

import seamount as sm
from seamount_models import training
from seamount_models.encoders import AsIs
from seamount_models.splits import Dataset, Split

LONGEST = 5


def connection(axonal: bool, **options) -> sm.nn.DelayedLinear:
    torch.manual_seed(0)
    return sm.nn.DelayedLinear(4, 3, longest=LONGEST, axonal=axonal, **options).double()


def by_loops(module: sm.nn.DelayedLinear, x: torch.Tensor) -> torch.Tensor:
    out = []
    for o, row in enumerate(module.steps().tolist()):
        terms = [
            module.weight[o, i] * torch.cat([torch.zeros(d, x.shape[1]), x[..., i]])[: len(x)]
            for i, d in enumerate(row)
        ]
        out.append(torch.stack(terms).sum(0))
    return torch.stack(out, -1)


def by_convolution(module: sm.nn.DelayedLinear, x: torch.Tensor) -> torch.Tensor:
    """DCLS: a convolution over time with a Gaussian in the place of each delay."""
    lags = torch.arange(LONGEST + 1)
    distance = (lags - (module.position * LONGEST)[..., None]) / module.width
    gaussian = torch.exp(-distance.square() / 2)
    kernel = module.weight[..., None] * gaussian / gaussian.sum(-1, keepdim=True)
    line = functional.pad(x.permute(1, 2, 0), (LONGEST, 0))
    return functional.conv1d(line, kernel.flip(-1)).permute(2, 0, 1)


@pytest.mark.parametrize("axonal", [False, True])
def test_gradients_are_those_of_whole_steps_and_of_the_gaussian(axonal):
    module = connection(axonal, width=1.3)
    x = torch.randint(0, 2, (12, 2, 4)).double().requires_grad_()
    g = torch.randn(12, 2, 3, dtype=torch.double)
    out, want = module(x), by_loops(module, x)
    torch.testing.assert_close(out, want)
    assert len(module.steps().unique()) > 2
    for got, wanted in zip(*(torch.autograd.grad((y * g).sum(), [x, module.weight]) for y in (out, want)), strict=True):
        torch.testing.assert_close(got, wanted)
    got, wanted = (
        torch.autograd.grad((y * g).sum(), module.position)[0] for y in (module(x), by_convolution(module, x))
    )
    assert wanted.abs().min() > 0
    torch.testing.assert_close(got, wanted)


def test_chunks_continue_one_another():
    module, x = connection(False, bias=True), torch.rand(12, 2, 4).double()
    whole = module(x)
    with sm.nn.carrying(module):
        parts = torch.cat([module(part) for part in x.split(5)])
    torch.testing.assert_close(parts, whole)
    with torch.no_grad():
        torch.testing.assert_close(module(x), whole)


def test_positions_stay_between_no_delay_and_the_longest():
    module = connection(True)
    with torch.no_grad():
        module.position.copy_(torch.tensor([-0.3, 0.0, 0.5, 1.7]))
    assert module.steps()[0].tolist() == [0, 0, 2, LONGEST]
    module(torch.zeros(1, 1, 4).double())
    assert module.position.tolist() == [0.0, 0.0, 0.5, 1.0]


@pytest.mark.parametrize("axonal", [False, True])
def test_every_target_runs_them(axonal):
    torch.manual_seed(0)
    net = nn.Sequential(
        sm.nn.DelayedLinear(6, 8, longest=6, bias=True, axonal=axonal), sm.nn.LIF(0.8, 0.3),
        sm.nn.DelayedLinear(8, 3, longest=3, axonal=axonal), sm.nn.LIF(0.8, 0.2),
    )  # fmt: skip
    for module in (net[0], net[2]):
        nn.init.uniform_(module.weight, -0.2, 0.3)
    x = (torch.rand(20, 3, 6) < 0.3).to(torch.uint8)
    graph = sm.lower(net)
    delays = {c.delay for c in graph.connections if c.inputs == ("input",)}
    assert delays == set(net[0].steps().unique().tolist())
    out = net(x.float())
    assert 0.05 < out.mean() < 0.9
    assert (sm.compile(graph, "reference").run(x.numpy()).output == out.detach().numpy()).all()
    qnet = sm.quantize(net, calibration=x)
    optimizer = torch.optim.SGD(qnet.parameters(), 0.1)
    qnet(x.float()).sum().backward()
    optimizer.step()
    integers = sm.lower(qnet)
    assert sum(c.count((6,)) for c in integers.connections if c.inputs == ("input",)) <= 6 * 8
    assert (sm.compile(integers, "reference").run(x.numpy()).output == qnet(x.float()).detach().numpy()).all()
    targets = ["reference", "onnxruntime", "loihi2"]
    targets += ["lava"] if importlib.util.find_spec("lava") and not axonal else []
    sm.verify(integers, targets, x.numpy()).check()


def coincidences(samples: int, seed: int) -> Split:
    """A spike in each of 6 channels, 4 to 20 steps apart, in an order that is the class, at any time; and noise."""
    order = torch.Generator().manual_seed(5)
    offsets = torch.stack([4 * torch.randperm(6, generator=order) for _ in range(8)])
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 8, (samples,), generator=draw)
    begin = torch.randint(0, 19, (samples, 1), generator=draw)
    times = begin + offsets[y] + torch.randint(0, 2, (samples, 6), generator=draw)
    x = (torch.rand(samples, 40, 6, generator=draw) < 0.01).to(torch.uint8)
    x.scatter_(1, times[:, None], 1)
    return Split(name="coincidences", x=x, y=y, classes=8, steps=40, coding=AsIs())


@pytest.mark.slow
def test_delays_that_learn_detect_coincidences_that_others_cannot():
    """Each class has one integrator with a memory of 3 steps, so that only spikes that arrive together count."""
    data = Dataset(name="coincidences", train=coincidences(600, 1), test=coincidences(600, 2))
    loss, found = "max_membrane_cross_entropy", {}
    for kind in ("none", "given", "learnt"):
        torch.manual_seed(0)
        first = nn.Linear(6, 8, bias=False) if kind == "none" else sm.nn.DelayedLinear(6, 8, longest=20)
        if kind == "given":
            first.position.requires_grad_(False)
        nn.init.uniform_(first.weight, 0.2, 0.4)
        net = nn.Sequential(first, sm.nn.LI(0.7))
        training.fit(net, data, epochs=20, lr=2e-2, batch_size=50, loss=loss, threads=1, progress=False)
        found[kind] = training.evaluate(net, data.test, loss=loss).accuracy
    assert found["none"] < 0.5
    assert found["given"] < 0.8
    assert found["learnt"] > 0.9


def test_bad_arguments():
    with pytest.raises(sm.SeamountError, match=r"DelayedLinear: longest = 0, width = 1 \(allowed 1 or more, above 0\)"):
        sm.nn.DelayedLinear(2, 2, longest=0)
    with pytest.raises(sm.SeamountError, match=r"longest = 2, width = 0 "):
        sm.nn.DelayedLinear(2, 2, longest=2, width=0.0)
    too_long = nn.Sequential(sm.nn.DelayedLinear(2, 2, longest=63), sm.nn.LIF(0.9))
    nn.init.ones_(too_long[0].position)
    qnet = sm.quantize(too_long, calibration=torch.ones(2, 1, 2, dtype=torch.uint8))
    with pytest.raises(sm.SeamountError, match=r"0\.delay63\.connection: delay = 63 \(allowed 0..62\)"):
        sm.compile(sm.lower(qnet), "loihi2")
