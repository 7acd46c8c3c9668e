"""`fit` with an online rule: the same loop as by backpropagation through time, with the rule's gradients."""

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import DataError, TrainingError
from seamount_models import datasets, losses, networks, online, recipes, training
from seamount_models.training import rules
from seamount_models.training.distributed import ALONE, Processes
from seamount_models.training.rules import OnlineStep
from seamount_models.training.step import Step


@pytest.fixture(scope="module")
def data():
    digits = datasets.load("digits", steps=4)
    return dataclasses.replace(digits, train=digits.train.subset(range(160)), test=digits.test.subset(range(100)))


def small(*hidden: int, readout: Any = None) -> Any:
    return networks.mlp((64, *(hidden or (24,)), 10), sm.nn.LIF(0.9), readout=readout or sm.nn.LI(0.9), seed=0)


def fit(net, data, **options) -> training.History:
    settings = {"epochs": 2, "rule": "OTTT", "threads": 1, "progress": False}
    return training.fit(net, data, **{**settings, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def by_rule(
    net, rule="OTTT", loss=losses.membrane_cross_entropy, between=None, clip=None, processes=ALONE
) -> OnlineStep:
    return OnlineStep(rules.build(rules.find(rule), net, loss), losses.decoder(loss), between, clip, processes)


def gradients(net: nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def batch(labels: str, samples: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(7, samples, 6, generator=generator) < 0.5).double()
    y = torch.randint(0, 3, (samples,), generator=generator)
    if labels == "step":
        y = torch.randint(-1, 3, (7, samples), generator=generator)
        y[2:4] = -1  # steps in which nothing is labelled
    return x, y


# gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["sample", "step"])
@pytest.mark.parametrize(
    "loss", [*sorted(losses.OF_STEPS, key=str), losses.find({"name": "membrane_cross_entropy", "smoothing": 0.1})]
)
def test_where_the_rule_is_exact_the_step_is_that_of_backpropagation_through_time(labels, loss):
    """One population, which OTTT trains exactly: gradient, loss, right answers and activity are the same."""
    net = networks.mlp((6, 3), sm.nn.LIF(0.9, vth=0.3, detach_reset=True), seed=0).double()
    x, y = batch(labels)
    want = Step(net, loss, [], None, 0.1, "float32", ALONE).gradients(x, y, watch=True)
    exact = gradients(net)
    got = by_rule(net, loss=loss, clip=0.1).gradients(x, y, watch=True)
    torch.testing.assert_close(gradients(net), exact)
    torch.testing.assert_close(got, want)
    assert list(got[2]) == ["out"]


def test_the_shares_of_several_processes_add_up_to_the_whole():
    """Three processes and a batch of two: the last has no sample, and its gradient is 0."""

    class Apart(Processes):
        def sum_gradients(self, parameters, *also):
            return list(also)

    for samples in (2, 5):
        x, y = batch("step", samples)
        net = networks.mlp((6, 8, 3), sm.nn.LIF(0.9, vth=0.3), seed=0).double()
        value, right, _ = by_rule(net).gradients(x, y)
        whole, parts, found = gradients(net), [], []
        for rank in range(3):
            processes = Apart(rank, 3)
            found.append(by_rule(net, processes=processes).gradients(x[:, processes.share], y))
            parts.append(gradients(net))
        torch.testing.assert_close([sum(p) for p in zip(*parts, strict=True)], whole)
        assert float(sum(v for v, _, _ in found)) == pytest.approx(float(value))
        assert sum(r for _, r, _ in found) == right


def test_immediate_is_a_step_of_the_optimizer_at_each_step_of_time():
    x, y = batch("step")
    net: Any = networks.mlp((6, 8, 3), sm.nn.LIF(0.9, vth=0.3), seed=0).double()
    other = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    by_rule(net, between=optimizer, clip=0.05).gradients(x, y)
    optimizer.step()  # the last is left to the caller
    rule = online.OTTT(other)
    rule.reset()
    for now, labels in zip(x, y, strict=True):
        other.zero_grad()
        rule.step(now, labels, len(labels) / int((y != -1).sum()))  # a rule's own loss is a mean over all samples
        nn.utils.clip_grad_norm_(other.parameters(), 0.05)
        with torch.no_grad():
            for p in other.parameters():
                p -= 0.5 * p.grad
    torch.testing.assert_close(list(net.parameters()), list(other.parameters()))


@pytest.mark.parametrize("rule", ["OTTT", "EProp", "ApproxOTPE"])
def test_traces_follow_retentions_that_train(rule):
    """After an update, a sample's gradient is that of a rule made anew."""
    x, y = batch("sample")
    net: Any = networks.mlp(
        (6, 8, 3), sm.nn.LIF(0.9, vth=0.3, learn="beta"), readout=sm.nn.LI(0.8, learn="beta")
    ).double()
    step = by_rule(net, rule)
    step.gradients(x, y)
    with torch.no_grad():
        for neuron in (net.lif1, net.out):
            neuron.beta -= 0.2
    step.gradients(x, y)
    got = gradients(net)
    by_rule(net, rule).gradients(x, y)
    torch.testing.assert_close(got, gradients(net))


# the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"immediate": True, "lr": 5e-3},
        {"rule": "EProp", "lr": 3e-2},
        {"rule": online.ApproxOTPE, "loss": "membrane_mix"},
        {"batch_size": 1, "lr": 5e-3, "epochs": 3},
    ],
    ids=["OTTT-A", "OTTT-O", "e-prop", "Approx OTPE", "one sample at a time"],
)
def test_rules_learn(options, data):
    net = small()
    history = fit(net, data, **{"epochs": 8, "lr": 1e-2, "validation": 0.2, **options})
    assert history.loss[-1] < history.loss[0]
    assert training.evaluate(net, data.test).accuracy > 0.4
    assert history.validation_accuracy[history.best or 0] == max(history.validation_accuracy)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "options",
    [{"immediate": True}, {"rule": {"name": "OTTT", "feedback": "Random"}}, {"rule": {"name": "DECOLLE"}}],
    ids=["immediate", "feedback alignment", "random readouts"],
)
def test_a_run_that_breaks_off_goes_on_to_the_same_result(options, data, tmp_path):
    options = {"epochs": 3, "validation": 0.25, "clip": 1.0, **options}
    whole = small()
    history = fit(whole, data, **options)
    calls = []

    def membrane_cross_entropy(output, labels):
        calls.append(0)
        if len(calls) > 40:  # four batches of four steps an epoch; the readouts of DECOLLE have their own
            raise Killed
        return losses.membrane_cross_entropy(output, labels)

    with pytest.raises(Killed):
        fit(small(), data, checkpoint=tmp_path / "run.pt", loss=membrane_cross_entropy, **options)
    other = small()
    assert fit(other, data, checkpoint=tmp_path / "run.pt", **options) == history
    assert same(other, whole)


