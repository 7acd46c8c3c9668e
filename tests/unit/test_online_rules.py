"""e-prop, SuperSpike, DECOLLE, feedback alignment and STDP against the equations written out (float64)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from oracle import by_rule, error, lif, spike
from torch import nn
from torch.nn import functional

import seamount as sm
from seamount.errors import TrainingError
from seamount_models import online

CLOSE = 1e-12
STEPS, BATCH, CLASSES = 12, 3, 4


def weights(*sizes) -> Any:
    torch.manual_seed(0)
    found = [nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
    for w in found:
        nn.init.normal_(w.weight, 0.15, 0.8)
    return found


def data(seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, 5, generator=generator) < 0.5).double()
    return x, torch.randint(0, CLASSES, (STEPS, BATCH), generator=generator)


def populations(net, x, *, detach=True, loop: Any = None):
    """Spikes and v over time of Linear, LIF, Linear, LIF (or LI), with their graph; and the weights in it."""
    w = [p.detach().clone().requires_grad_() for p in net.parameters()]
    ws = [w[0], w[-1]]
    neurons = [net[1].neuron if loop else net[1], net[3]]
    v = [torch.zeros(BATCH, len(m), dtype=x.dtype) for m in ws]
    before, hidden, out = torch.zeros_like(v[0]), [], []
    for s in x:
        for i, n in enumerate(neurons):
            v[i] = n.beta * v[i] + s @ ws[i].t() + (before.detach() @ w[1].t() if loop and i == 0 else 0.0)
            s = v[i]
            if n.spiking:
                s = spike(v[i] - n.vth)
                v[i] = v[i] - (s.detach() if detach else s) * n.vth
            if i == 0:
                before = s
                hidden.append(s)
        out.append(s)
    assert 0.05 < torch.stack(hidden).detach().mean() < 0.95
    return torch.stack(hidden), torch.stack(out), w


@pytest.mark.parametrize("detach", [False, True])
def test_eprop_is_the_gradient_but_for_later_recurrent_spikes(detach):
    a, loop, b = *weights(5, 7, 7), weights(7, CLASSES)[0]
    cell = lif(0.8, detach_reset=detach)
    net = nn.Sequential(a, sm.nn.Recurrent(cell, loop), b, sm.nn.LI(0.9)).double()
    x, y = data()
    _, out, w = populations(net, x, detach=detach, loop=True)
    functional.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="sum").div(BATCH).backward()
    got = by_rule(online.EProp(net), x, y)
    for name, want in zip(("0.weight", "1.connection.weight", "2.weight"), w, strict=True):
        assert error(got[name], want.grad) < CLOSE


def kernel(x, rise, decay):
    a = b = torch.zeros_like(x[0])
    found = []
    for value in x:
        a = rise * a + value
        b = decay * b + a
        found.append(b)
    return torch.stack(found)


def test_superspike_is_exact_in_the_output_for_van_rossums_distance():
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, _ = data()
    target = (torch.rand(STEPS, BATCH, CLASSES, generator=torch.Generator().manual_seed(3)) < 0.3).double()
    hidden, out, w = populations(net, x)
    distance = kernel(out - target, 0.7, 0.9)
    (0.5 * distance.square().sum() / BATCH).backward()
    rule = online.SuperSpike(net, rise=0.7, decay=0.9)
    got = by_rule(rule, x, target)
    assert error(got["2.weight"], w[1].grad) < CLOSE
    hidden, _, w = populations(net, x)
    arriving = distance.detach() @ w[1].detach() / BATCH
    (kernel(hidden, 0.7, 0.9) * arriving).sum().backward()
    assert error(got["0.weight"], w[0].grad) < CLOSE
    assert float(rule.value) == pytest.approx(float(0.5 * distance.detach().square().sum() / BATCH))


def test_decolle_is_the_gradient_of_each_populations_own_readout():
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, y = data()
    rule = online.DECOLLE(net, seed=4)
    got = by_rule(rule, x, y)
    readout = rule.feedback.weights["1"]  # type: ignore[attr-defined]
    hidden, out, w = populations(net, x)
    own = hidden @ readout
    functional.cross_entropy(own.flatten(0, 1), y.flatten(), reduction="sum").div(BATCH).backward()
    assert error(got["0.weight"], w[0].grad) < CLOSE
    _, out, w = populations(net, x)
    functional.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="sum").div(BATCH).backward()
    assert error(got["2.weight"], w[1].grad) < CLOSE
    half = online.DECOLLE(net, seed=4)
    net.zero_grad()
    half.sample(x, y, [0.5] * len(x))
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.grad, got[name] / 2)
    assert torch.equal(by_rule(online.DECOLLE(net, seed=4), x, y)["0.weight"], got["0.weight"])
    assert not torch.equal(by_rule(online.DECOLLE(net, seed=5), x, y)["0.weight"], got["0.weight"])


@pytest.mark.parametrize("kind", [online.OTTT, online.OSTL, online.OTPE, online.ApproxOTPE, online.FOTPE])
def test_every_rule_takes_every_way_of_the_error(kind):
    """The output learns alike; a random way back of the weights themselves is the symmetric one."""
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, y = data()
    want = by_rule(kind(net), x, y)
    random, direct = online.Random(seed=2), online.Direct(seed=2)
    for feedback in (random, direct):
        got = by_rule(kind(net, feedback=feedback), x, y)
        assert error(got["2.weight"], want["2.weight"]) < CLOSE
        assert error(got["0.weight"], want["0.weight"]) > 0.1
    assert abs(float(random.weights["2"].std() / b.weight.detach().std()) - 1) < 0.5
    random.weights["2"] = b.weight.detach()
    got = by_rule(kind(net, feedback=random), x, y)
    assert error(got["0.weight"], want["0.weight"]) < CLOSE


def test_direct_feedback_projects_the_outputs_error():
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, y = data()
    rule = online.OTTT(net, feedback=online.Direct(seed=1))
    rule.step(x[0], y[0])
    local, top = rule.local("1")["0"], rule.local("3")["2"]
    torch.testing.assert_close(local.error, top.error @ rule.feedback.weights["1"])  # type: ignore[attr-defined]


def pairs(x, s, pre, post, potentiation, depression):
    """dW of every pair of spikes, sample by sample: `[B, out, in]`."""
    change = torch.zeros(x.shape[1], s.shape[2], x.shape[2], dtype=x.dtype)
    for i in range(len(x)):
        for j in range(len(s)):
            both = s[j][:, :, None] * x[i][:, None, :]
            change += potentiation * pre ** (j - i) * both if j >= i else -depression * post ** (i - j) * both
    return change


def test_stdp_counts_every_pair():
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, y = data()
    hidden, out, _ = populations(net, x)
    options: dict[str, Any] = {"pre": 0.8, "post": 0.7, "potentiation": 0.02, "depression": 0.03}
    got = by_rule(online.STDP(net, **options), x, y)
    for name, source, spikes in (("0.weight", x, hidden), ("2.weight", hidden, out)):
        assert error(got[name], -pairs(source.detach(), spikes.detach(), **options).sum(0) / BATCH) < CLOSE
    assert by_rule(online.STDP(net, only=["2"], **options), x, y)["0.weight"] is None


def test_reward_at_the_end_applies_what_the_pairs_have_left():
    a, b = weights(5, 7, CLASSES)
    net = nn.Sequential(a, lif(0.8), b, lif(0.9)).double()
    x, _ = data()
    hidden, _, _ = populations(net, x)
    options: dict[str, Any] = {"pre": 0.8, "post": 0.7, "potentiation": 0.02, "depression": 0.03}
    rule = online.RewardSTDP(net, eligibility=1.0, only=["0"], **options)
    reward = torch.tensor([1.0, -2.0, 0.0])
    for t, spikes in enumerate(x):
        rule.step(spikes, reward if t == STEPS - 1 else None)
    change = pairs(x, hidden.detach(), **options)
    assert error(a.weight.grad, -(reward[:, None, None] * change).sum(0) / BATCH) < CLOSE


REFUSED = [
    (lambda: online.EProp(nn.Sequential(*deep(), lif(0.9))), r"EProp: 1 is read by others.*feedback=online.Direct"),
    (lambda: online.EProp(nn.Sequential(*deep(), lif(0.9, reset="zero"))), r"EProp: 5: what it remembers.*sm.nn.LI"),
    (lambda: online.SuperSpike(nn.Sequential(*deep()[:4]), rise=1.0), r"SuperSpike: rise = 1.0, decay = 0.9"),
    (lambda: online.FOTPE(nn.Sequential(*deep()[:4]), leak=2), r"FOTPE: leak = 2 \(allowed 0..1\)"),
    (
        lambda: online.STDP(nn.Sequential(*deep()[:4]), only=["7"]),
        r"STDP: there is no connection 7 \(there are: 0, 2\)",
    ),
    (lambda: online.STDP(nn.Sequential(*deep()[:4]), pre=2), r"STDP: pre = 2"),
    (lambda: online.RewardSTDP(nn.Sequential(*deep()[:4]), eligibility=2), r"RewardSTDP: eligibility = 2"),
]


def deep():
    return nn.Linear(2, 2), lif(0.9), nn.Linear(2, 2), lif(0.9), nn.Linear(2, 2)


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(TrainingError, match=message):
        make()
