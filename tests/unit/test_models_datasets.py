"""Every data set; those of signals and of points on manifolds; splits."""

import dataclasses
import doctest

import numpy as np
import pytest
import torch

import seamount as sm
from seamount.errors import DataError
from seamount_models import cochlea, datasets, encoders, networks, recipes
from seamount_models.datasets import fashion_mnist, qtdb
from seamount_models.splits import Split


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_says_what_file_to_put_where(name, folder, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "HOME", dataclasses.replace(fashion_mnist.HOME, elsewhere=folder))
    if name in ("digits", "randman"):
        options = {"train": 20, "test": 10, "alpha": 3.0} if name == "randman" else {}
        assert len(datasets.load(name, **options).test) > 0
        return
    with pytest.raises(DataError, match=r"(no such file|holds no recordings).*Hint: .*SEAMOUNT_DATA names the folder"):
        datasets.load(name)


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_names_a_setting_that_it_does_not_take(name):
    with pytest.raises(DataError, match=f"{name}: has no setting colour. It takes: steps"):
        datasets.load(name, colour=1)
    assert {"steps", "seed"} <= datasets.settings(name).keys()


RECIPE = """
[data]
{data}
[network]
sizes = [4, 6]
[neuron]
model = "LIF"
[training]
epochs = 1
"""


def test_a_recipe_takes_the_settings_of_its_data_set(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(RECIPE.format(data='name = "nmnist"\nfold = 2\nbound = 3'))
    assert recipes.load(str(path)).data == {"name": "nmnist", "fold": 2, "bound": 3}
    path.write_text(RECIPE.format(data='name = "qtdb"\ncoding = "rate"\nfold = 1'))
    with pytest.raises(DataError, match=r"\[data\] has no setting 'coding'\.\n.*\[data\] has no setting 'fold'"):
        recipes.load(str(path))


def test_examples():
    for module in (datasets, cochlea, encoders):
        assert doctest.testmod(module).failed == 0


# QTDB ----------------------------------------------------------------------------------------------------------------


def test_qtdb(real, check_contract):
    data = real("qtdb", qtdb.FILE)
    assert (len(data.train), len(data.test), data.shape, data.classes) == (618, 141, (4,), 6)
    check_contract(data, 1301, "signed", per_step=True)
    assert (data.train.y == -1).float().mean() == pytest.approx(0.0818, abs=1e-3)
    short = datasets.load("qtdb", steps=50)
    assert torch.equal(short.test.spikes([3]), data.test.spikes([3])[:50])


def test_a_network_for_signed_events_lowers_with_the_input_that_the_data_declares(real):
    data = real("qtdb", qtdb.FILE, steps=5)
    net = networks.mlp((4, 8, 6), sm.nn.LIF(beta=0.9), seed=0)
    graph = sm.lower(net, input_kind=data.input.kind, input_bound=data.input.bound)
    x = data.test.spikes(range(4))
    assert sm.compile(graph, "reference").run(x).output.shape == (5, 4, 6)


def write_qtdb(folder, **change):
    arrays = {}
    for part, n in qtdb.RECORDINGS.items():
        arrays[f"x_{part}"] = np.zeros((n, qtdb.STEPS, 4), np.int8)
        arrays[f"y_{part}"] = np.zeros((n, qtdb.STEPS), np.int8)
    for name, value in change.items():
        arrays[name][5, 7] = value
    np.savez(folder / qtdb.FILE, **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_test": 2}, r"qtdb_ecg\.npz: x_test holds 0..2 \(allowed -1..1\)"),
        ({"y_train": 6}, r"qtdb\.train: labels are 0..6 \(allowed -1..5\)"),
        ({"y_train": -2}, r"qtdb\.train: labels are -2..0 \(allowed -1..5\)"),
    ],
)
def test_qtdb_damaged(folder, change, message):
    write_qtdb(folder, **change)
    with pytest.raises(DataError, match=message):
        datasets.load("qtdb")


# Randman -------------------------------------------------------------------------------------------------------------


