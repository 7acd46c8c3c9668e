"""The torch neurons against autograd of the equations, step by step."""

from __future__ import annotations

import pytest
import torch

import seamount as sm
from seamount.nn import kernels, sequence
from seamount.nn.neuron import held

SURROGATES = [
    sm.nn.FastSigmoid(25.0),
    sm.nn.SuperSpike(10.0),
    sm.nn.Sigmoid(4.0),
    sm.nn.Triangular(0.5),
    sm.nn.Rectangular(1.0),
    sm.nn.StraightThrough(),
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
        v = v * (1 - r) if cell.reset == "zero" else v - r * cell.removed
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


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("chip", [False, True], ids=["float", "chip"])
def test_fused_kernels_equal_the_loops(reset, chip):
    """Forward bit for bit, backward too: the kernels do the loops' operations in the loops' order."""
    torch.manual_seed(0)
    steps, batch, size = 30, 7, 50
    a = torch.randn(steps, batch, size) * (4000 if chip else 1) + 0.2
    a = a.round() if chip else a
    u, v = torch.zeros(batch, size), torch.zeros(batch, size)
    zero = torch.full((size,), float(reset == "zero"))
    if chip:
        vth = torch.randint(1, 9000, (size,)) << 6
        ru, rv, bias = (torch.randint(low, high, (size,)) for low, high in ((0, 4096), (0, 4097), (-500, 500)))
        constants = [ru, rv, bias, vth, vth * (reset == "subtract"), zero.long()]
    else:
        vth = torch.rand(size) + 0.5
        constants = [
            torch.rand(size),
            torch.rand(size),
            torch.randn(size) * 0.1,
            vth,
            vth * (reset == "subtract"),
            zero,
        ]
    fused = kernels.forward(a, u, v, constants, chip, True, True)
    loop = sequence.loop_forward(a, u, v, constants, chip, True, True)
    assert 0.05 < loop[0].mean() < 0.9
    for f, w in zip(fused, loop, strict=True):
        assert torch.equal(f, w)
    out, before = loop[0], loop[1] / loop[1].abs().max()
    arguments = (torch.randn_like(a), torch.randn_like(u), torch.randn_like(v), out, before, torch.rand_like(a),
                 torch.rand(size), torch.rand(size), torch.rand(size) * (reset == "subtract"))  # fmt: skip
    for attached in (False, True):
        fused = kernels.backward(*arguments, reset == "zero", attached)
        loop = sequence.loop_backward(*arguments, reset == "zero", attached)
        for f, w in zip(fused, loop, strict=True):
            torch.testing.assert_close(f, w, rtol=1e-5, atol=1e-5)


def test_threads_share_a_batch_without_changing_it(monkeypatch):
    torch.manual_seed(0)
    cell, a = sm.nn.CubaLIF(0.5, 0.9), torch.randn(20, 9, 11)
    alone = cell(a)
    monkeypatch.setattr(kernels, "SHARE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert torch.equal(cell(a), alone)


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
