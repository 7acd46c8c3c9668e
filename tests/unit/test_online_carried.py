"""The compiled pass over eligibilities against torch's own operations: the same system, two ways of taking its step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracle import SLOPE, by_rule, lif
from torch import nn

import seamount as sm
from seamount_models import online
from seamount_models.online import carried

CLASSES, STEPS = 4, 6
SURROGATE = sm.nn.FastSigmoid(SLOPE)
NEURONS = {
    "lif": lambda: lif(0.9),
    "zero": lambda: lif(0.8, reset="zero"),
    "current": lambda: sm.nn.CubaLIF(0.7, 0.9, surrogate=SURROGATE),
    "adaptive": lambda: sm.nn.ALIF(0.9, 0.95, surrogate=SURROGATE),
    "refractory": lambda: sm.nn.RefractoryLIF(0.9, refractory=2, surrogate=SURROGATE),
}


def network(hidden: Any, output: Any, *, conv: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    if conv:
        layers = [sm.nn.Conv2d(2, 3, 3, padding=1), sm.nn.SumPool2d(2), hidden, sm.nn.Flatten(), nn.Linear(12, CLASSES)]
    else:
        bias = type(hidden) is not sm.nn.CubaLIF  # a bias may not pass through its current
        layers = [nn.Linear(9, 7, bias=bias), hidden, nn.Linear(7, CLASSES, bias=False)]
    return drawn(nn.Sequential(*layers, output))


def drawn(net: nn.Sequential) -> nn.Sequential:
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0.2, 0.5)
    return net


def data(dtype, shape=(9,), batch=3):
    x = (torch.rand(STEPS, batch, *shape, generator=torch.Generator().manual_seed(1)) < 0.5).to(dtype)
    return x, torch.randint(0, CLASSES, (STEPS, batch), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, int]]:
    """The compiled passes that are asked for."""
    found, made = [], carried._pass
    monkeypatch.setattr(carried, "_pass", lambda *kind: found.append(kind) or made(*kind))
    return found


def compare(rule, x, y, monkeypatch, calls) -> None:
    by_rule(rule, x[:, :1], y[:, :1])  # what it leaves behind is forgotten, whatever its size
    got = by_rule(rule, x, y)
    assert len(calls) == 2 * STEPS * len(rule.factors)
    with monkeypatch.context() as patch:
        patch.setattr(carried, "COMPILED", ())
        want = by_rule(rule, x, y)
    assert len(calls) == 2 * STEPS * len(rule.factors)
    assert all(float(g.norm()) > 0 for g in want.values())
    for name, gradient in want.items():
        torch.testing.assert_close(got[name], gradient)


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ostl_of_any_neuron(name, dtype, monkeypatch, calls):
    net = network(NEURONS[name](), NEURONS[name]()).to(dtype)
    compare(online.OSTL(net), *data(dtype), monkeypatch, calls)


@pytest.mark.parametrize("name", ["lif", "current"])
@pytest.mark.parametrize("rule", [online.OTPE, online.FOTPE])
def test_otpe_with_the_next_populations_response(rule, name, monkeypatch, calls):
    net = network(NEURONS["adaptive"](), NEURONS[name]())
    compare(rule(net), *data(torch.float32), monkeypatch, calls)


def test_eprop_and_superspike(monkeypatch, calls):
    readout = network(NEURONS["adaptive"](), sm.nn.LI(0.9))
    compare(online.EProp(readout), *data(torch.float32), monkeypatch, calls)
    calls.clear()
    x, y = data(torch.float32)
    targets = nn.functional.one_hot(y, CLASSES).float()
    compare(online.SuperSpike(network(lif(0.9), lif(0.9))), x, targets, monkeypatch, calls)


def test_convolutions_whose_weights_are_shared(monkeypatch, calls):
    net = network(lif(0.9), lif(0.8), conv=True)
    compare(online.OTPE(net), *data(torch.float32, (2, 4, 4)), monkeypatch, calls)


def test_parts_in_threads_are_the_whole(monkeypatch):
    net = network(lif(0.9), lif(0.8))
    x, y = data(torch.float32)
    whole = by_rule(online.OTPE(net), x, y)
    threads = torch.get_num_threads()
    monkeypatch.setattr(carried, "SHARE", 1)
    try:
        torch.set_num_threads(3)
        parts = by_rule(online.OTPE(net), x, y)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(parts[name], gradient) for name, gradient in whole.items())


def test_precisions_that_are_not_compiled(calls):
    x, y = data(torch.bfloat16)
    gradients = by_rule(online.OSTL(network(lif(0.9), lif(0.8)).bfloat16()), x, y)
    assert not calls
    assert all(g.dtype == torch.bfloat16 and float(g.norm()) > 0 for g in gradients.values())


def test_before_feedback_arrives_it_has_done_nothing():
    torch.manual_seed(0)
    body = nn.Sequential(lif(0.9), nn.Linear(6, 5, bias=False), lif(0.9))
    back = sm.nn.Feedback(body, nn.Linear(5, 6, bias=False), delay=2)
    net = drawn(nn.Sequential(nn.Linear(9, 6), back, nn.Linear(5, CLASSES, bias=False), sm.nn.LI(0.9)))
    rule = online.EProp(net, feedback=online.Direct())
    x, y = data(torch.float32)
    got = by_rule(rule, x, y)
    net.zero_grad()
    rule.reset()
    for past in rule.network.past.values():
        past.extend(torch.zeros(3, 5) for _ in range(2))
    for step in zip(x, y, strict=True):
        rule.step(*step)
    assert all(float(g.norm()) > 0 for g in got.values())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad)
