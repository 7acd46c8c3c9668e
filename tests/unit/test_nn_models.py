"""Neuron models beside LIF: each against autograd of its equations, its own steps, and its integers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import UnsupportedNodeError
from seamount.nn import kernels


def spike(surrogate, x):
    """A spike whose derivative is the surrogate's, by autograd's means."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            return g * surrogate(ctx.saved_tensors[0])

    return Spike.apply(x)


def refractory(cell, a):
    """Equations of `seamount.neurons.refractory`."""
    u = v = torch.zeros_like(a[0])
    held = torch.zeros_like(a[0])
    out = []
    for x in a:
        u = cell.alpha * u + x
        v = torch.where(held > 0, 0.0, cell.beta * v + u + cell.bias)
        s = spike(cell.surrogate, v - cell.vth)
        r = s.detach() if cell.detach_reset else s
        v = v * (1 - r) if cell.reset == "zero" else v - r * cell.vth * (cell.reset == "subtract")
        held = torch.where(s > 0, float(cell.refractory), (held - 1).clamp(0))
        out.append(s)
    return torch.stack(out)


def adaptive(cell, a):
    """Equations of `seamount.neurons.alif`."""
    u = v = w = torch.zeros_like(a[0])
    out = []
    for x in a:
        u = cell.alpha * u + x
        v = cell.beta * v + u + cell.bias
        threshold = cell.vth + w
        s = spike(cell.surrogate, v - threshold)
        r = s.detach() if cell.detach_reset else s
        v = v * (1 - r) if cell.reset == "zero" else v - r * threshold * (cell.reset == "subtract")
        w = cell.rho * w + (1 - cell.rho) * cell.adaptation * r
        out.append(s)
    return torch.stack(out)


def ternary(cell, a):
    """Equations of `seamount.neurons.ternary`."""
    u = v = torch.zeros_like(a[0])
    out = []
    for x in a:
        u = cell.alpha * u + x
        v = cell.beta * v + u + cell.bias
        up, down = spike(cell.surrogate, v - cell.vth), spike(cell.surrogate, -cell.vth - v)
        s = up - down
        if cell.detach_reset:
            up, down = up.detach(), down.detach()
        v = v * (1 - up - down) if cell.reset == "zero" else v - (up - down) * cell.vth * (cell.reset == "subtract")
        out.append(s)
    return torch.stack(out)


MODELS = {
    "refractory": (sm.nn.RefractoryLIF, {"refractory": 2}, refractory),
    "adaptive": (sm.nn.ALIF, {"rho": 0.9, "adaptation": 3.0}, adaptive),
    "ternary": (sm.nn.TernaryLIF, {}, ternary),
}


def make(model: str, size: int, **options):
    kind, fields, equations = MODELS[model]
    cell = kind(beta=torch.rand(size), vth=torch.rand(size) + 0.3, alpha=torch.rand(size) * 0.8,
                bias=torch.randn(size) * 0.1, surrogate=sm.nn.Sigmoid(3.0), **fields, **options)  # fmt: skip
    return cell, equations


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach", [False, True])
def test_gradients_are_those_of_autograd(model, reset, detach):
    torch.manual_seed(2)
    learn = ("alpha", "beta", "vth", *(("rho", "adaptation") if model == "adaptive" else ()))
    cell, equations = make(model, 5, reset=reset, detach_reset=detach, learn=learn)
    cell = cell.double()
    a = torch.randn(12, 4, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(12, 4, 5, dtype=torch.double)
    wanted = [a, *cell.parameters()]
    got_out, want_out = cell(a), equations(cell, a)
    assert 0.05 < (want_out != 0).double().mean() < 0.8
    assert torch.equal(got_out, want_out)
    got = torch.autograd.grad((got_out * weight).sum(), wanted)
    want = torch.autograd.grad((want_out * weight).sum(), wanted)
    for g, w in zip(got, want, strict=True):
        assert w.abs().max() > 1e-4
        torch.testing.assert_close(g, w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "chip"])
