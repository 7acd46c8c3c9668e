"""Runs that break off go on to the same weights, bit for bit; files that are not theirs are refused."""

import dataclasses
import zipfile
from typing import Any

import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import DataError, FileFormatError
from seamount_models import datasets, losses, networks, training
from seamount_models.training import checkpoint


@pytest.fixture(scope="module")
def data():
    digits = datasets.load("digits", steps=4)
    return dataclasses.replace(digits, train=digits.train.subset(range(160)))


class Dropped(nn.Sequential):
    """Draws from torch's generator in each step."""

    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, self.training))


def small(hidden=24) -> Any:
    return Dropped(networks.mlp((64, hidden, 10), sm.nn.LIF(0.9), seed=0))


def fit(net, data, path, **options) -> training.History:
    settings = {
        "epochs": 5,
        "threads": 1,
        "progress": False,
        "validation": 0.25,
        "clip": 1.0,
        "activity": {"lower": 0.02},
    }
    return training.fit(net, data, checkpoint=path, **{**settings, **options})


class Killed(Exception):
    pass


def broken_off(net, data, path, batch: int, **options) -> None:
    """Run until that batch, then die in the middle of it."""
    calls = []

    def count_cross_entropy(output, labels):
        calls.append(0)
        if output.requires_grad and len(calls) > batch:
            raise Killed
        return losses.count_cross_entropy(output, labels)

    with pytest.raises(Killed):
        fit(net, data, path, loss=count_cross_entropy, **options)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("batch", [7, 13, 22])
def test_a_run_that_breaks_off_goes_on_to_the_same_result(data, tmp_path, batch):
    whole = small()
    history = fit(whole, data, None)
    broken_off(small(), data, tmp_path / "run.pt", batch)
    other = small()
    torch.manual_seed(5)  # a new process has another generator
    assert fit(other, data, tmp_path / "run.pt") == history
    assert same(other, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_without_what_the_file_holds_the_result_is_another(data, tmp_path, monkeypatch):
    """The test above can fail: leave out the generator, or the optimizer."""
    whole = small()
    fit(whole, data, None)
    for target in ("seamount_models.training.checkpoint.set_generator_state", "torch.optim.Adam.load_state_dict"):
        path = tmp_path / target
        broken_off(small(), data, path, 9)
        with monkeypatch.context() as patched:
            patched.setattr(target, lambda *arguments: None)
            other = small()
            fit(other, data, path)
        assert not same(other, whole), target


def test_a_quantized_network_goes_on_to_the_same_result(data, tmp_path):
    def quantized() -> nn.Module:
        net: Any = networks.mlp((64, 24, 10), sm.nn.LIF(0.9), seed=0)
        return sm.quantize(net, calibration=data.train)

    whole = quantized()
    history = fit(whole, data, None, activity=())
    broken_off(quantized(), data, tmp_path / "run.pt", 9, activity=())
    other = quantized()
    assert fit(other, data, tmp_path / "run.pt", activity=()) == history
    assert same(other, whole)


def test_a_finished_run_is_not_run_again(data, tmp_path):
    net, again = small(), small()
    history = fit(net, data, tmp_path / "run.pt")
    before = (tmp_path / "run.pt").read_bytes()
    assert fit(again, data, tmp_path / "run.pt") == history
    assert same(net, again)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_an_early_stop_stays_stopped(data, tmp_path):
    options = {"lr": 0.0, "patience": 1, "activity": ()}
    first = fit(small(), data, tmp_path / "run.pt", **options)
    assert len(first.loss) == 2
    assert fit(small(), data, tmp_path / "run.pt", **options) == first


def test_weights_of_the_best_epoch_can_be_loaded(data, tmp_path):
    net, other = small(), small()
    fit(net, data, tmp_path / "run.pt", lr=0.1)
    checkpoint.load_weights(tmp_path / "run.pt", other)
    assert same(net, other)


# what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "run.pt"
    fit(small(), data, path, epochs=1)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: small(hidden=20),
            r"of another network: 0\.fc1\.weight is float32 \[24, 64\], the network's float32 \[20, 64\]",
        ),
        (lambda: small()[0], r"of another network: fc1\.weight is missing, the network's float32 \[24, 64\]"),
        (lambda: small().double(), r"of another network: 0\.fc1\.weight is float32 \[24, 64\], the network's float64"),
        (lambda: nn.Sequential(small()[0].fc1), r"0\.weight is missing"),
    ],
)
def test_a_checkpoint_of_another_network(data, tmp_path, saved, network, message):
    (tmp_path / "run.pt").write_bytes(saved)
    with pytest.raises(FileFormatError, match=message):
        checkpoint.load_weights(tmp_path / "run.pt", network())


