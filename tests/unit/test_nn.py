"""The torch neurons against autograd of the equations, step by step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.nn import kernels
from seamount.nn.neuron import held

SURROGATES = [
    sm.nn.FastSigmoid(25.0),
    sm.nn.SuperSpike(10.0),
    sm.nn.Sigmoid(4.0),
    sm.nn.Triangular(0.5),
    sm.nn.Rectangular(1.0),
    sm.nn.StraightThrough(),
    sm.nn.ArcTan(2.0),
    sm.nn.Exponential(5.0),
    sm.nn.Gaussian(0.4),
    sm.nn.MultiGaussian(0.5),
    sm.nn.TruncatedQuadratic(0.5),
]


def by_the_equations(cell: sm.nn.CubaLIF, a: torch.Tensor) -> torch.Tensor:
    """CubaLIF written out with autograd through every operation; only the spike's derivative is replaced."""

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * cell.surrogate(x)

    u = v = torch.zeros_like(a[0])
    out = []
    for x in a:
        u = cell.alpha * u + x
        v = cell.beta * v + u + cell.bias
        s = Spike.apply(v - cell.vth)
        r = s.detach() if cell.detach_reset else s
        removed = cell.vth if cell.reset_by is None else cell.reset_by
        v = v * (1 - r) if cell.reset == "zero" else v - r * removed * (cell.reset == "subtract")
        out.append(s)
    return torch.stack(out)


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda s: type(s).__name__)
def test_gradients_are_those_of_autograd(reset, detach, surrogate):
    torch.manual_seed(1)
    cell = sm.nn.CubaLIF(
        torch.rand(5), torch.rand(5), torch.rand(5) + 0.5,
        reset=reset, detach_reset=detach, bias=torch.randn(5) * 0.1, surrogate=surrogate,
    ).double()  # fmt: skip
    for name in ("alpha", "beta", "vth"):
        getattr(cell, name).requires_grad_()
    a = torch.randn(9, 4, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(9, 4, 5, dtype=torch.double)
    wanted = [a, cell.bias, cell.alpha, cell.beta, cell.vth]
    got_out, want_out = cell(a), by_the_equations(cell, a)
    assert 0.05 < want_out.mean() < 0.6
    assert torch.equal(got_out, want_out)
    got = torch.autograd.grad((got_out * weight).sum(), wanted)
    want = torch.autograd.grad((want_out * weight).sum(), wanted)
    for g, w in zip(got, want, strict=True):
        assert w.abs().max() > 1e-3
        torch.testing.assert_close(g, w, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "chip"])
def test_fused_kernels_equal_the_loops(reset, detach, quantized, monkeypatch):
    """Forward bit for bit; backward up to the order of sums in the parameters' gradients."""
    torch.manual_seed(0)
    cell = sm.nn.CubaLIF(torch.rand(11), nn.Parameter(torch.rand(11)), nn.Parameter(torch.rand(11) + 0.3), reset=reset,
                         bias=torch.randn(11) * 0.1, detach_reset=detach, surrogate=sm.nn.Sigmoid(3.0))  # fmt: skip
    net = nn.Sequential(nn.Linear(13, 11, bias=False), cell)
    x = (torch.rand(30, 7, 13) < 0.5).float()
    if quantized:
        net = sm.quantize(net, calibration=x.to(torch.uint8))
    weight = torch.randn(30, 7, 11)
    results = []
    for size in (0, 1 << 40):
        monkeypatch.setattr(kernels, "FUSED", size)
        with sm.nn.recording(net) as populations:
            out = net(x)
        results.append([out, populations["1"].recorded_v, *torch.autograd.grad((out * weight).sum(), net.parameters())])
    assert 0.05 < out.mean() < 0.9
    (fused_out, fused_v, *fused), (out, v, *loop) = results
    assert torch.equal(fused_out, out)
    assert torch.equal(fused_v, v)
    for f, w in zip(fused, loop, strict=True):
        assert w.abs().max() > 1e-3
        torch.testing.assert_close(f, w, rtol=1e-3, atol=1e-4)


def test_threads_share_a_batch_without_changing_it(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(kernels, "FUSED", 0)
    cell, a = sm.nn.CubaLIF(0.5, 0.9), torch.randn(20, 9, 11, requires_grad=True)
    weight = torch.randn(20, 9, 11)
    alone = cell(a)
    (g_alone,) = torch.autograd.grad((alone * weight).sum(), a)
    monkeypatch.setattr(kernels, "SHARE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    shared = cell(a)
    (g_shared,) = torch.autograd.grad((shared * weight).sum(), a)
    assert torch.equal(shared, alone)
    assert torch.equal(g_shared, g_alone)


def test_reset_by_is_subtracted_and_trains():
    torch.manual_seed(0)
    cell = sm.nn.LIF(0.9, 1.0, reset="subtract", reset_by=0.4).double()
    cell.reset_by.requires_grad_()
    a = torch.rand(12, 3, 4, dtype=torch.double)
    weight = torch.randn(12, 3, 4, dtype=torch.double)
    got = torch.autograd.grad((cell(a) * weight).sum(), cell.reset_by)[0]
    want = torch.autograd.grad((by_the_equations(cell, a) * weight).sum(), cell.reset_by)[0]
    torch.testing.assert_close(got, want)


def test_gradients_pass_gradcheck_where_nothing_fires():
    cell = sm.nn.LI(torch.rand(3).double(), torch.rand(3).double(), bias=torch.randn(3)).double()
    a = torch.randn(6, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(cell, (a,))


@pytest.mark.parametrize(
    "cell",
    [sm.nn.LIF(0.9), sm.nn.CubaLIF(0.5, 0.8, reset="zero"), sm.nn.LI(0.9, 0.3)],
    ids=["LIF", "CubaLIF", "LI"],
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
