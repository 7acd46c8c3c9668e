"""Every spiking torch neuron: against autograd of its equations, its kernels against loops, its integers' gradient."""

from __future__ import annotations

import pytest
import torch
from oracle import spike
from torch import nn

import seamount as sm
from seamount.nn import kernels, numba_kernels

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
MODELS = {
    "current": (sm.nn.CubaLIF, {}, ()),
    "refractory": (sm.nn.RefractoryLIF, {"refractory": 2}, ()),
    "adaptive": (sm.nn.ALIF, {"rho": 0.9, "adaptation": 3.0}, ("rho", "adaptation")),
    "ternary": (sm.nn.TernaryLIF, {}, ()),
    "graded": (sm.nn.GradedLIF, {}, ()),
    "resonant": (sm.nn.ResonateAndFire, {"period": 5.0}, ("omega",)),
    "sigma-delta": (sm.nn.SigmaDelta, {}, ()),
    "sigma-delta, cumulative": (sm.nn.SigmaDelta, {"cumulative": True, "activation": "unit"}, ()),
}
"""Name -> class, what it takes beyond an integrator, and what of that trains."""
WITHOUT_RESET = ("resonant", "sigma-delta", "sigma-delta, cumulative")
OTHERS = [name for name in MODELS if name != "current"]
PAIRS = [("current", surrogate) for surrogate in SURROGATES] + [(name, sm.nn.Sigmoid(3.0)) for name in OTHERS]
CASES = [
    (name, surrogate, reset, detach)
    for name, surrogate in PAIRS
    for reset in ("zero", "subtract", "none")
    for detach in (False, True)
    if name not in WITHOUT_RESET or (reset, detach) == ("none", False)
]
RESETS = [("current", reset, detach) for reset in ("zero", "subtract") for detach in (False, True)]
RESETS += [(name, "none" if name in WITHOUT_RESET else "subtract", False) for name in OTHERS]


def make(model: str, size: int, surrogate: sm.nn.Surrogate | None = None, **options) -> sm.nn.Neuron:
    kind, fields, learned = MODELS[model]
    fields = {"beta": torch.rand(size), "vth": torch.rand(size) + 0.3, "alpha": torch.rand(size) * 0.8, **fields}
    if model in WITHOUT_RESET:
        del fields["alpha"], options["reset"]
    if kind is sm.nn.SigmaDelta:
        del fields["beta"]
    learn = [name for name in ("alpha", "beta", "vth") if name in fields]
    return kind(**fields, bias=torch.randn(size) * 0.1, surrogate=surrogate or sm.nn.Sigmoid(3.0),
                learn=(*learn, *learned), **options)  # fmt: skip


def by_the_equations(cell: sm.nn.Neuron, a: torch.Tensor) -> torch.Tensor:
    """The models written out, with autograd through every operation; only the spike's derivative is replaced."""

    def fire(z: torch.Tensor) -> torch.Tensor:
        return spike(z, cell.surrogate)

    u = v = adapted = held = silence = sent = error = torch.zeros_like(a[0])
    out = []
    for x in a:
        if isinstance(cell, sm.nn.ResonateAndFire):
            before, turn = v, torch.polar(torch.ones_like(cell.omega), cell.omega)
            z = torch.complex(u, v) * turn * cell.beta + x + cell.bias
            u, v = z.real, z.imag
            out.append(fire(u - cell.vth) * fire(-before) * (1 - fire(-v)))
            continue
        if isinstance(cell, sm.nn.SigmaDelta):
            v = v + x
            change = (torch.relu(v + cell.bias) if cell.activation == "relu" else v + cell.bias) - sent
            error = error + change if cell.cumulative else change
            fires = fire(error - cell.vth) + fire(-cell.vth - error)
            out.append(fires * change)
            sent, error = sent + out[-1], error * (1 - fires)
            continue
        u = cell.alpha * u + x
        v = torch.where(held > 0, 0.0, cell.beta * v + u + cell.bias)
        threshold = cell.vth + adapted
        up = fire(v - threshold)
        down = fire(-threshold - v) if isinstance(cell, (sm.nn.TernaryLIF, sm.nn.GradedLIF)) else silence
        out.append((up + down) * v if isinstance(cell, sm.nn.GradedLIF) else up - down)
        if cell.detach_reset:
            up, down = up.detach(), down.detach()
        taken = threshold if getattr(cell, "reset_by", None) is None else cell.reset_by
        v = v * (1 - up - down) if cell.reset == "zero" else v - (up - down) * taken * (cell.reset == "subtract")
        if isinstance(cell, sm.nn.ALIF):
            adapted = cell.rho * adapted + (1 - cell.rho) * cell.adaptation * up
        if isinstance(cell, sm.nn.RefractoryLIF):
            held = torch.where(up > 0, float(cell.refractory), (held - 1).clamp(0))
    return torch.stack(out)