def test_fused_kernels_equal_the_loops(model, quantized, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(13, 11, bias=False), make(model, 11, learn=("beta", "vth"))[0])
    x = (torch.rand(30, 7, 13) < 0.5).float()
    if quantized:
        net = sm.quantize(net, calibration=x.to(torch.uint8))
    weight, results = torch.randn(30, 7, 11), []
    for size in (0, 1 << 40):
        monkeypatch.setattr(kernels, "FUSED", size)
        out = net(x)
        results.append([out, *torch.autograd.grad((out * weight).sum(), net.parameters())])
    (fused_out, *fused), (out, *loop) = results
    assert 0.05 < (out != 0).float().mean() < 0.9
    assert torch.equal(fused_out, out)
    for f, w in zip(fused, loop, strict=True):
        assert w.abs().max() > 1e-4
        torch.testing.assert_close(f, w, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_sequence_is_the_loop_of_its_steps(model):
    torch.manual_seed(0)
    cell, _ = make(model, 7)
    a = torch.randn(20, 3, 7)
    state, steps = None, []
    for x in a:
        s, state = cell.step(x, state)
        steps.append(s)
    assert torch.equal(cell(a), torch.stack(steps))


@pytest.mark.parametrize("model", MODELS)
def test_the_quantized_gradient_points_where_the_float_one_does(model):
    torch.manual_seed(0)
    kind, fields, _ = MODELS[model]
    net = nn.Sequential(nn.Linear(30, 40, bias=False), kind(0.9, surrogate=sm.nn.Sigmoid(1.0), **fields),
                        nn.Linear(40, 5, bias=False), sm.nn.LI(0.9))  # fmt: skip
    with torch.no_grad():
        net[0].weight.mul_(3)
    x = (torch.rand(20, 16, 30) < 0.3).float()
    target, grads = torch.randn(16, 5), []
    for n in (net, sm.quantize(net, calibration=x.to(torch.uint8))):
        (n(x).mean(0) - target).square().mean().backward()
        grads.append(n[0].weight.grad.flatten())
    assert torch.cosine_similarity(*grads, dim=0) > 0.97


def test_refractory_neurons_are_silent_for_as_long_as_they_are_told():
    out = sm.nn.RefractoryLIF(0.9, refractory=3)(torch.full((9, 1, 1), 5.0)).flatten()
    assert out.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_if_forgets_nothing():
    a = torch.randn(20, 2, 3)
    assert torch.equal(sm.nn.IF(0.5, reset="zero")(a), sm.nn.LIF(1.0, 0.5, reset="zero")(a))


def test_time_constants_become_retentions():
    lif = sm.nn.LIF(tau=20e-3, dt=1e-3)
    torch.testing.assert_close(lif.beta, torch.tensor(math.exp(-0.05)))
    cuba = sm.nn.CubaLIF(tau_u=torch.tensor([2.0, 5.0]), tau_v=10.0)
    torch.testing.assert_close(cuba.alpha, torch.exp(-1 / torch.tensor([2.0, 5.0])))
    torch.testing.assert_close(sm.nn.ALIF(tau=20.0, tau_w=200.0).rho, torch.tensor(math.exp(-1 / 200)))


def test_what_learns_trains_and_stays_in_its_range():
    torch.manual_seed(0)
    cell = sm.nn.LIF(torch.full((4,), 0.99), vth=0.05, learn=("beta", "vth"))
    assert [p.shape for p in (cell.beta, cell.vth)] == [(4,), ()]
    optimizer = torch.optim.SGD(cell.parameters(), lr=1.0)
    for sign in (-1, -1, 1, 1):
        out = cell(torch.rand(10, 2, 4) * 0.3)
        fields = cell.fields()
        assert fields["beta"].max() <= 1
        assert fields["vth"] >= 0
        optimizer.zero_grad()
        (sign * (out.sum() + fields["beta"].sum() - fields["vth"])).backward()
        optimizer.step()
    # Outside the range a gradient that leads back in passes, one that leads on does not.
    for beta, sign, moves in ((1.5, 1, True), (1.5, -1, False), (-0.5, -1, True), (-0.5, 1, False)):
        cell.beta.data.fill_(beta)
        cell.beta.grad = None
        (sign * cell.fields()["beta"].sum()).backward()
        assert bool(cell.beta.grad.abs().sum() > 0) == moves
        assert sm.lower(nn.Sequential(nn.Linear(2, 4), cell))["1"].beta.tolist() == [min(max(beta, 0.0), 1.0)] * 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sm.nn.LIF(), r"LIF: beta is given in no way \(allowed: one of beta, tau\)"),
        (lambda: sm.nn.LIF(0.9, tau=3.0), r"LIF: beta is given twice"),
        (lambda: sm.nn.CubaLIF(0.5, tau_u=1.0, beta=0.5), r"CubaLIF: alpha is given twice"),
        (lambda: sm.nn.LIF(tau=0.0), r"tau = 0.0, dt = 1.0 \(allowed > 0\)"),
        (lambda: sm.nn.LIF(0.9, learn=("decay",)), r"LIF: learn = decay \(allowed: alpha, beta, vth, bias\)"),
        (lambda: sm.nn.LIF(0.9, learn="reset_by"), r"LIF: learn = reset_by \(allowed"),
        (lambda: sm.nn.RefractoryLIF(0.9, refractory=-1), r"RefractoryLIF: refractory = -1 \(allowed 0"),
        (lambda: sm.nn.ALIF(0.9, 1.2), r"ALIF: rho = 1.2 \(allowed 0..1\)"),
        (lambda: sm.nn.ALIF(0.9, 0.9, adaptation=-1.0), r"ALIF: adaptation = -1 \(allowed 0 or more\)"),
    ],
)  # fmt: skip
def test_bad_arguments(build, message):
    with pytest.raises(sm.SeamountError, match=message):
        build()