def test_a_network_trained_online_goes_the_whole_way(data):
    """Quantized, lowered, compiled, and equal in every spike and every v."""
    net = small()
    fit(net, data, epochs=4, lr=1e-2, immediate=True)
    qnet = sm.quantize(net, weight_bits=8, target="loihi2", calibration=data.train)
    graph = sm.lower(qnet)
    sm.verify(graph, ["reference", "onnxruntime", "loihi2"], data.test.spikes(range(20))).check()
    result = sm.compile(graph, "loihi2").run(data.test.spikes(seed=0))
    assert (result.output.sum(0).argmax(1) == data.test.y.numpy()).mean() > 0.5


def test_recipes_with_a_rule(tmp_path):
    head = 'base = "digits"\n[data]\nsteps = 4\n[training]\nepochs = 1\n'
    path = tmp_path / "online.toml"
    path.write_text(head + 'rule = { name = "OTTT", feedback = "Direct" }\nimmediate = true\n')
    _, _, history = recipes.train(recipes.load(str(path)), progress=False, lr=1e-3)
    assert history.accuracy[0] > 0.2
    path.write_text(head + 'rule = "OTT"\n')
    with pytest.raises(DataError, match=r"\[training\] rule 'OTT' is unknown\. Allowed: DECOLLE, .*OTTT"):
        recipes.load(str(path))


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path):
    mine, whole = recipes.load("mnist-conv-ottt-a"), recipes.load("mnist-conv")
    assert dataclasses.replace(mine, name="", training={}) == dataclasses.replace(whole, name="", training={})
    assert mine.training == {**whole.training, "epochs": 5, "rule": "OTTT"}
    path = tmp_path / "own.toml"
    for base in ('"own"', '"nosuch"', "3"):
        path.write_text(f"base = {base}\n[data]\nsteps = 4\n")
        with pytest.raises(
            DataError, match=r"own\.toml: base .* is no recipe of the package's\. There are: cifar10-vgg"
        ):
            recipes.load(str(path))


