"""What the online rules claim to be equal to, each against autograd of the equations written out here (float64).

Weights fixed over T, loss = sum over t of l(s[t]), LIF, surrogate at the v before the reset.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracle import SLOPE, by_rule, error, lif, spike
from torch import nn
from torch.nn import functional

import seamount as sm
from seamount_models import online

CLOSE = 1e-12
STEPS, BATCH = 14, 3


def network(sizes, betas, *, reset="subtract", detach=False, seed=0) -> Any:
    """Populations that differ in retention, threshold and reset; a fast sigmoid of another slope than the default."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i, beta in enumerate(betas):
        weight = nn.Linear(sizes[i], sizes[i + 1], bias=False)
        nn.init.normal_(weight.weight, 0.1, 0.8)
        reset_by = 0.8 if reset == "subtract" and i % 2 else None
        options = {"reset": reset, "reset_by": reset_by, "detach_reset": detach}
        layers += [weight, lif(beta, 1.0 - 0.1 * i, **options)]
    return nn.Sequential(*layers).double()


def data(sizes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, sizes[0], generator=generator) < 0.4).double()
    return x, torch.randint(0, sizes[-1], (STEPS, BATCH), generator=generator)


def by_autograd(net, x, y, *, detached=(), memory_cut=(), loss=None):
    """Gradients by weight of the equations over time.

    Args:
        detached: populations whose reset is left out of the graph.
        memory_cut: populations whose v of the step before is left out of the graph.
        loss: of the outputs `[T, B, C]`; default sum over t of cross-entropy.
    """
    pairs = list(zip(list(net)[::2], list(net)[1::2], strict=True))
    weights = [linear.weight.detach().clone().requires_grad_() for linear, _ in pairs]
    v = [torch.zeros(BATCH, len(w), dtype=x.dtype) for w in weights]
    outputs = []
    for s in x:
        for i, (w, (_, cell)) in enumerate(zip(weights, pairs, strict=True)):
            before = v[i].detach() if i in memory_cut else v[i]
            u = cell.beta * before + s @ w.t()
            s = spike(u - cell.vth)
            r = s.detach() if i in detached or cell.detach_reset else s
            removed = cell.vth if cell.reset_by is None else cell.reset_by
            v[i] = u * (1 - r) if cell.reset == "zero" else u - r * removed
        outputs.append(s)
    out = torch.stack(outputs)
    assert 0.05 < out.mean() < 0.95
    objective = functional.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="sum") / BATCH
    (loss(out) if loss else objective).backward()
    return [w.grad for w in weights]


def by_weight(rule, x, y) -> list[torch.Tensor]:
    return list(by_rule(rule, x, y).values())


SIZES = {1: (6, 5), 2: (6, 8, 5), 3: (6, 9, 7, 5)}
BETAS = {1: (0.9,), 2: (0.7, 0.9), 3: (0.95, 0.6, 0.85)}


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("detach", [False, True])
def test_rtrl_is_backpropagation_through_time(depth, reset, detach):
    net = network(SIZES[depth], BETAS[depth], reset=reset, detach=detach)
    x, y = data(SIZES[depth])
    want = by_autograd(net, x, y)
    for rule in (online.RTRL(net), online.BPTT(net)):
        assert max(map(error, by_weight(rule, x, y), want)) < CLOSE


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_ostl_and_otpe_are_exact_in_the_output_population(depth):
    net = network(SIZES[depth], BETAS[depth])
    x, y = data(SIZES[depth])
    want = by_autograd(net, x, y)[-1]
    for rule in (online.OSTL(net), online.OTPE(net)):
        assert error(by_weight(rule, x, y)[-1], want) < CLOSE


def test_ostl_is_exact_in_the_output_population_with_reset_to_zero():
    net = network(SIZES[2], BETAS[2], reset="zero")
    x, y = data(SIZES[2])
    assert error(by_weight(online.OSTL(net), x, y)[-1], by_autograd(net, x, y)[-1]) < CLOSE


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_ottt_is_exact_in_the_output_population_with_the_reset_detached(depth):
    net = network(SIZES[depth], BETAS[depth])
    x, y = data(SIZES[depth])
    want = by_autograd(net, x, y, detached=range(depth))[-1]
    for rule in (online.OTTT(net), online.ApproxOTPE(net)):
        assert error(by_weight(rule, x, y)[-1], want) < CLOSE


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_ottt_is_autograd_with_the_memory_of_all_other_populations_cut(depth):
    net = network(SIZES[depth], BETAS[depth])
    x, y = data(SIZES[depth])
    got = by_weight(online.OTTT(net), x, y)
    for i in range(depth):
        others = [k for k in range(depth) if k != i]
        want = by_autograd(net, x, y, detached=range(depth), memory_cut=others)[i]
        assert error(got[i], want) < CLOSE


