"""Converted ReLU networks: what each neuron counts, what the whole network says, on every target; what is refused."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

import seamount as sm
from seamount.errors import DataError, LoweringError, UnsupportedNodeError
from seamount_models import datasets, training
from seamount_models.conversion import ConversionWarning, convert

BOUND = 15


def digits(steps: int, coding: str = "direct"):
    return datasets.load("digits", steps=steps, coding=coding)


@pytest.fixture(scope="module")
def ann() -> nn.Sequential:
    """A trained ReLU network, 98 % on the test split."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 48, bias=False), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(48, 10),
    )  # fmt: skip
    train = digits(1).train
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many times faster for so small a network on a busy machine
    for _ in range(20):
        for picked in torch.randperm(len(train)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(train.x[picked]), train.y[picked]).backward()
            optimizer.step()
    torch.set_num_threads(threads)
    return net.eval()


class Branches(nn.Module):
    """Convolutions, a shortcut that is a connection, one ReLU called twice, functions in place of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.relu = nn.ReLU(inplace=True)
        self.left, self.short = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 1, bias=False)
        self.pool, self.out = nn.AvgPool2d(2), nn.Linear(96, 10)

    def forward(self, x):
        x = self.relu(self.stem(x))
        x = self.pool(functional.relu(self.left(x) + self.short(x)))
        return self.out(torch.flatten(x, 1)).relu()


def images(split):
    """8 x 8 pixels instead of a row of 64."""
    return dataclasses.replace(split, x=split.x.reshape(-1, 1, 8, 8), image=None)


@pytest.mark.parametrize("half", [False, True])
def test_a_neuron_counts_its_activation_in_parts_of_its_threshold(half):
    """n = T where its input c a step is above vth, else ceil(T c / vth) - 1, at least 0: v never exceeds vth."""
    torch.manual_seed(0)
    ann, train = nn.Sequential(nn.Linear(64, 30), nn.ReLU()), digits(13).train
    net = convert(ann, train, percentile=95, half=half).double()
    vth = net.get_submodule("1").vth.double()
    spikes = train.spikes(range(600, 700))
    c = ann.double()[0](spikes[0].double() / BOUND) + half * vth / 26
    want = torch.where(c > vth, 13, (torch.ceil(13 * c / vth) - 1).clamp(0))
    assert torch.equal(net(spikes.double()).sum(0), want)
    assert want.unique().tolist() == list(range(14))


@pytest.mark.parametrize("percentile", [90, 100])
def test_thresholds_are_percentiles_of_what_is_above_0(ann, percentile):
    train = digits(8).train
    net = convert(ann, train, percentile=percentile, half=False)
    x = train.x[:512]
    for name, end in (("1", 2), ("4", 5)):
        channels = ann[:end](x).detach().T
        whole = torch.quantile(channels[channels > 0], percentile / 100)
        want = torch.stack([torch.quantile(c[c > 0], percentile / 100) if c.any() else whole for c in channels])
        torch.testing.assert_close(net.get_submodule(name).vth, want)


def test_spikes_that_are_the_answer_count_alike():
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Dropout(0.1))
    net = convert(ann, digits(8).train)
    assert net.get_submodule("1").vth.shape == (20,)
    assert net.get_submodule("3").vth.shape == ()


def test_each_weight_counts_the_threshold_of_its_source():
    """After many steps rates times thresholds are the activations, through groups, pools and Flatten."""
    torch.manual_seed(0)
    ann = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
    )  # fmt: skip
    with torch.no_grad():
        ann[0].weight.mul_(torch.tensor([0.2, 1.0, 3.0, 9.0]).reshape(4, 1, 1, 1))
    data = images(digits(2000).train)
    net = convert(ann, data, percentile=100)
    with torch.no_grad():
        want = ann(data.x[:3])
        got = net(data.spikes(range(3)).float()).mean(0)
    torch.testing.assert_close(got, want, rtol=0.01, atol=0.005)


@pytest.mark.parametrize("coding", ["direct", "count", "rate"])
def test_accuracy_is_kept_on_the_chip_and_targets_agree(ann, coding):
    data = digits(32, coding)
    wanted = (ann(data.test.x).argmax(-1) == data.test.y).float().mean().item()
    assert wanted > 0.96
    net = convert(ann, data.train)
    assert training.evaluate(net, data.test).accuracy > wanted - 0.01
    qnet = sm.quantize(net, calibration=data.train, input_bound=data.input.bound)
    assert training.evaluate(qnet, data.test).accuracy > wanted - 0.015
    graph = sm.lower(qnet, input_kind=data.input.kind, input_bound=data.input.bound)
    assert sm.verify(graph, ["reference", "onnxruntime", "loihi2"], data.test.spikes(range(5))).ok


def test_branches_and_functions_convert():
    torch.manual_seed(0)
    ann, train = Branches(), images(digits(400).train)
    with torch.no_grad():
        ann.stem(train.x[:256])  # statistics other than 0 and 1
    net = convert(ann, train, percentile=100)
    spikes = train.spikes(range(20))
    populations = [name for name, _ in net.named_modules() if isinstance(net.get_submodule(name), sm.nn.IF)]
    assert populations == ["relu", "relu_1", "relu_2"]
    with torch.no_grad():
        rates, want = net(spikes.float()).mean(0), ann.eval()(spikes[0] / BOUND)
    last = net.get_submodule("relu_2").vth
    assert want.std() > 0.05 * last
    torch.testing.assert_close(rates * last, want, rtol=0, atol=0.02 * last.item())
    qnet = sm.quantize(net, calibration=train, input_bound=BOUND)
    graph = sm.lower(qnet, input_kind="graded", input_bound=BOUND)
    assert sm.verify(graph, ["reference", "loihi2"], spikes[:20, :2]).ok


def test_the_given_network_stays_as_it_is(ann):
    before = {key: value.clone() for key, value in ann.state_dict().items()}
    ann.train()
    convert(ann, digits(4).train)
    assert ann.training
    ann.eval()
    assert type(ann[0]) is nn.Linear
    assert all(torch.equal(value, before[key]) for key, value in ann.state_dict().items())


def test_a_relu_that_gives_nothing_is_named():
    ann = nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU())
    nn.init.constant_(ann[0].bias, -100)
    nn.init.constant_(ann[2].bias, 1)
    with pytest.warns(
        ConversionWarning, match=r"^1: gives 0 for all 512 samples, so its neurons will not fire"
    ) as said:
        net = convert(ann, digits(4).train)
    assert len(said) == 1
    assert net(digits(4).test.spikes([0]).float()).sum() > 0


class Called(nn.Module):
    """A network of functions."""

    def __init__(self, function) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(64, 64), nn.Linear(64, 10), function

    def forward(self, x):
        return self.function(self, x)


def unlike(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 64), *layers, nn.Linear(64, 10))


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        (unlike(nn.Sigmoid()), r"1: Sigmoid cannot be converted \(allowed: nn.Linear, .* additions of connections\)"),
        (
            unlike(),
            r"1: reads 0 \(allowed: the input or a ReLU, behind pools\). Hint: connections and ReLUs take turns",
        ),
        (unlike(nn.ReLU(), nn.ReLU()), r"2: reads 1 \(allowed: a connection, behind norms and pools\)"),
        (unlike(nn.ReLU(), nn.BatchNorm1d(64)), r"2: reads 1 \(allowed: a connection"),
        (Called(lambda m, x: m.last(torch.tanh(m.first(x)))), r"tanh: tanh cannot be converted"),
        (Called(lambda m, x: m.last(m.first(x).relu() + x)), r"add: reads relu \(allowed: a connection"),
        (Called(lambda m, x: m.last(m.first(m.first(x).relu()).relu())), r"first: is called twice"),
        (Called(lambda m, x: m.last(x.flatten())), r"flatten: flattens dimensions 0..-1 \(allowed 1..-1"),
        (nn.Sequential(nn.Flatten(0)), r"0: flattens dimensions 0..-1"),
        (sm.nn.WSLinear(64, 10), r"a tensor used outside a module cannot be converted"),
    ],
)
def test_what_cannot_be_converted_is_named(ann, message):
    with pytest.raises(UnsupportedNodeError, match=message):
        convert(ann, digits(4).train)


def test_pools_that_pad_are_named():
    ann = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2, padding=1))
    with pytest.raises(UnsupportedNodeError, match=r"2: pads or rounds up, or has a divisor of its own"):
        convert(ann, images(digits(4).train))


def test_what_does_not_fit_is_named(ann):
    with pytest.raises(DataError, match=r"percentile = 0 \(allowed above 0, at most 100\)"):
        convert(ann, digits(4).train, percentile=0)
    with pytest.raises(
        DataError, match=r"digits.train: the mean of coding Latency .* \(allowed: rate, count, direct\)"
    ):
        convert(ann, digits(4, "latency").train)
    with pytest.raises(DataError, match=r"Sequential: does not run on digits.train: .*shapes cannot be multiplied"):
        convert(nn.Sequential(nn.Linear(5, 3), nn.ReLU()), digits(4).train)
    with pytest.raises(LoweringError, match=r"Called: torch.fx cannot trace it"):
        convert(Called(lambda m, x: m.last(x) if x.sum() > 0 else x), digits(4).train)
    two = type("Two", (nn.Module,), {"forward": lambda self, x, y=None: x})()
    with pytest.raises(LoweringError, match=r"y: the network has a second input \(allowed 1\)"):
        convert(two, digits(4).train)
