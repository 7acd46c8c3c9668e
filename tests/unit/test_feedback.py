"""Feedback from a population to an earlier one: in torch, as a graph, quantized, and on the chip's clock."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import LoweringError, PassError, UnsupportedNodeError
from seamount.nn import Delayed, Feedback
from seamount.passes.schedule import schedule


def lif(reset="subtract"):
    return sm.nn.LIF(beta=0.8, reset=reset)


def linear(inputs, outputs, gain=3.0):
    module = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(module.weight, 0, gain / inputs)
    return module


def plain(delay=1):
    """Two populations in a loop."""
    return Feedback(nn.Sequential(lif(), linear(6, 5), lif()), linear(5, 6), delay)


class Loop(nn.Module):
    """All that a body may hold: a delay, recurrence, a skip, feedback within."""

    def __init__(self, delay: int, reset: str) -> None:
        super().__init__()
        inner = Feedback(nn.Sequential(lif(reset), linear(6, 7), lif(reset)), Delayed(linear(7, 6), 1), 2)
        self.first = lif(reset)
        self.late, self.inner = Delayed(linear(8, 6), 1), inner
        self.on, self.skip = linear(7, 5), linear(8, 5)
        self.last = sm.nn.Recurrent(lif(reset), linear(5, 5))

    def forward(self, a):
        s = self.first(a)
        return self.last(self.on(self.inner(self.late(s))) + self.skip(s))


def network(delay, reset="subtract"):
    torch.manual_seed(0)
    loop = Feedback(Loop(delay, reset), nn.Sequential(nn.Dropout(0.5), linear(5, 8)), delay)
    net = nn.Sequential(nn.Linear(4, 8), loop, linear(5, 3), sm.nn.LI(beta=0.9)).eval()
    nn.init.normal_(net[0].weight, 0, 0.8)
    return net, (torch.rand(20, 4, 4) < 0.4).to(torch.uint8)


def by_hand(feedback, x):
    """The definition, step by step."""
    states, sent = {}, []
    for t, a in enumerate(x):
        s = a + feedback.connection(sent[t - feedback.delay]) if t >= feedback.delay else a
        for k, module in enumerate(feedback.body):
            s, states[k] = module.step(s, states.get(k)) if isinstance(module, sm.nn.Neuron) else (module(s), None)
        sent.append(s)
    return torch.stack(sent)


@pytest.mark.parametrize("delay", [1, 2, 5])
def test_it_is_its_definition_with_its_gradients(delay):
    torch.manual_seed(0)
    feedback = plain(delay)
    x = (2 * torch.rand(11, 3, 6)).requires_grad_()
    found = []
    for forward in (feedback, lambda x: by_hand(feedback, x)):
        out = forward(x)
        loss = (out * torch.linspace(0, 1, out.numel()).view_as(out)).sum()
        found.append([out.detach(), *torch.autograd.grad(loss, [x, *feedback.parameters()])])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want)
    assert 0.05 < found[0][0].mean() < 0.9


def test_a_delay_longer_than_the_sequence_feeds_nothing_back():
    torch.manual_seed(0)
    feedback, x = plain(20), 2 * torch.rand(11, 3, 6)
    torch.testing.assert_close(feedback(x), feedback.body(x))


@pytest.mark.parametrize("delay", [1, 3, 7])
def test_chunks_that_carry_give_the_whole(delay):
    torch.manual_seed(0)
    net, x = network(delay)
    whole = net(x.float())
    with sm.nn.carrying(net):
        parts = [net(part.float()) for part in x.split(4)]
        assert not net[1].carried.requires_grad
        assert not net[1].body.last.neuron.carried[0].requires_grad
    torch.testing.assert_close(torch.cat(parts), whole)
    torch.testing.assert_close(net(x.float()), whole)


@pytest.mark.parametrize("delay", [1, 6])
def test_the_float_graph_is_the_network(delay):
    net, x = network(delay)
    graph = sm.lower(net)
    assert graph["1.body.first"].inputs == ("0", "1.connection.1")
    assert graph["1.connection.1"].inputs == ("1.body.last",)
    assert graph["1.connection.1"].delay == delay
    assert graph["1.body.inner.connection.connection"].delay == 3
    with sm.nn.recording(net.double()) as populations, torch.no_grad():
        net(x.double())
    result = sm.compile(graph, "reference").run(x, record=["spikes", "v"])
    assert set(result.v) == set(populations)
    for name, population in populations.items():
        np.testing.assert_allclose(result.v[name], population.recorded_v, atol=1e-9)
    for name, spikes in result.spikes.items():
        np.testing.assert_array_equal(spikes, populations[name].recorded_spikes)
        assert 0.01 < spikes.mean() < 0.9


@pytest.mark.parametrize(("bits", "reset"), [(8, "subtract"), (4, "zero")])
def test_quantized_it_is_its_graph_on_every_target(bits, reset):
    net, x = network(6, reset)
    qnet = sm.quantize(net, weight_bits=bits, calibration=x)
    optimizer = torch.optim.Adam(qnet.parameters(), lr=5e-2)
    before = sm.lower(qnet)
    for _ in range(2):
        optimizer.zero_grad()
        (qnet(x.float()) - torch.rand(20, 4, 3)).square().mean().backward()
        optimizer.step()
    graph = sm.lower(qnet)
    was, now = (g.of_type(sm.ir.Connection) for g in (before, graph))
    assert all((a.weight != b.weight).any() for a, b in zip(was, now, strict=True))
    sm.verify(graph, ["reference", qnet, "onnxruntime", "loihi2"], x).check()


def test_on_lava():
    pytest.importorskip("lava")
    net, x = network(6)
    sm.verify(sm.lower(sm.quantize(net, calibration=x)), ["reference", "lava"], x[:, :2]).check()


def test_the_clock_of_a_chip_says_which_delay_would_do():
    graph = sm.lower(network(1)[0])
    with pytest.raises(
        PassError, match=r"^1\.connection\.1: delay 1 is shorter than its path .* delay=(\d) would do"
    ) as e:
        schedule(graph)
    (needed,) = map(int, re.findall(r"delay=(\d)", str(e.value)))
    assert schedule(sm.lower(network(needed)[0])).extra["1.connection.1"] == 0


def test_chips_and_their_emulator_refuse_what_only_canonical_time_can_run():
    net, x = network(1)
    graph = sm.lower(sm.quantize(net, calibration=x))
    sm.verify(graph, ["reference", "onnxruntime"], x).check()
    with pytest.raises(PassError, match=r"^1\.connection\.1: delay 1 is shorter than its path .* would do"):
        sm.compile(graph, "loihi2")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Feedback(lif(), linear(6, 6), 0), sm.SeamountError, r"^Feedback: delay = 0 \(allowed 1 or more\)"),
        (lambda: Feedback(lif(), nn.Linear(6, 6)), sm.SeamountError, r"^Feedback: its connection has a bias"),
        (
            lambda: Feedback(nn.Sequential(sm.nn.BatchNorm1d(6), lif()), linear(6, 6)),
            UnsupportedNodeError,
            r"^1: its body does not begin with a neuron",
        ),
        (lambda: Feedback(nn.Identity(), linear(6, 6)), LoweringError, r"^1\.body: returns synaptic input"),
        (lambda: Feedback(lif(), nn.Identity()), LoweringError, r"^1\.connection: reads spikes, not"),
        (
            lambda: Feedback(nn.Sequential(lif(), nn.ReLU()), linear(6, 6)),
            UnsupportedNodeError,
            r"^1\.body\.1: ReLU cannot be lowered",
        ),
    ],
)
def test_what_it_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        sm.lower(nn.Sequential(linear(6, 6), make()))