def test_otpe_is_exact_with_one_hidden_population_and_the_outputs_reset_detached():
    net = network(SIZES[2], BETAS[2])
    x, y = data(SIZES[2])
    want = by_autograd(net, x, y, detached=(1,))[0]
    assert error(by_weight(online.OTPE(net), x, y)[0], want) < CLOSE
    assert error(by_weight(online.OSTL(net), x, y)[0], want) > 0.1


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("leak", [None, 0.5])
def test_f_otpe_is_exact_in_the_output_population_for_the_leaky_sum(depth, leak):
    net = network(SIZES[depth], BETAS[depth])
    x, y = data(SIZES[depth])
    retention = BETAS[depth][-1] if leak is None else leak

    def loss(out):
        total, leaky = 0.0, torch.zeros_like(out[0])
        for s, labels in zip(out, y, strict=True):
            leaky = float(torch.tensor(retention)) * leaky + s
            total = total + functional.cross_entropy(leaky, labels)
        return total

    got = by_weight(online.FOTPE(net, leak=leak and float(torch.tensor(leak))), x, y)
    assert error(got[-1], by_autograd(net, x, y, loss=loss)[-1]) < CLOSE


def test_approximate_otpe_is_what_its_equations_say():
    """z^ and the average of f, with the next population's lambda, written out for three populations."""
    net = network(SIZES[3], BETAS[3])
    x, y = data(SIZES[3])
    (w1, n1), (w2, n2), (w3, n3) = [(list(net)[k].weight.detach(), list(net)[k + 1]) for k in (0, 2, 4)]
    betas = [float(n.beta) for n in (n1, n2, n3)]
    v = [torch.zeros(BATCH, len(w), dtype=x.dtype) for w in (w1, w2, w3)]
    inputs, slopes, outputs = [], [], []
    for s in x:
        read, slope = [], []
        for i, (w, n) in enumerate(zip((w1, w2, w3), (n1, n2, n3), strict=True)):
            read.append(s)
            u = betas[i] * v[i] + s @ w.t()
            slope.append(1 / (1 + SLOPE * (u - n.vth).abs()) ** 2)
            s = (u > n.vth).double()
            v[i] = u - s * (n.vth if n.reset_by is None else n.reset_by)
        inputs.append(read)
        slopes.append(slope)
        outputs.append(s)
    want = [torch.zeros_like(w) for w in (w1, w2, w3)]
    for t in range(STEPS):
        a = [sum(betas[i] ** (t - k) * inputs[k][i] for k in range(t + 1)) for i in range(3)]
        z = []
        for i in (0, 1):
            hat = [sum(betas[i] ** (m - k) * inputs[k][i] for k in range(m + 1)) for m in range(t + 1)]
            z.append(sum(betas[i + 1] ** (t - m) * hat[m] for m in range(t + 1)))
        weights = [[betas[i + 1] ** (t - k) for k in range(t + 1)] for i in (0, 1)]
        g = [sum(w * slopes[k][i] for k, w in enumerate(weights[i])) / sum(weights[i]) for i in (0, 1)]
        top = (outputs[t].softmax(1) - functional.one_hot(y[t], outputs[t].shape[1])) / BATCH * slopes[t][2]
        second = (top @ w3) * g[1]
        first = (second @ w2) * g[0]
        for total, by_output, trace in zip(want, (first, second, top), (*z, a[2]), strict=True):
            total += by_output.t() @ trace
    got = by_weight(online.ApproxOTPE(net), x, y)
    assert max(map(error, got, want)) < CLOSE


def test_approximate_otpe_is_otpe_where_the_surrogate_is_constant():
    """So the weights of the average must add up to 1."""
    net = network(SIZES[2], BETAS[2], detach=True)
    for cell in list(net)[1::2]:
        cell.surrogate = sm.nn.StraightThrough()
    x, y = data(SIZES[2])
    approximate, otpe = (by_weight(rule(net), x, y) for rule in (online.ApproxOTPE, online.OTPE))
    assert max(map(error, approximate, otpe)) < CLOSE
