"""Neuron models beside LIF: what each does, what it takes, and snnTorch's as they are mapped."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import UnsupportedNodeError


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
        (lambda: sm.nn.ResonateAndFire(0.9, 2.0), r"ResonateAndFire: period = 2.0 steps \(allowed > 2\)"),
        (lambda: sm.nn.ResonateAndFire(1.1), r"ResonateAndFire: beta = 1.1 \(allowed 0..1\)"),
        (lambda: sm.nn.GradedLIF(0.9, bits=24), r"GradedLIF: bits = 24 \(allowed 1..23\)"),
        (lambda: sm.nn.SigmaDelta(0.0), r"SigmaDelta: vth = 0.0 \(allowed > 0\)"),
        (lambda: sm.nn.SigmaDelta(activation="tanh"), r"SigmaDelta: activation 'tanh' is unknown. Allowed: relu, unit"),
    ],
)  # fmt: skip
def test_bad_arguments(build, message):
    with pytest.raises(sm.SeamountError, match=message):
        build()


def test_a_resonator_prefers_its_own_frequency():
    t = torch.arange(200.0).reshape(-1, 1, 1)
    cell = sm.nn.ResonateAndFire(0.95, 10.0, 2.0)
    counts = {period: cell(0.3 * torch.cos(2 * math.pi * t / period)).sum() for period in (4.0, 10.0, 25.0)}
    assert counts[10.0] > 10
    assert counts[4.0] == counts[25.0] == 0


def test_readers_of_a_sigma_delta_population_follow_its_activation():
    torch.manual_seed(0)
    changes = torch.randn(50, 3, 4) * 0.3
    sent = sm.nn.SigmaDelta(0.5)(changes).cumsum(0)
    off = (sent - changes.cumsum(0).relu()).abs()
    assert off.max() <= 0.5 + 1e-5
    assert 0.02 < (sent.diff(dim=0) != 0).float().mean() < 0.5


def test_a_bias_that_would_add_up_is_refused():
    net = nn.Sequential(nn.Linear(3, 2), sm.nn.SigmaDelta())
    with pytest.raises(UnsupportedNodeError, match=r"0: its bias would add up in 1, .* bias=torch.zeros\(N\)"):
        sm.lower(net)


def test_what_learns_on_the_chip_reads_spikes_of_one():
    net = nn.Sequential(nn.Linear(4, 3, bias=False), sm.nn.GradedLIF(0.9), nn.Linear(3, 2, bias=False), sm.nn.LIF(0.9))
    graph = sm.lower(sm.quantize(net, calibration=torch.ones(5, 2, 4, dtype=torch.uint8)))
    with pytest.raises(sm.SeamountError, match="graded"):
        sm.compile(graph, target="loihi2", learn={"2": sm.learning.OTTT(lr=0.1)})


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