def test_subnormal_numbers_are_0_while_a_rule_trains_and_no_longer(data):
    tiny = torch.full((1,), 2.0**-140)
    found = []

    def membrane_cross_entropy(output, labels):
        found.append(float(tiny * 1.0))
        return losses.membrane_cross_entropy(output, labels)

    fit(small(), data, epochs=1, loss=membrane_cross_entropy)
    assert set(found) == {0.0}
    assert float(tiny * 1.0) == 2.0**-140
    assert np.finfo(np.float32).smallest_subnormal > 0


# refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": None, "immediate": True}, r"fit: immediate = True, but no gradient is known before a sample ends"),
        ({"chunk": 2}, r"fit: chunk = 2, which rule = OTTT cannot follow\."),
        ({"activity": {"upper": 0.3}}, r"fit: activity = \[ActivityBounds\(.*which rule = OTTT cannot follow"),
        ({"dtype": "bfloat16"}, r"fit: dtype = bfloat16, which rule = OTTT cannot follow"),
        ({"loss": "count_mse"}, r"fit: loss count_mse is of a whole sample, .*Allowed: membrane_cross_entropy"),
        ({"loss": {"name": "spike_time_mse"}}, r"loss spike_time_mse is of a whole sample"),
        ({"rule": "BPTT"}, r"rule 'BPTT' is unknown\. Allowed: DECOLLE, FOTPE"),
        ({"rule": "SuperSpike"}, r"rule 'SuperSpike' is unknown"),
        ({"rule": {"name": "OTTT", "leak": 0.5}}, r"rule OTTT: has no setting 'leak'\. Allowed: feedback\."),
        ({"rule": {"name": "OTTT", "feedback": "Back"}}, r"rule OTTT: feedback 'Back' is unknown\. Allowed: Symmetric"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_with_a_rule(options, message, data):
    with pytest.raises(DataError, match=message):
        fit(small(), data, **options)


def test_networks_and_objects_that_cannot_be_trained(data):
    with pytest.raises(TrainingError, match=r"OTPE: rec1\.\S+ is recurrent or delayed \(allowed: feed-forward\)"):
        fit(networks.recurrent((64, 8, 10), sm.nn.LIF(0.9), seed=0), data, rule="OTPE")
    with pytest.raises(DataError, match=r"fit: drop1: a rule leaves out what dropout does\. Hint: dropout = 0\."):
        fit(networks.recurrent((64, 8, 10), sm.nn.LIF(0.9), dropout=0.1, seed=0), data)
    with pytest.raises(TrainingError, match=r"fit: BPTT is no rule with a loss\. Allowed: DECOLLE"):
        fit(small(), data, rule=online.BPTT)


def test_a_loss_that_is_no_number_stops_with_step_and_layer(data):
    net = small()
    with torch.no_grad():
        net.readout.weight[0, 0] = float("nan")
    with pytest.raises(
        TrainingError, match=r"OTTT: the loss is nan at step 0, first in readout\. Hint: a smaller lear"
    ):
        fit(net, data)
