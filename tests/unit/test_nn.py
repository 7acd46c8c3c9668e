"""The torch neurons, their surrogates and recurrence; `test_nn_gradients.py` holds their derivatives."""

from __future__ import annotations

import math

import pytest
import torch

import seamount as sm
from seamount.nn import kernels, loops
from seamount.nn.neuron import held


def test_threads_and_blocks_share_a_batch_without_changing_it(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(kernels, "FUSED", 0)
    cell, a = sm.nn.CubaLIF(0.5, 0.9), torch.randn(20, 9, 11, requires_grad=True)
    weight = torch.randn(20, 9, 11)
    alone = cell(a)
    (g_alone,) = torch.autograd.grad((alone * weight).sum(), a)
    monkeypatch.setattr(loops, "SHARE", 1)
    monkeypatch.setattr(loops, "BLOCK", 1)
    monkeypatch.setattr(loops, "LEAST", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    shared = cell(a)
    (g_shared,) = torch.autograd.grad((shared * weight).sum(), a)
    assert torch.equal(shared, alone)
    assert torch.equal(g_shared, g_alone)


def test_gradients_pass_gradcheck_where_nothing_fires():
    cell = sm.nn.LI(torch.rand(3).double(), torch.rand(3).double(), bias=torch.randn(3)).double()
    a = torch.randn(6, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(cell, (a,))


@pytest.mark.parametrize(
    "cell",
    [
        sm.nn.LIF(0.9),
        sm.nn.CubaLIF(0.5, 0.8, reset="zero"),
        sm.nn.LI(0.9, 0.3),
        sm.nn.RefractoryLIF(0.9, refractory=2),
        sm.nn.ALIF(0.9, 0.9, adaptation=3.0),
        sm.nn.TernaryLIF(0.9),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_sequence_is_the_loop_of_its_steps(cell):
    torch.manual_seed(0)
    a = torch.randn(20, 3, 7, requires_grad=True)
    whole = cell(a)
    state, steps = None, []
    for x in a:
        s, state = cell.step(x, state)
        steps.append(s)
    loop = torch.stack(steps)
    assert torch.equal(whole, loop)
    weight = torch.randn_like(whole)
    g1, g2 = (torch.autograd.grad((y * weight).sum(), a)[0] for y in (whole, loop))
    torch.testing.assert_close(g1, g2, rtol=1e-4, atol=1e-5)


def test_recurrent_hears_its_spikes_one_step_later():
    torch.manual_seed(0)
    population = sm.nn.Recurrent(sm.nn.LIF(0.8), torch.nn.Linear(6, 6, bias=False))
    x = torch.rand(10, 2, 6) * 1.5
    out = population(x)
    want, state, s = [], None, torch.zeros(2, 6)
    for a in x:
        s, state = population.neuron.step(a + s @ population.connection.weight.T, state)
        want.append(s)
    assert torch.equal(out, torch.stack(want))
    assert 0 < out.mean() < 1


def multi_gaussian_integral(x: torch.Tensor) -> torch.Tensor:
    """Yin 2021 with h = 0.15, s = 6, gamma = 0.5, sigma = 0.5."""
    middle, left, right = (torch.distributions.Normal(m, w) for m, w in ((0.0, 0.5), (-0.5, 3.0), (0.5, 3.0)))
    return 0.5 * (1.15 * middle.cdf(x) - 0.15 * left.cdf(x) - 0.15 * right.cdf(x))


@pytest.mark.parametrize(
    ("surrogate", "antiderivative"),
    [
        (sm.nn.FastSigmoid(25.0), lambda x: x / (1 + 25 * x.abs())),
        (sm.nn.SuperSpike(3.0), lambda x: x / (1 + 3 * x.abs())),
        (sm.nn.Sigmoid(4.0), lambda x: torch.sigmoid(4 * x)),
        (sm.nn.Triangular(0.5), lambda x: torch.where(x < 0, 0.5 * (1 + x / 0.5).clamp(0) ** 2,
                                                      1 - 0.5 * (1 - x / 0.5).clamp(0) ** 2)),
        (sm.nn.Rectangular(0.5), lambda x: (x / 0.5 + 0.5).clamp(0, 1)),
        (sm.nn.StraightThrough(), lambda x: x),
        (sm.nn.ArcTan(2.0), lambda x: torch.arctan(math.pi * x) / math.pi),
        (sm.nn.Exponential(5.0, 2.0), lambda x: x.sign() * 2 / 5 * (1 - (-5 * x.abs()).exp())),
        (sm.nn.Gaussian(0.4), lambda x: torch.distributions.Normal(0.0, 0.4).cdf(x)),
        (sm.nn.MultiGaussian(0.5), multi_gaussian_integral),
        (sm.nn.TruncatedQuadratic(0.5), lambda x: (1 + 2 * x).clamp(0) ** 2 / 4),
    ],
    ids=lambda s: type(s).__name__,
)  # fmt: skip
def test_surrogate_is_the_derivative_of_its_sigmoid(surrogate, antiderivative):
    x = torch.linspace(-1.003, 0.997, 401, dtype=torch.double, requires_grad=True)
    (want,) = torch.autograd.grad(antiderivative(x).sum(), x)
    torch.testing.assert_close(surrogate(x.detach()), want)


def test_recording_keeps_spikes_and_v_by_population():
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 4), sm.nn.LIF(0.9), torch.nn.Linear(4, 4, bias=False),
        sm.nn.Recurrent(sm.nn.LIF(0.9), torch.nn.Linear(4, 4, bias=False)),
    )  # fmt: skip
    with sm.nn.recording(net) as populations:
        out = net(torch.rand(5, 2, 3))
    assert list(populations) == ["1", "3"]
    assert torch.equal(populations["3"].recorded_spikes, out)
    assert populations["1"].recorded_v.shape == (5, 2, 4)
    assert not populations["1"].recording


def test_held_releases_after_an_error():
    net = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), sm.nn.LIF(0.9))
    qnet = sm.quantize(net, calibration=torch.ones(2, 1, 3, dtype=torch.uint8))
    with pytest.raises(KeyError), held(qnet):
        raise KeyError
    assert qnet[0].held is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sm.nn.LIF(1.5), r"LIF: beta = 1.5 \(allowed 0..1\)"),
        (lambda: sm.nn.CubaLIF(-0.1, 0.5), r"CubaLIF: alpha = -0.1"),
        (lambda: sm.nn.LIF(0.9, 0.0), r"LIF: vth = 0.0 \(allowed > 0\)"),
        (lambda: sm.nn.LIF(0.9, reset="hard"), "reset 'hard' is unknown. Allowed: zero, subtract, none"),
        (lambda: sm.nn.LIF(0.9, reset="zero", reset_by=1.0), "reset_by is given, but reset is 'zero'"),
        (lambda: sm.nn.LIF(0.9)(torch.zeros(4, 5)), r"input has shape \[4, 5\] \(allowed \[T, B, ...\]\)"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(sm.SeamountError, match=message):
        make()
