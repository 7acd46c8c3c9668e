"""A quantized network's forward pass is the integer graph: before, during and after training."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seamount as sm


class Net(nn.Module):
    """Two ways into a recurrent CuBa population, biases on the LIF layer, and a readout of either kind."""

    def __init__(self, reset: str, readout: str, width: int) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(20, width), sm.nn.LIF(0.9, reset=reset)
        self.fc2, self.skip = nn.Linear(width, 25, bias=False), nn.Linear(20, 25, bias=False)
        self.rec = sm.nn.Recurrent(sm.nn.CubaLIF(0.6, 0.8, reset=reset), nn.Linear(25, 25, bias=False))
        self.readout = nn.Linear(25, 5, bias=False)
        self.out = sm.nn.LI(0.95, 0.2) if readout == "LI" else sm.nn.LIF(0.8, reset=reset, vth=torch.rand(5) + 0.5)
        with torch.no_grad():
            for layer in (self.fc1, self.fc2, self.skip, self.readout):
                layer.weight.mul_(4)
            self.rec.connection.weight.mul_(0.3)

    def forward(self, x):
        return self.out(self.readout(self.rec(self.fc2(self.lif1(self.fc1(x))) + self.skip(x))))


def check(qnet: nn.Module, x: torch.Tensor) -> None:
    sm.verify(sm.lower(qnet), ["reference", qnet], x).check()


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("readout", ["LIF", "LI"])
def test_equal_before_during_and_after_training(bits, per_channel, reset, readout):
    torch.manual_seed(bits)
    x = (torch.rand(20, 8, 20) < 0.25).to(torch.uint8)
    qnet = sm.quantize(Net(reset, readout, 30), weight_bits=bits, per_channel=per_channel, calibration=x)
    check(qnet, x)
    before = sm.lower(qnet)
    optimizer = torch.optim.Adam(qnet.parameters(), lr=1e-2)
    for _ in range(3):
        loss = (qnet(x).mean(0) - torch.rand(8, 5)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        check(qnet, x)
    check(qnet.eval(), x)
    check(copy.deepcopy(qnet), x)
    after = sm.lower(qnet)
    assert (before["fc1"].weight != after["fc1"].weight).any()
    assert all(0.01 < s.mean() < 0.9 for s in sm.compile(after, "reference").run(x, ["spikes"]).spikes.values())


@pytest.mark.parametrize(
    ("bits", "reset"),
    [(8, "zero"), pytest.param(3, "subtract", marks=pytest.mark.slow), pytest.param(5, "none", marks=pytest.mark.slow)],
)
def test_every_neuron_model_is_equal_during_training_and_on_the_targets(bits, reset, tmp_path):
    torch.manual_seed(bits)
    options = {"reset": reset, "learn": ("beta", "vth"), "surrogate": sm.nn.Sigmoid(2.0)}
    net = nn.Sequential(
        nn.Linear(20, 30, bias=False), sm.nn.RefractoryLIF(0.8, 0.6, alpha=0.3, refractory=2, **options),
        nn.Linear(30, 24), sm.nn.Recurrent(sm.nn.ALIF(torch.full((24,), 0.9), 0.97, 0.5, adaptation=2.0, **options),
                                           nn.Linear(24, 24, bias=False)),
        nn.Linear(24, 25), sm.nn.TernaryLIF(0.7, 0.4, **options),
        nn.Linear(25, 12, bias=False), sm.nn.IF(0.8, reset=reset, learn="vth"),
        nn.Linear(12, 5, bias=False), sm.nn.TernaryLIF(tau=5.0, vth=0.3, **options),
    )  # fmt: skip
    with torch.no_grad():
        for i in (0, 2, 4, 6, 8):
            net[i].weight.mul_(3)
    x = (torch.rand(25, 6, 20) < 0.3).to(torch.uint8)
    qnet = sm.quantize(net, weight_bits=bits, calibration=x)
    check(qnet, x)
    before = {name: p.detach().clone() for name, p in qnet.named_parameters() if name.endswith(("beta", "vth"))}
    assert len(before) == 9
    optimizer = torch.optim.Adam(qnet.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        (qnet(x).mean(0) - torch.rand(6, 5)).square().mean().backward()
        optimizer.step()
        check(qnet, x)
    assert all((p != before[name]).any() for name, p in qnet.named_parameters() if name in before)
    graph = sm.lower(qnet)
    report = sm.verify(graph, ["reference", "onnxruntime", "loihi2", qnet], x).check()
    rates = {name: (s != 0).mean() for name, s in report.results["reference"].spikes.items()}
    assert all(0.01 < rate < 0.99 for rate in rates.values()), rates
    assert report.results["reference"].output.dtype == "int8"
    sm.save(graph, tmp_path / "net.onnx")
    sm.verify(sm.load(tmp_path / "net.onnx"), ["reference", sm.compile(graph, "reference")], x).check()


class Valued(nn.Module):
    """Spikes that carry values into spiking, recurrent, sigma-delta and graded populations, beside spikes of 1."""

    def __init__(self) -> None:
        super().__init__()
        options = {"learn": ("beta", "vth"), "surrogate": sm.nn.Sigmoid(2.0)}
        self.fc1, self.graded = nn.Linear(20, 30), sm.nn.GradedLIF(0.8, 0.5, **options)
        self.fc2, self.skip = nn.Linear(30, 24, bias=False), nn.Linear(20, 24, bias=False)
        self.rec = sm.nn.Recurrent(sm.nn.GradedLIF(torch.full((24,), 0.7), 0.4, alpha=0.3, bits=7, **options),
                                   nn.Linear(24, 24, bias=False))  # fmt: skip
        self.fc3, self.resonant = nn.Linear(24, 25), sm.nn.ResonateAndFire(0.9, torch.rand(25) * 5 + 3, 0.2, **options)
        self.fc4 = nn.Linear(25, 12, bias=False)
        self.sigma = sm.nn.SigmaDelta(0.3, cumulative=True, bias=torch.rand(12) * 0.1, surrogate=sm.nn.Sigmoid(2.0))
        self.fc5, self.out = nn.Linear(12, 5, bias=False), sm.nn.SigmaDelta(0.2, activation="unit")
        with torch.no_grad():
            for layer in (self.fc1, self.fc2, self.skip, self.fc3, self.fc4, self.fc5):
                layer.weight.mul_(2.5)
            self.rec.connection.weight.mul_(0.5)

    def forward(self, x):
        values = self.graded(self.fc1(x))
        spikes = self.resonant(self.fc3(self.rec(self.fc2(values) + self.skip(x))))
        return self.out(self.fc5(self.sigma(self.fc4(spikes))))


@pytest.mark.parametrize(
    ("bits", "per_channel"), [(8, False), pytest.param(4, True, marks=pytest.mark.slow)], ids=["8", "4 by channel"]
)
def test_values_that_spikes_carry_are_equal_during_training_and_on_the_targets(bits, per_channel, tmp_path):
    torch.manual_seed(bits)
    net = Valued()
    x = (torch.rand(25, 6, 20) < 0.3).to(torch.uint8)
    qnet = sm.quantize(net, weight_bits=bits, per_channel=per_channel, calibration=x)
    pair = torch.stack([net(x.float()).flatten(), qnet(x.float()).flatten()])
    assert torch.corrcoef(pair.detach())[0, 1] > 0.3
    optimizer = torch.optim.Adam(qnet.parameters(), lr=1e-2)
    for _ in range(3):
        check(qnet, x)
        optimizer.zero_grad()
        (qnet(x).mean(0) - torch.rand(6, 5)).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in qnet.parameters() if p.requires_grad)
        optimizer.step()
    graph = sm.lower(copy.deepcopy(qnet))
    result = sm.verify(graph, ["reference", "onnxruntime", "loihi2", qnet], x).check().results["reference"]
    assert all(0.01 < (s != 0).mean() < 0.99 for s in result.spikes.values())
    assert (result.output.dtype, result.output.min() < 0) == ("int32", True)
    torch.testing.assert_close(qnet(x.float()), torch.tensor(result.output * result.output_scale).float())
    sm.save(graph, tmp_path / "net.onnx")
    sm.verify(sm.load(tmp_path / "net.onnx"), ["reference", sm.compile(graph, "reference")], x).check()


@settings(max_examples=25, deadline=None)
@given(
    bits=st.integers(2, 8),
    per_channel=st.booleans(),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 1000),
)
def test_equal_for_any_size_of_the_weights(bits, per_channel, reset, scale, seed):
    """Scaling weights and threshold together changes every integer's scale, and nothing of the equality."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(12, 9), sm.nn.LIF(0.85, vth=scale, reset=reset), nn.Linear(9, 4, bias=False), sm.nn.CubaLIF(0.5, 0.9)
    )
    with torch.no_grad():
        net[0].weight.mul_(3 * scale)
        net[0].bias.mul_(scale)
    x = (torch.rand(12, 3, 12) < 0.3).to(torch.uint8)
    check(sm.quantize(net, weight_bits=bits, per_channel=per_channel, calibration=x), x)


