"""What `fit` can do besides a plain run: validation, bounds on activity, clipping, chunks, half precision, warnings."""

import copy
import dataclasses
import sys
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import DataError, TrainingError
from seamount_models import datasets, losses, networks, training
from seamount_models.encoders import AsIs
from seamount_models.splits import Dataset, Split
from seamount_models.training.activity import ActivityWarning, watching
from seamount_models.training.distributed import ALONE
from seamount_models.training.step import Step


@pytest.fixture(scope="module")
def data():
    digits = datasets.load("digits", steps=6)
    return dataclasses.replace(digits, train=digits.train.subset(range(160)), test=digits.test.subset(range(100)))


@pytest.fixture(scope="module")
def labelled_steps() -> Dataset:
    """Two classes, told by which of two inputs fires, changing within a sample; some steps have no label."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, 2, (64, 3), generator=generator).repeat_interleave(4, 1)
    x = nn.functional.one_hot(y, 2).to(torch.uint8)
    y[:, ::4] = -1
    split = Split(name="changing.train", x=x, y=y, classes=2, steps=12, coding=AsIs())
    return Dataset(name="changing", train=split, test=split)


def small(seed=0, readout=None, neuron=None) -> Any:
    return networks.mlp((64, 24, 10), neuron or sm.nn.LIF(0.9), readout=readout, seed=seed)


def fit(net, data, **options) -> training.History:
    return training.fit(net, data, **{"epochs": 2, "threads": 1, "progress": False, **options})


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_neurons_have_a_step_size_of_their_own(data):
    net = small(neuron=sm.nn.LIF(0.9, learn=("beta", "vth")))
    before = copy.deepcopy(net)
    fit(net, data, epochs=1, lr=0.01, neuron_lr=0.0)
    assert same(net.lif1, before.lif1)
    assert not same(net.fc1, before.fc1)
    fit(net, data, epochs=1, lr=0.0, neuron_lr=0.01)
    assert not torch.equal(net.lif1.beta, before.lif1.beta)


# validation -------------------------------------------------------------------------------------------------------


def test_the_network_ends_with_its_best_epoch(data):
    net = small()
    history = fit(net, data, epochs=6, lr=0.1, validation=0.25)
    assert len(history.validation_loss) == len(history.validation_accuracy) == 6
    best = max(range(6), key=lambda e: (history.validation_accuracy[e], -history.validation_loss[e]))
    assert history.best == best
    held = data.train.hold_out(0.25, seed=data.train.seed)[1]
    again = training.evaluate(net, held, loss="count_cross_entropy")
    assert again.accuracy == history.validation_accuracy[best]
    assert again.loss == pytest.approx(history.validation_loss[best])


def test_validation_changes_nothing_but_the_choice(data):
    """With the split given, the epochs are those of a run without it."""
    plain, watched = small(), small()
    a, b = fit(plain, data), fit(watched, data, validation=data.test)
    assert a.loss == b.loss
    assert b.best != 1 or same(plain, watched)


def test_what_is_held_out_is_not_trained_on(data):
    rest, held = data.train.hold_out(0.25, seed=data.train.seed)
    a, b = small(), small()
    first = fit(a, data, validation=0.25)
    second = fit(b, dataclasses.replace(data, train=rest, validation=held))
    assert first == second
    assert same(a, b)
    shares = held.y.bincount() / data.train.y.bincount()
    assert (shares - 0.25).abs().max() < 0.1, "not in proportion"


def test_early_stop(data):
    """Training stops `patience` epochs after the best; weights that never move have their best epoch first."""
    history = fit(small(), data, epochs=9, lr=0.0, validation=data.test, patience=3)
    assert history.best == 0
    assert len(history.loss) == 4


# losses by name, labels of each step ------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_every_loss_trains(loss, data):
    net = small(readout=sm.nn.LI(0.9) if "membrane" in loss else None)
    # wanted potentials of mostly 0 are had most cheaply by hidden neurons that never fire
    activity = {"lower": 0.1, "strength": 20, "populations": ["lif1"]} if loss == "membrane_mse" else ()
    history = fit(net, data, epochs=20, lr=0.005, loss=loss, activity=activity)
    assert history.loss[-1] < 0.8 * history.loss[0]
    found = training.evaluate(net, data.train, loss=loss)
    assert found.accuracy > 0.35
    assert found.loss == pytest.approx(history.loss[-1], rel=0.5)


def test_labels_of_each_step(labelled_steps):
    net = networks.mlp((2, 8, 2), sm.nn.LIF(0.5), readout=sm.nn.LI(0.3), seed=0)
    history = fit(net, labelled_steps, epochs=20, lr=0.02, loss="membrane_cross_entropy", batch_size=16)
    assert history.accuracy[-1] > 0.95
    found = training.evaluate(net, labelled_steps.train)
    out = net(labelled_steps.train.spikes().float())
    answers, y = out.argmax(-1), labelled_steps.train.y.T
    assert found.accuracy == pytest.approx((answers == y)[y >= 0].double().mean().item())


# bounds on activity -----------------------------------------------------------------------------------------------


def test_an_upper_bound_quiets_and_a_lower_bound_wakes(data):
    free = small()
    fit(free, data, epochs=4, lr=0.01)
    rate = training.evaluate(free, data.test).rates["lif1"]
    quiet = small()
    fit(quiet, data, epochs=4, lr=0.01, activity={"upper": rate / 3, "strength": 100, "populations": ["lif1"]})
    assert training.evaluate(quiet, data.test).rates["lif1"] < 0.6 * rate
    lively = small()
    fit(
        lively,
        data,
        epochs=4,
        lr=0.01,
        activity=[losses.ActivityBounds(lower=2 * rate, strength=100, per="population")],
    )
    assert training.evaluate(lively, data.test).rates["lif1"] > 1.4 * rate


def test_populations_are_watched_with_their_gradient():
    net = nn.Sequential(
        nn.Linear(5, 4, bias=False), sm.nn.Recurrent(sm.nn.LIF(0.9), nn.Linear(4, 4, bias=False)), sm.nn.LI(0.9)
    )
    x = torch.ones(6, 2, 5)
    with watching(net) as spikes:
        net(x)
        assert list(spikes) == ["1"]
        spikes["1"].sum().backward()
    assert net[0].weight.grad is not None
    assert not net[1]._forward_hooks


def test_bounds_that_name_no_population(data):
    with pytest.raises(DataError, match=r"activity: lif2 is no spiking population\. There are: lif1, out\."):
        fit(small(), data, activity={"populations": ["lif2"]})
    with pytest.raises(
        DataError, match=r"activity: .*are not bounds\. Allowed: lower, upper, per, strength, populations"
    ):
        fit(small(), data, activity={"uper": 1})


# clipping, chunks, precision --------------------------------------------------------------------------------------


def gradient(net: nn.Module, x, y, **options) -> torch.Tensor:
    settings = {"loss": losses.count_cross_entropy, "bounds": [], "chunk": None, "clip": None, "dtype": "float32"}
    step = Step(net, processes=ALONE, **{**settings, **options})
    step.gradients(x, y)
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


def test_clipping(data):
    x, y = next(data.train.batches(32))
    free = gradient(small(), x, y)
    clipped = gradient(small(), x, y, clip=float(free.norm()) / 4)
    assert torch.allclose(clipped, free / 4, rtol=1e-4)
    assert torch.equal(gradient(small(), x, y, clip=float(free.norm()) * 2), free)


def test_a_chunk_as_long_as_the_sample_changes_nothing(data):
    a, b = small(), small()
    assert fit(a, data) == fit(b, data, chunk=6)
    assert same(a, b)


@pytest.mark.parametrize("labels", ["sample", "step"])
def test_the_gradient_of_chunks_is_that_of_the_whole_cut_at_the_seams(labels):
    """By hand: run the chunks with the state carried and detached, and take the loss over all steps at once."""
    net = networks.mlp((5, 6, 3), sm.nn.CubaLIF(0.5, 0.9, vth=0.3), readout=sm.nn.LI(0.8), seed=0).double()
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(7, 4, 5, generator=generator) < 0.5).double()
    y = torch.randint(0, 3, (4,), generator=generator)
    if labels == "step":
        y = torch.randint(-1, 3, (7, 4), generator=generator)
        y[3:6] = -1  # a chunk without any label
    got = gradient(net, x, y, chunk=3, loss=losses.membrane_cross_entropy)
    with sm.nn.carrying(net):
        output = torch.cat([net(part) for part in x.split(3)])
    want = torch.autograd.grad(losses.membrane_cross_entropy(output, y), list(net.parameters()))
    assert torch.allclose(got, torch.cat([g.flatten() for g in want]), rtol=1e-10, atol=1e-14)
    assert not torch.allclose(got, gradient(net, x, y, loss=losses.membrane_cross_entropy), rtol=1e-3)


def test_training_in_chunks_learns(data):
    history = fit(small(readout=sm.nn.LI(0.9)), data, epochs=8, lr=0.01, chunk=2, loss="membrane_cross_entropy")
    assert history.accuracy[-1] > 0.7


def test_half_precision_is_for_connections_only(data):
    net, seen = small(), {}
    net.fc1.register_forward_hook(lambda module, inputs, output: seen.update(fc1=output.dtype))
    net.lif1.register_forward_hook(lambda module, inputs, output: seen.update(lif1=output.dtype))
    history = fit(net, data, epochs=12, lr=0.01, dtype="bfloat16")
    assert seen == {"fc1": torch.bfloat16, "lif1": torch.float32}
    assert history.accuracy[-1] > 0.4
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert not net.lif1._forward_pre_hooks


def test_half_precision_refuses_what_must_be_exact(data):
    qnet = sm.quantize(small(), calibration=data.train)
    with pytest.raises(DataError, match=r"dtype = bfloat16: the network is quantized, and its sums must be exact"):
        fit(qnet, data, dtype="bfloat16")
    with pytest.raises(DataError, match=r"dtype 'float16' is unknown\. Allowed: float32, bfloat16"):
        fit(small(), data, dtype="float16")


# warnings and refusals --------------------------------------------------------------------------------------------


def test_a_dead_and_a_saturated_population_are_named_once(data):
    net = small()
    with torch.no_grad():
        net.fc1.weight.copy_(-net.fc1.weight.abs())
    with pytest.warns(ActivityWarning, match=r"lif1: 100% of its 24 neurons never fired.*Hint: larger weights") as seen:
        fit(net, data, epochs=3, lr=0.0)
    assert sum("lif1" in str(w.message) for w in seen) == 1
    with torch.no_grad():
        net.fc1.weight.copy_(100 * net.fc1.weight.abs())
    with pytest.warns(
        ActivityWarning, match=r"lif1: its neurons fired in (9\d|100)% of all steps.*smaller weights into"
    ):
        fit(net, data, epochs=1, lr=0.0)


def test_a_healthy_network_is_not_warned_of(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(small(), data)


class Swapped(Split):
    """Batch first, as other frameworks have it."""

    def batches(self, *arguments, **options):
        for x, y in super().batches(*arguments, **options):
            yield x.transpose(0, 1), y


def test_time_and_batch_swapped(data):
    fields = {field.name: getattr(data.train, field.name) for field in dataclasses.fields(Split)}
    wrong = dataclasses.replace(data, train=Swapped(**fields))
    with pytest.raises(DataError, match=r"spikes has shape \[32, 6, 64\] and labels \[32\].*Hint: time comes first"):
        fit(small(), wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 2}, r"fit: patience = 2, but there is no validation split\. Hint: validation=0\.1"),
        ({"patience": 0, "validation": 0.5}, r"fit: patience = 0 \(allowed 1 or more\)"),
        ({"validation": 1.5}, r"digits\.train: share = 1\.5 \(allowed between 0 and 1\)"),
        ({"clip": 0.0}, r"fit: clip = 0 \(allowed above 0\)"),
        ({"chunk": 0}, r"fit: chunk = 0 \(allowed 1 or more\)"),
        ({"chunk": 2, "loss": "spike_time_mse"}, r"chunk = 2, but spike_time_mse looks for one step of the whole"),
        ({"loss": "hinge"}, r"loss 'hinge' is unknown"),
    ],
)
def test_refusals(data, options, message):
    with pytest.raises(DataError, match=message):
        fit(small(), data, **options)


# curves -----------------------------------------------------------------------------------------------------------


def test_curves_need_tensorboard(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        TrainingError, match=r"tensorboard is not installed\. Hint: pip install 'seamount\[tensorboard\]'"
    ):
        fit(small(), data, log=tmp_path)


def test_curves(data, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit(small(), data, log=tmp_path, validation=data.test)
    curves = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in curves.Scalars("loss/train")] == pytest.approx(history.loss)
    assert [event.value for event in curves.Scalars("accuracy/validation")] == pytest.approx(
        history.validation_accuracy
    )
    assert len(curves.Scalars("rate/lif1")) == 2
    assert copy.copy(curves.Scalars("lr")[-1].value) == pytest.approx(0, abs=1e-9)