def test_a_checkpoint_that_has_more_than_the_network(tmp_path, saved):
    (tmp_path / "run.pt").write_bytes(saved)
    net = small()
    del net[0].readout
    with pytest.raises(FileFormatError, match=r"0\.readout\.weight is float32 \[10, 24\], the network's missing"):
        checkpoint.load_weights(tmp_path / "run.pt", net)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 2}, r"was written by a run with epochs = 1, this one has 2\. Hint: give the same settings"),
        ({"epochs": 1, "loss": "count_mse"}, r"with loss = 'count_cross_entropy', this one has 'count_mse'"),
        ({"epochs": 1, "activity": {"lower": 0.5}}, r"with activity = .*'lower': 0\.02.*this one has .*'lower': 0\.5"),
    ],
)
def test_a_run_with_other_settings_does_not_go_on(data, tmp_path, saved, options, message):
    (tmp_path / "run.pt").write_bytes(saved)
    with pytest.raises(DataError, match=message):
        fit(small(), data, tmp_path / "run.pt", **options)


def test_every_truncation_is_noticed(tmp_path, saved):
    path = tmp_path / "run.pt"
    for length in [0, 1, 4, 100, *range(1000, len(saved), len(saved) // 15), len(saved) - 1]:
        path.write_bytes(saved[:length])
        with pytest.raises(FileFormatError, match=r"run\.pt: is truncated or no checkpoint \("):
            checkpoint.load_weights(path, small())


class Evil:
    def __reduce__(self):
        return print, ("this must never run",)


def test_nothing_in_a_file_runs(tmp_path, capsys):
    torch.save({"format": checkpoint.FORMAT, "network": Evil()}, tmp_path / "run.pt")
    with pytest.raises(FileFormatError, match="is truncated or no checkpoint"):
        checkpoint.load_weights(tmp_path / "run.pt", small())
    assert "never" not in capsys.readouterr().out


def test_other_files(tmp_path, saved):
    path = tmp_path / "run.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(FileFormatError, match=r"run\.pt: is no checkpoint of format 'seamount checkpoint 1'"):
        checkpoint.load_weights(path, small())
    torch.save({"format": checkpoint.FORMAT, "settings": {}, "network": 3}, path)
    with pytest.raises(FileFormatError, match=r"run\.pt: network is missing or of the wrong kind"):
        checkpoint.load_weights(path, small())
    with pytest.raises(FileFormatError, match=r"nosuch\.pt: cannot be read: No such file"):
        checkpoint.load_weights(tmp_path / "nosuch.pt", small())
    path.write_bytes(saved)
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(FileFormatError, match=r"z\.pt: is no checkpoint \(compressed entries\)"):
        checkpoint.load_weights(tmp_path / "z.pt", small())


@pytest.mark.parametrize("part", ["optimizer", "schedule", "history", "generators"])
def test_an_unsound_run(data, tmp_path, saved, part):
    path = tmp_path / "run.pt"
    path.write_bytes(saved)
    content = torch.load(path, weights_only=True)
    content[part] = [] if part == "generators" else {"nonsense": 1}
    torch.save(content, path)
    with pytest.raises(FileFormatError, match=r"run\.pt: does not hold a sound run"):
        fit(small(), data, path, epochs=1)


def test_a_folder_that_is_not_there(data, tmp_path):
    with pytest.raises(FileFormatError, match=r"run\.pt: cannot be written: No such file or directory"):
        fit(small(), data, tmp_path / "nosuch" / "run.pt", epochs=1)
