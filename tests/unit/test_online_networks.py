"""Online rules on convolutions, biases, currents and recurrence, against autograd written out; what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from oracle import SLOPE, by_rule, error, lif, spike
from torch import nn
from torch.nn import functional

import seamount as sm
from seamount.errors import DataError, TrainingError
from seamount_models import networks, online
from seamount_models.online import losses

CLOSE = 1e-12
STEPS, BATCH, CLASSES = 8, 2, 4


def by_autograd(net, x, y, *, detached=(), cut=()):
    """Gradients by name, the neurons' equations over time written out; connections, pools and Flatten as they are.

    Args:
        detached: neurons, by position in the network, whose reset is left out of the graph.
        cut: those whose state and recurrent spikes of the step before are left out.
    """
    net = copy.deepcopy(net)
    net.zero_grad()
    states: dict[int, list[Any]] = {}
    total: Any = 0.0
    for s, labels in zip(x, y, strict=True):
        for i, module in enumerate(net):
            if isinstance(module, (sm.nn.Neuron, sm.nn.Recurrent)):
                cell = module.neuron if isinstance(module, sm.nn.Recurrent) else module
                u, v, before = states.get(i, [torch.zeros_like(s)] * 3)
                if i in cut:
                    u, v, before = u.detach(), v.detach(), before.detach()
                if isinstance(module, sm.nn.Recurrent):
                    s = s + module.connection(before.detach() if i in detached else before)
                u = getattr(cell, "alpha", 0.0) * u + s
                v = cell.beta * v + u + getattr(cell, "bias", 0.0)
                s = v
                if cell.spiking:
                    s = spike(v - cell.vth)
                    v = v - (s.detach() if i in detached else s) * cell.vth
                states[i] = [u, v, s]
            elif isinstance(module, nn.Flatten):
                s = s.flatten(1)
            else:
                s = module(s)
        total = total + functional.cross_entropy(s, labels)
    total.backward()
    assert all(float(state[2].detach().mean()) > 0.02 for i, state in states.items())
    return {name: p.grad for name, p in net.named_parameters()}


def worst(got, want, prefix=""):
    return max(error(got[name], want[name]) for name in want if name.startswith(prefix))


def data(shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, *shape, generator=generator) < 0.5).double()
    return x, torch.randint(0, CLASSES, (STEPS, BATCH), generator=generator)


def scaled(net, by=1.5):
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05).mul_(by)
    return net.double()


def convolutional(**options) -> Any:
    """A pool before and one after a convolution, strides, standardised weights, biases."""
    torch.manual_seed(0)
    return scaled(
        nn.Sequential(
            sm.nn.Conv2d(2, 3, 3, padding=1), sm.nn.AvgPool2d(2), lif(0.8, **options),
            sm.nn.WSConv2d(3, 4, 3, padding=1, stride=2), lif(0.9, **options),
            sm.nn.SumPool2d(2), sm.nn.Flatten(), nn.Linear(4, CLASSES), lif(0.7, **options),
        )
    )  # fmt: skip


@pytest.mark.parametrize("detach", [False, True])
def test_rtrl_is_exact_in_convolutions(detach):
    net = convolutional(detach_reset=detach)
    x, y = data((2, 8, 8))
    assert worst(by_rule(online.RTRL(net), x, y), by_autograd(net, x, y, detached=(2, 4, 8) if detach else ())) < CLOSE


def test_convolutions_learn_as_the_equations_say():
    """OTTT in each population; OSTL and OTPE in the output."""
    net = convolutional()
    x, y = data((2, 8, 8))
    got = by_rule(online.OTTT(net), x, y)
    for names, others in ((("0.",), (4, 8)), (("3.",), (2, 8)), (("7.",), (2, 4))):
        want = by_autograd(net, x, y, detached=(2, 4, 8), cut=others)
        assert max(worst(got, want, name) for name in names) < CLOSE
    want = by_autograd(net, x, y)
    for rule in (online.OSTL, online.OTPE):
        assert worst(by_rule(rule(net), x, y), want, "7.") < CLOSE


def test_otpe_is_exact_in_a_hidden_convolution():
    torch.manual_seed(0)
    net = scaled(
        nn.Sequential(
            sm.nn.WSConv2d(2, 3, 3, gain=3.0), sm.nn.AvgPool2d(2), lif(0.8),
            sm.nn.SumPool2d(2), sm.nn.Flatten(), nn.Linear(3, CLASSES), lif(0.9),
        )
    )  # fmt: skip
    x, y = data((2, 7, 7))
    got = by_rule(online.OTPE(net), x, y)
    assert worst(got, by_autograd(net, x, y, detached=(6,)), "0.") < CLOSE


def current_based() -> Any:
    torch.manual_seed(0)
    options = {"surrogate": sm.nn.FastSigmoid(SLOPE), "learn": ("bias", "beta")}
    first = sm.nn.CubaLIF(0.6, 0.9, bias=torch.zeros(7), **options)
    return scaled(
        nn.Sequential(
            nn.Linear(5, 7, bias=False), first,
            nn.Linear(7, CLASSES, bias=False), sm.nn.CubaLIF(0.3, 0.8, bias=0.1, **options),
        ), 1.0,
    )  # fmt: skip


def test_currents_and_parameters_of_neurons_have_traces_of_their_own():
    """A second-order trace; and what bias and retention have done so far, for each neuron."""
    net = current_based()
    x, y = data((5,))
    assert worst(by_rule(online.RTRL(net), x, y), by_autograd(net, x, y)) < CLOSE
    got = by_rule(online.OTTT(net), x, y)
    hidden, output = ("0.", "1."), ("2.", "3.")
    assert max(worst(got, by_autograd(net, x, y, detached=(1, 3), cut=(3,)), name) for name in hidden) < CLOSE
    assert max(worst(got, by_autograd(net, x, y, detached=(1, 3)), name) for name in output) < CLOSE
    got = by_rule(online.OTPE(net), x, y)
    assert max(worst(got, by_autograd(net, x, y, detached=(3,)), name) for name in hidden) < CLOSE
    assert max(worst(got, by_autograd(net, x, y), name) for name in output) < CLOSE


def recurrent(**options) -> Any:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(5, 6), sm.nn.Recurrent(lif(0.8, **options), nn.Linear(6, 6, bias=False)),
        nn.Linear(6, CLASSES), sm.nn.LI(0.9),
    )  # fmt: skip
    return scaled(net)


def test_recurrent_connections():
    net = recurrent()
    x, y = data((5,))
    assert worst(by_rule(online.RTRL(net), x, y), by_autograd(net, x, y)) < CLOSE
    got = by_rule(online.OTTT(net), x, y)
    assert worst(got, by_autograd(net, x, y, detached=(1,)), "2.") < CLOSE
    assert worst(got, by_autograd(net, x, y, detached=(1,), cut=(3,)), "0.") < CLOSE
    assert worst(got, by_autograd(net, x, y, detached=(1,), cut=(3,)), "1.") < CLOSE


def test_feedback_from_a_later_population():
    """Of what comes back, OTTT has a trace, and no error goes through it; the loop by hand."""
    torch.manual_seed(0)
    body = nn.Sequential(lif(0.8), nn.Linear(6, 7, bias=False), lif(0.7))
    net: Any = scaled(
        nn.Sequential(
            nn.Linear(5, 6, bias=False), sm.nn.Feedback(body, nn.Linear(7, 6, bias=False), delay=2),
            nn.Linear(7, CLASSES, bias=False), sm.nn.LI(0.9),
        )
    )  # fmt: skip
    x, y = data((5,))
    assert worst(by_rule(online.RTRL(net), x, y), by_rule(online.BPTT(net), x, y)) < CLOSE
    torch.testing.assert_close(online.OTTT(net).sample(x, y), net(x).detach())
    got = by_rule(online.OTTT(net), x, y)
    names = ("0.weight", "1.body.1.weight", "1.connection.weight", "2.weight")
    for name in names:
        w = [net.get_parameter(n).detach().clone().requires_grad_() for n in names]
        u = [torch.zeros(BATCH, n, dtype=x.dtype) for n in (6, 7, CLASSES)]
        keep = [name in (names[0], names[2]), name == names[1], name == names[3]]
        late, total = [torch.zeros(BATCH, 7, dtype=x.dtype)] * 2, 0.0
        for s, labels in zip(x, y, strict=True):
            u = [v if kept else v.detach() for v, kept in zip(u, keep, strict=True)]
            u[0] = net[1].body[0].beta * u[0] + s @ w[0].t() + late[-2].detach() @ w[2].t()
            s = spike(u[0] - 1)
            u[0] = u[0] - s.detach()
            u[1] = net[1].body[2].beta * u[1] + s @ w[1].t()
            s = spike(u[1] - 1)
            u[1] = u[1] - s.detach()
            late.append(s)
            u[2] = net[3].beta * u[2] + s @ w[3].t()
            total = total + functional.cross_entropy(u[2], labels)
        total.backward()  # type: ignore[union-attr]
        assert error(got[name], w[names.index(name)].grad) < CLOSE


def test_vgg_with_feedback_runs():
    net = networks.vgg_f((2, 8, 8), CLASSES, lif(0.5), layers="4C3-AP2-6C3-GAP", readout=sm.nn.LI(0.5), delay=1, seed=0)
    nn.init.normal_(net.loop.connection.conv.weight, 0.0, 0.3)  # type: ignore[union-attr]
    x, y = (torch.rand(STEPS, BATCH, 2, 8, 8, generator=torch.Generator().manual_seed(2)) < 0.5).float(), data((2,))[1]
    rule = online.OTTT(net)
    torch.testing.assert_close(rule.sample(x, y), net(x).detach())
    assert all(bool(p.grad.abs().sum() > 0) for p in net.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize(
    "neuron",
    [
        sm.nn.ALIF(beta=0.9, rho=0.8, adaptation=0.7),
        sm.nn.RefractoryLIF(beta=0.9, refractory=2),
        sm.nn.TernaryLIF(beta=0.9),
        lif(torch.linspace(0.5, 0.9, 6)),
        lif(0.9, reset="zero"),
    ],
    ids=lambda n: type(n).__name__ + getattr(n, "reset", ""),
)
def test_every_neuron_model_has_its_derivatives(neuron):
    """RTRL against autograd through the module, whose backward pass is another derivation of the same step."""
    torch.manual_seed(0)
    net = scaled(nn.Sequential(nn.Linear(5, 6, bias=False), neuron, nn.Linear(6, CLASSES, bias=False), lif(0.8)), 2.0)
    x, y = data((5,))
    assert worst(by_rule(online.RTRL(net), x, y), by_rule(online.BPTT(net), x, y)) < CLOSE
    assert worst(by_rule(online.OSTL(net), x, y), by_rule(online.BPTT(net), x, y), "2.") < CLOSE


def test_steps_are_those_of_the_network():
    for net, shape in ((convolutional(), (2, 8, 8)), (recurrent(), (5,)), (current_based(), (5,))):
        x, y = data(shape)
        torch.testing.assert_close(online.OTTT(net).sample(x, y), net(x).detach())


def test_local_factors_make_up_the_gradient():
    net = current_based()
    x, y = data((5,))
    rules: list[Any] = [online.OTTT(net), online.OTPE(net), online.ApproxOTPE(net)]
    for rule in rules:
        net.zero_grad()
        rule.reset()
        rule.step(x[0], y[0])
        for name, population in (("0", "1"), ("2", "3")):
            local: Any = rule.local(population)[name]
            if local.eligibility is None:
                made = (local.error * local.post).t() @ local.pre
            else:
                made = (local.error[:, :, None] * local.eligibility[:, :, 0]).sum(0)
            torch.testing.assert_close(made, net.get_submodule(name).weight.grad)


def test_memory_does_not_grow_with_time():
    """The same tensors, of the same size, hold the traces after any number of steps."""
    net = networks.mlp((5, 6, CLASSES), lif(0.9), seed=0)
    rule: Any = online.ApproxOTPE(net)
    x, y = torch.ones(BATCH, 5), torch.zeros(BATCH, dtype=torch.int64)
    rule.step(x, y)
    before = [f.pre.data_ptr() for f in rule.factors.values()]
    for _ in range(5):
        rule.step(x, y)
    assert [f.pre.data_ptr() for f in rule.factors.values()] == before
    assert not any(f.pre.requires_grad for f in rule.factors.values())


REFUSED = [
    (online.OTPE, recurrent(), r"OTPE: 1\.connection is recurrent or delayed.*Hint: online.OTTT"),
    (online.OSTL, recurrent(), r"OSTL: 1\.connection is recurrent"),
    (online.OTTT, convolutional(reset="zero"), r"2: what it remembers depends on its own spikes"),
    (online.OTPE, convolutional(reset="zero"), r"OTPE: 4: what it remembers.*online.OSTL"),
    (online.OTTT, nn.Sequential(nn.Linear(2, 2), lif(torch.full((2,), 0.9), learn=("beta",))), r"1: its neurons learn"),
    (online.OTTT, nn.Sequential(nn.Linear(2, 2), lif(torch.tensor([0.5, 0.9]))), r"1: its neurons retain 0\.5\.\.0\.9"),
    (online.OTTT, nn.Sequential(nn.Linear(2, 2), sm.nn.TernaryLIF(0.9)), r"1: its spikes are not 0 and 1"),
    (online.OTTT, nn.Sequential(nn.Linear(2, 2), sm.nn.BatchNorm1d(2), lif(0.9)), r"1: BatchNorm1d has statistics"),
    (online.OTTT, nn.Sequential(sm.nn.Delayed(nn.Linear(2, 2), 1), lif(0.9)), r"0.connection: delays all that 1 reads"),
    (online.OSTL, nn.Sequential(sm.nn.Conv2d(2, 2, 1, groups=2), lif(0.9)), r"0: has 2 groups"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "net", "message"), REFUSED)
def test_what_a_rule_cannot_train_is_refused_by_name(rule, net, message):
    with pytest.raises(TrainingError, match=message):
        rule(net)


def test_large_networks_are_refused_by_rtrl():
    rule = online.RTRL(networks.mlp((400, 300, 10), lif(0.9), seed=0))
    with pytest.raises(TrainingError, match=r"RTRL: lif1: 123000 parameters times 600 neurons and samples"):
        rule.step(torch.ones(2, 400), torch.zeros(2, dtype=torch.int64))


def test_a_loss_that_is_not_a_number_names_step_and_layer():
    net = networks.mlp((5, 6, CLASSES), lif(0.9), seed=0)
    rule = online.OTTT(net, lambda output, target: output.sum() * torch.nan)
    x, y = torch.ones(BATCH, 5), torch.zeros(BATCH, dtype=torch.int64)
    with pytest.raises(TrainingError, match=r"OTTT: the loss is nan at step 0, first in the loss itself"):
        rule.step(x, y)
    rule = online.OTTT(networks.mlp((5, 6, CLASSES), lif(0.9), readout=sm.nn.LI(0.9), seed=0))
    rule.step(x, y)
    with torch.no_grad():
        rule.net.readout.weight[0, 0] = torch.inf  # type: ignore[union-attr]
        rule.net.readout.weight[1, 0] = torch.nan  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1, first in readout"):
        rule.step(x, y)


def test_another_batch_needs_a_reset():
    rule = online.OTTT(networks.mlp((5, CLASSES), lif(0.9), seed=0))
    rule.step(torch.ones(2, 5), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(DataError, match=r"OTTT: step 1 has 3 samples, the one before 2. Hint: rule.reset"):
        rule.step(torch.ones(3, 5), torch.zeros(3, dtype=torch.int64))
    rule.reset()
    rule.step(torch.ones(3, 5), torch.zeros(3, dtype=torch.int64))


def test_losses():
    output, labels = torch.tensor([[0.5, 1.0], [0.0, 2.0]]), torch.tensor([1, -1])
    find = losses.find
    assert float(find("cross_entropy")(output, labels)) == pytest.approx(float(-output[0].log_softmax(0)[1]) / 2)
    assert float(find("mse")(output, labels)) == pytest.approx(0.25 / 4)
    assert float(find("mixed", share=1.0)(output, labels)) == pytest.approx(0.25 / 4)
    with pytest.raises(DataError, match=r"loss 'hinge' is unknown. Allowed: cross_entropy, mse, mixed"):
        find("hinge")
