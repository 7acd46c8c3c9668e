"""Data sets and their splits, and how files are read."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest
import torch

from seamount.errors import DataError
from seamount_models import datasets, files


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", steps=6)


def test_digits(digits):
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert (digits.shape, digits.classes, digits.name) == ((64,), 10, "digits")
    assert digits.train.x.dtype == torch.float32
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 1)
    assert digits.test.y.bincount().tolist() == pytest.approx([36] * 10, abs=2)


def test_digits_splits_share_no_sample_and_stay_the_same(digits):
    again = datasets.load("digits", seed=9)
    assert torch.equal(again.test.x, digits.test.x)
    train = {tuple(row) for row in digits.train.x.tolist()}
    assert not any(tuple(row) in train for row in digits.test.x.tolist())


def test_spikes_of_a_sample_do_not_depend_on_the_batch(digits):
    whole = digits.test.spikes()
    assert whole.shape == (6, 360, 64)
    assert whole.dtype == torch.uint8
    assert torch.equal(digits.test.spikes(torch.tensor([300, 4])), whole[:, [300, 4]])
    assert not torch.equal(digits.test.spikes(seed=1), whole)


def test_batches_hold_each_sample_once(digits):
    batches = list(digits.test.batches(100, shuffle=True, seed=2))
    assert [len(y) for _, y in batches] == [100, 100, 100, 60]
    labels = torch.cat([y for _, y in batches])
    assert not torch.equal(labels, digits.test.y)
    assert torch.equal(labels.sort().values, digits.test.y.sort().values)
    order = torch.randperm(360, generator=torch.Generator().manual_seed(2))
    spikes = torch.cat([s for s, _ in batches], 1)
    assert torch.equal(spikes, digits.test.spikes(seed=2)[:, order])
    assert torch.equal(labels, digits.test.y[order])


def test_batches_in_order_by_default(digits):
    assert torch.equal(torch.cat([y for _, y in digits.test.batches(128)]), digits.test.y)


def test_latency_coded_digits():
    s = datasets.load("digits", steps=6, coding="latency").test.spikes()
    assert s.sum(0).max() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: datasets.load("mnits"), "mnits: no such data set. There are: .*digits.*mnist"),
        (lambda d: datasets.load("digits", coding="phase").test.spikes(), "phase: no such coding.*latency.*rate"),
        (lambda d: d.test.spikes(torch.tensor([360])), r"digits.test: indices.*0..359"),
        (lambda d: d.test.spikes(torch.tensor([-1])), r"digits.test: indices.*0..359"),
        (lambda d: next(d.test.batches(0)), r"digits.test: batch_size = 0"),
        (lambda d: dataclasses.replace(d.test, y=d.test.y + 1), r"labels are 1..10 \(allowed 0..9\)"),
        (lambda d: dataclasses.replace(d.test, y=d.test.y[1:]), r"x \(360, 64\) and y torch.int64 \(359,\)"),
    ],
)
def test_refusals(digits, call, message):
    with pytest.raises(DataError, match=message):
        call(digits)


def test_a_data_set_is_a_file(monkeypatch, tmp_path):
    (tmp_path / "twos.py").write_text(
        "import torch\n"
        "from seamount_models.splits import Dataset, Split\n"
        "def dataset(*, steps=16, coding='rate', seed=0):\n"
        "    s = Split(name='twos', x=torch.ones(2, 3), y=torch.zeros(2, dtype=torch.int64), classes=1,\n"
        "              steps=steps, coding=coding, seed=seed)\n"
        "    return Dataset(name='twos', train=s, test=s)\n"
    )
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    assert "twos" in datasets.names()
    assert datasets.load("twos", steps=4).test.spikes().tolist() == [[[1] * 3] * 2] * 4


# MNIST ------------------------------------------------------------------------------------------------------------


def test_mnist():
    if not (files.data_folder() / "mnist_70k.npz").is_file():
        pytest.skip("mnist_70k.npz is not in the data folder (SEAMOUNT_DATA)")
    mnist = datasets.load("mnist", steps=4)
    assert (len(mnist.train), len(mnist.test)) == (60_000, 10_000)
    assert (mnist.shape, mnist.classes) == ((784,), 10)
    assert mnist.train.x.dtype == torch.uint8
    assert mnist.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    s, y = next(mnist.train.batches(64, shuffle=True, seed=0))
    assert s.shape == (4, 64, 784)
    assert s.float().mean() == pytest.approx(0.1307, abs=0.02)  # mean intensity of MNIST
    assert y.dtype == torch.int64


def test_mnist_says_what_file_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setenv("SEAMOUNT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist/train-images.*no such file\. Hint: .*download=True.*SEAMOUNT_DATA"):
        datasets.load("mnist")


WANT = {"x": (np.dtype(np.uint8), (3, 2))}


def read(folder, monkeypatch, write):
    monkeypatch.setenv("SEAMOUNT_DATA", str(folder))
    write(folder / "a.npz")
    return files.read_npz("a.npz", WANT, "none.")


def test_read_npz(monkeypatch, tmp_path):
    x = np.arange(6, dtype=np.uint8).reshape(3, 2)
    for save in (np.savez, np.savez_compressed):
        got = read(tmp_path, monkeypatch, lambda path, save=save: save(path, x=x))
        assert np.array_equal(got["x"], x)


def test_read_npz_with_free_lengths_and_in_fortran_order(monkeypatch, tmp_path):
    x = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    monkeypatch.setenv("SEAMOUNT_DATA", str(tmp_path))
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(x))
    got = files.read_npz("a.npz", {"x": (np.dtype(np.int16), (2, None, 4))}, "none.")["x"]
    assert got.flags.c_contiguous
    assert np.array_equal(got, x)
    with pytest.raises(DataError, match=r"x is int16 \(2, 3, 4\), expected int16 \(any, 4, 4\)"):
        files.read_npz("a.npz", {"x": (np.dtype(np.int16), (None, 4, 4))}, "none.")


def huge(path):
    """A header that asks for two terabytes and nothing after it."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 2)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())