def test_randman(check_contract):
    options = {"steps": 20, "train": 200, "test": 50, "alpha": 2.0, "units": 30, "dimensions": 2}
    time, rate = (datasets.load("randman", variant=v, **options) for v in ("time", "rate"))
    check_contract(time, 20, "spike")
    s = time.train.spikes()
    assert (s.sum(0) == 1).all()  # counts tell nothing
    counts = rate.train.spikes(seed=0).sum(0)
    assert torch.equal(counts, rate.train.spikes(seed=1).sum(0))
    assert not torch.equal(rate.train.spikes(seed=0), rate.train.spikes(seed=1))
    # The later the spike of one variant, the fewer of the other: both are the same coordinate.
    assert (counts.long() - (20 - 20 * s.argmax(0) / 19)).abs().max() <= 1.6
    again = datasets.load("randman", variant="time", **options)
    assert torch.equal(again.test.x, time.test.x)
    assert not torch.equal(datasets.load("randman", manifold_seed=1, **options).test.x, time.test.x)


def test_points_of_a_manifold_are_near_each_other():
    """A class can be told by its nearest neighbours, which are of another class no more often than chance allows."""
    data = datasets.load("randman", train=400, test=100, alpha=2.0, dimensions=1)
    nearest = torch.cdist(data.test.x, data.train.x).argmin(1)
    assert (data.train.y[nearest] == data.test.y).float().mean() > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0, "steps": 0}, r"randman: steps = 0, units = 0 \(allowed 1 or more\)"),
        ({"variant": "phase"}, r"randman: there is no variant 'phase'. There are: time, rate"),
        ({"alpha": 0.0}, r"randman: alpha = 0 \(allowed above 0\)"),
    ],
)
def test_randman_settings_are_checked(options, message):
    with pytest.raises(DataError, match=message):
        datasets.load("randman", **options)


# Splits --------------------------------------------------------------------------------------------------------------


def test_what_is_held_out_keeps_the_classes_in_proportion():
    whole = datasets.load("digits").train
    rest, held = whole.hold_out(0.2, seed=3)
    assert len(rest) + len(held) == len(whole)
    assert held.name == "digits.train.held_out"
    assert (held.y.bincount() - 0.2 * whole.y.bincount()).abs().max() <= 0.5
    assert torch.equal(torch.cat([rest.y, held.y]).sort().values, whole.y.sort().values)
    assert not torch.equal(whole.hold_out(0.2, seed=4)[1].x, held.x)
    with pytest.raises(DataError, match=r"share = 1 \(allowed between 0 and 1\)"):
        whole.hold_out(1)


def test_folds_test_on_each_sample_once():
    whole = datasets.load("digits").train
    folds = [whole.fold(k, 4) for k in range(4)]
    assert {len(part) for _, part in folds} == {len(whole) // 4, len(whole) // 4 + 1}
    for rest, part in folds:
        assert len(rest) + len(part) == len(whole)
        assert (part.y.bincount() - whole.y.bincount() / 4).abs().max() < 1
    samples = torch.cat([part.x for _, part in folds])
    assert torch.equal(samples.sum(1).sort().values, whole.x.sum(1).sort().values)
    for number, of in ((4, 4), (-1, 4), (0, 1)):
        with pytest.raises(DataError, match=rf"digits.train: fold = {number} .*of {of} \(allowed 2 or more"):
            whole.fold(number, of)


def test_labels_per_step_fit_the_steps():
    x = torch.zeros(3, 7, 2, dtype=torch.int8)
    y = torch.tensor([[0, 1, -1, 1]] * 3)
    split = Split(name="toy", x=x, y=y, classes=2, steps=4, coding=encoders.AsIs("signed"))
    spikes, labels = next(split.batches(2))
    assert (spikes.shape, labels.tolist()) == ((4, 2, 2), [[0, 0], [1, 1], [-1, -1], [1, 1]])
    assert len(split.hold_out(0.34)[1]) == 1
    with pytest.raises(DataError, match=r"toy: x \(3, 7, 2\) and y torch.int64 \(3, 4\) do not fit.*\[n, 5\]"):
        Split(name="toy", x=x, y=y, classes=2, steps=5, coding=encoders.AsIs("signed"))
    with pytest.raises(DataError, match=r"steps = 8 \(allowed 1..7"):
        Split(name="toy", x=x, y=torch.zeros(3, dtype=torch.int64), classes=2, steps=8, coding=encoders.AsIs()).spikes()