def test_step_by_step_equals_the_sequence():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 8, bias=False), sm.nn.CubaLIF(0.5, 0.9))
    x = (torch.rand(15, 4, 10) < 0.3).float()
    qnet = sm.quantize(net, calibration=x.to(torch.uint8))
    state, steps = None, []
    for s in x:
        out, state = qnet[1].step(qnet[0](s), state)
        steps.append(out)
    assert torch.equal(torch.stack(steps), qnet(x))


def test_gradient_is_that_of_the_float_shadow():
    """At 8 bits the gradient of the weights points where the float network's does."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 40, bias=False), sm.nn.LIF(0.9, surrogate=sm.nn.Sigmoid(1.0)),
                        nn.Linear(40, 5, bias=False), sm.nn.LI(0.9))  # fmt: skip
    with torch.no_grad():
        net[0].weight.mul_(3)
    x = (torch.rand(20, 16, 30) < 0.3).float()
    target = torch.randn(16, 5)
    qnet = sm.quantize(net, calibration=x.to(torch.uint8))
    grads = []
    for n in (net, qnet):
        (n(x).mean(0) - target).square().mean().backward()
        grads.append([n[i].weight.grad.flatten() for i in (0, 2)])
    for a, b in zip(*grads, strict=True):
        assert torch.cosine_similarity(a, b, dim=0) > 0.98
        assert 0.9 < (b.norm() / a.norm()) < 1.1