def test_read_npz_does_not_believe_a_header(monkeypatch, tmp_path):
    monkeypatch.setenv("SEAMOUNT_DATA", str(tmp_path))
    huge(tmp_path / "a.npz")
    want = {"x": (np.dtype(np.uint8), (None, 2))}
    with pytest.raises(DataError, match=r"x is cut short \(0 of 2199023255552 bytes\)"):
        files.read_npz("a.npz", want, "none.")
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    np.savez(tmp_path / "a.npz", x=np.zeros((51, 2), np.uint8))
    with pytest.raises(DataError, match=r"x asks for 102 bytes \(allowed 100\)"):
        files.read_npz("a.npz", want, "none.")


def objects(path):
    np.savez(path, x=np.array([[{}, []]] * 3, dtype=object))


def cut_short(path):
    np.savez(path, x=np.zeros((3, 2), np.uint8))
    with zipfile.ZipFile(path) as archive:
        content = archive.read("x.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content[:-1])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: np.savez(p, y=np.zeros(3)), "has no array 'x'"),
        (lambda p: np.savez(p, x=np.zeros((3, 3), np.uint8)), r"x is uint8 \(3, 3\), expected uint8 \(3, 2\)"),
        (lambda p: np.savez(p, x=np.zeros((3, 2))), r"x is float64 \(3, 2\), expected uint8"),
        (objects, r"x is object \(3, 2\), expected uint8"),
        (cut_short, r"x is cut short \(5 of 6 bytes\)"),
        (lambda p: p.write_bytes(b"not a zip"), r"is not a readable \.npz file"),
        (lambda p: zipfile.ZipFile(p, "w").writestr("x.npy", b"junk"), r"is not a readable \.npz file|has no array"),
    ],
)
def test_read_npz_refuses(monkeypatch, tmp_path, write, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, monkeypatch, write)