@pytest.mark.parametrize(
    ("model", "surrogate", "reset", "detach"), CASES,
    ids=lambda p: type(p).__name__ if isinstance(p, sm.nn.Surrogate) else str(p),
)  # fmt: skip
def test_gradients_are_those_of_autograd(model, surrogate, reset, detach):
    torch.manual_seed(2)
    cell = make(model, 5, surrogate, reset=reset, detach_reset=detach).double()
    a = torch.randn(12, 4, 5, dtype=torch.double, requires_grad=True)
    weight = torch.randn(12, 4, 5, dtype=torch.double)
    wanted = [a, *cell.parameters()]
    got_out, want_out = cell(a), by_the_equations(cell, a)
    assert 0.05 < (want_out != 0).double().mean() < 0.8
    assert torch.equal(got_out, want_out)
    got = torch.autograd.grad((got_out * weight).sum(), wanted)
    want = torch.autograd.grad((want_out * weight).sum(), wanted)
    for g, w in zip(got, want, strict=True):
        assert w.abs().max() > 1e-4
        torch.testing.assert_close(g, w, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    ("model", "surrogate", "reset", "detach"), CASES,
    ids=lambda p: type(p).__name__ if isinstance(p, sm.nn.Surrogate) else str(p),
)  # fmt: skip
def test_a_gpus_kernels_equal_the_loops_to_rounding(
    model, surrogate, reset, detach, dtype, triton_kernels, monkeypatch
):
    torch.manual_seed(2)
    cell = make(model, 5, surrogate, reset=reset, detach_reset=detach).to(dtype)
    a, weight, results = torch.randn(12, 4, 5, dtype=dtype, requires_grad=True), torch.randn(12, 4, 5, dtype=dtype), []
    for executor in (triton_kernels(interpreted=True), None):
        monkeypatch.setattr(kernels, "fused", lambda spec, a, executor=executor: executor)
        out = cell(a)
        results.append([out, *torch.autograd.grad((out * weight).sum(), [a, *cell.parameters()])])
    (fused_out, *fused), (out, *loop) = results
    assert torch.equal(fused_out, out)
    for f, w in zip(fused, loop, strict=True):
        torch.testing.assert_close(f, w, rtol=0, atol=8 * torch.finfo(dtype).eps * float(w.abs().max()))


def test_reset_by_is_subtracted_and_trains():
    torch.manual_seed(0)
    cell = sm.nn.LIF(0.9, 1.0, reset="subtract", reset_by=0.4).double()
    cell.reset_by.requires_grad_()
    a = torch.rand(12, 3, 4, dtype=torch.double)
    weight = torch.randn(12, 3, 4, dtype=torch.double)
    got = torch.autograd.grad((cell(a) * weight).sum(), cell.reset_by)[0]
    want = torch.autograd.grad((by_the_equations(cell, a) * weight).sum(), cell.reset_by)[0]
    torch.testing.assert_close(got, want)


@pytest.fixture(params=["numba", "triton"])
def fused(request):
    """Kernels to run populations with; those for a GPU interpreted."""
    return numba_kernels if request.param == "numba" else request.getfixturevalue("triton_kernels")(interpreted=True)


@pytest.mark.parametrize("quantized", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["float", "chip"])
@pytest.mark.parametrize(("model", "reset", "detach"), RESETS)
def test_fused_kernels_equal_the_loops(model, reset, detach, quantized, fused, monkeypatch):
    """Forward bit for bit; backward up to the order of sums in the parameters' gradients."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(13, 11, bias=False), make(model, 11, reset=reset, detach_reset=detach))
    x = (torch.rand(15, 7, 13) < 0.5).float()
    if quantized:
        net = sm.quantize(net, calibration=x.to(torch.uint8))
    weight, results = torch.randn(15, 7, 11), []
    for executor in (fused, None):
        monkeypatch.setattr(kernels, "fused", lambda spec, a, executor=executor: executor)
        with sm.nn.recording(net) as populations:
            out = net(x)
        results.append([out, populations["1"].recorded_v, *torch.autograd.grad((out * weight).sum(), net.parameters())])
    (fused_out, fused_v, *fused), (out, v, *loop) = results
    assert 0.01 < (out != 0).float().mean() < 0.9
    assert torch.equal(fused_out, out)
    assert torch.equal(fused_v, v)
    for f, w in zip(fused, loop, strict=True):
        assert w.abs().max() > 1e-4
        torch.testing.assert_close(f, w, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_the_quantized_gradient_points_where_the_float_one_does(model):
    torch.manual_seed(0)
    kind, fields, _ = MODELS[model]
    fields = {"alpha": 0.0, **fields} if model == "current" else fields
    fields = fields if kind is sm.nn.SigmaDelta else {"beta": 0.9, **fields}
    population = kind(surrogate=sm.nn.Sigmoid(1.0), **fields)
    net = nn.Sequential(nn.Linear(30, 40, bias=False), population, nn.Linear(40, 5, bias=False), sm.nn.LI(0.9))
    with torch.no_grad():
        net[0].weight.mul_(3)
    x = (torch.rand(20, 16, 30) < 0.3).float()
    target, grads = torch.randn(16, 5), []
    for n in (net, sm.quantize(net, calibration=x.to(torch.uint8))):
        (n(x).mean(0) - target).square().mean().backward()
        grads.append(n[0].weight.grad.flatten())
    assert torch.cosine_similarity(*grads, dim=0) > 0.97