def snntorch_neuron(kind: str, **changed) -> nn.Module:
    """What `from_snntorch` looks at, for where snnTorch is not installed; `test_peers.py` compares the spikes."""
    cell = type(kind, (nn.Module,), {})()
    fields = {"beta": torch.tensor(0.8), "alpha": torch.tensor(0.5), "threshold": torch.tensor(2.0)}
    fields |= {"reset_mechanism": "subtract", "reset_delay": True, "inhibition": False, "state_quant": False,
               "graded_spikes_factor": 1.0}  # fmt: skip
    for name, value in {**fields, **changed}.items():
        setattr(cell, name, value)
    return cell


def test_snntorch_neurons_are_mapped():
    leaky = sm.nn.from_snntorch(snntorch_neuron("Leaky"))
    assert (type(leaky), leaky.reset, leaky.reset_by.item()) == (sm.nn.LIF, "subtract", 2.5)
    late = sm.nn.from_snntorch(snntorch_neuron("Synaptic", reset_mechanism="zero"), detach_reset=True)
    assert (type(late), late.reset, late.refractory, late.detach_reset) == (sm.nn.RefractoryLIF, "zero", 1, True)
    prompt = sm.nn.from_snntorch(snntorch_neuron("Synaptic", reset_mechanism="zero", reset_delay=False))
    assert (type(prompt), prompt.alpha.item()) == (sm.nn.CubaLIF, 0.5)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("Lapicque", {}, "snntorch.Lapicque: has no counterpart"),
        ("Leaky", {"reset_delay": False}, "Leaky: reset_mechanism='subtract' with reset_delay=False does not map"),
        ("Synaptic", {"beta": torch.tensor(0.0)}, "Synaptic: beta = 0 with a delayed reset by subtraction"),
        ("Leaky", {"beta": nn.Parameter(torch.tensor(0.9))}, "Leaky: learn_beta or learn_threshold with a delayed"),
        ("Leaky", {"inhibition": True}, "Leaky: inhibition does not map"),
        ("Leaky", {"state_quant": lambda x: x}, "Leaky: state_quant does not map"),
        ("Leaky", {"graded_spikes_factor": 2.0}, "Leaky: graded_spikes_factor does not map"),
    ],
)
def test_snntorch_neurons_that_differ_are_refused(kind, changed, message):
    with pytest.raises(UnsupportedNodeError, match=message):
        sm.nn.from_snntorch(snntorch_neuron(kind, **changed))
