"""Data sets of images: real files where they are, and small ones of the right form."""

import dataclasses
import gzip
import hashlib

import numpy as np
import pytest
import torch

from seamount.errors import DataError
from seamount_models import datasets
from seamount_models.datasets import cifar10, fashion_mnist, mnist

RNG = np.random.default_rng(0)


def write_idx(folder, monkeypatch, module, damage=lambda name, content: content):
    home = dataclasses.replace(module.HOME, samples=(12, 4), elsewhere=folder / "none")
    monkeypatch.setattr(module, "HOME", home)
    (folder / home.folder).mkdir()
    for name, file in home.FILES.items():
        n = home.samples[name.endswith("test")]
        shape = (n, 28, 28) if name[0] == "x" else (n,)
        content = RNG.integers(0, 10, shape).astype(np.uint8)
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (folder / home.folder / file).write_bytes(gzip.compress(damage(name, header + content.tobytes())))


@pytest.mark.parametrize("module", [fashion_mnist, mnist], ids=["fashion_mnist", "mnist"])
def test_what_is_missing_is_fetched_and_verified(folder, monkeypatch, module, tmp_path_factory):
    far = tmp_path_factory.mktemp("far")
    write_idx(far, monkeypatch, module)
    files = [far / module.HOME.folder / file for file in module.HOME.FILES.values()]
    sums = tuple(hashlib.md5(file.read_bytes()).hexdigest() for file in files)
    url = files[0].parent.as_uri()
    monkeypatch.setattr(module, "HOME", dataclasses.replace(module.HOME, url=url, md5=sums))
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: no such file.*load it with download=True"):
        datasets.load(name)
    assert len(datasets.load(name, download=True).test) == 4
    assert len(datasets.load(name).train) == 12
    (folder / module.HOME.folder / files[2].name).unlink()
    monkeypatch.setattr(module, "HOME", dataclasses.replace(module.HOME, md5=("0" * 32,) * 4))
    with pytest.raises(
        DataError, match=r"t10k-images-idx3-ubyte\.gz: md5 of the \d+ bytes received is .*expected 0000"
    ):
        datasets.load(name, download=True)


def test_fashion_mnist_of_the_right_form(folder, monkeypatch, check_contract):
    write_idx(folder, monkeypatch, fashion_mnist)
    data = datasets.load("fashion_mnist", flat=False, steps=5)
    assert (len(data.train), len(data.test), data.shape) == (12, 4, (1, 28, 28))
    check_contract(data, 5, "spike")
    assert datasets.load("fashion_mnist", coding="population").shape == (784, 8)
    assert datasets.load("fashion_mnist", download=True).shape == (784,)  # nothing is missing: nothing is fetched


def test_fashion_mnist():
    try:
        data = datasets.load("fashion_mnist")
    except DataError as error:
        pytest.skip(f"Fashion-MNIST is not there: {error}")
    assert (len(data.train), len(data.test), data.shape) == (60_000, 10_000, (784,))
    assert data.test.y.bincount().tolist() == [1000] * 10


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda name, c: c[:-1] if name == "x_test" else c, r"t10k-images.*gz is cut short \(3135 of 3136 bytes\)"),
        (lambda name, c: c[:3] + b"\2" + c[4:], r"begins with 00000802 .*expected 00000803"),
        (lambda name, c: c[:4] + b"\xff" * 4 + c[8:], r"train-images.*gz: begins with 00000803 ffffffff"),
    ],
)
def test_fashion_mnist_damaged(folder, monkeypatch, damage, message):
    write_idx(folder, monkeypatch, fashion_mnist, damage)
    with pytest.raises(DataError, match=message):
        datasets.load("fashion_mnist")


def test_a_gz_file_that_is_none(folder, monkeypatch):
    write_idx(folder, monkeypatch, fashion_mnist)
    path = folder / "fashion-mnist/train-labels-idx1-ubyte.gz"
    for content in (b"no gzip", path.read_bytes()[:-12]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz: is not a readable \.gz file"):
            datasets.load("fashion_mnist")


def write_cifar(folder, monkeypatch, label=9, size=0):
    monkeypatch.setattr(cifar10, "RECORDS", 3)
    (folder / cifar10.FOLDER).mkdir(exist_ok=True)
    records = RNG.integers(0, 10, (3, cifar10.RECORD)).astype(np.uint8)
    records[1, 0] = label
    for file in (*cifar10.FILES["train"], *cifar10.FILES["test"]):
        (folder / cifar10.FOLDER / file).write_bytes(records.tobytes()[: 3 * cifar10.RECORD + size])
    return records


def test_cifar10_of_the_right_form(folder, monkeypatch, check_contract):
    records = write_cifar(folder, monkeypatch)
    data = datasets.load("cifar10", steps=4)
    assert (len(data.train), len(data.test), data.shape) == (15, 3, (3, 32, 32))
    check_contract(data, 4, "graded")
    assert np.array_equal(data.test.x.numpy().reshape(3, -1), records[:, 1:])
    moved = data.test.spikes(shift=1)[0]
    assert any(
        torch.equal(moved[0, :, 1:-1, 1:-1], data.test.spikes([0])[0, 0, :, 1 + r : 31 + r, 1 + c : 31 + c])
        for r in (-1, 0, 1)
        for c in (-1, 0, 1)
    )


def test_cifar10_damaged(folder, monkeypatch):
    write_cifar(folder, monkeypatch, label=10)
    with pytest.raises(DataError, match=r"data_batch_1\.bin: record 1 has label 10 \(allowed 0..9\)"):
        datasets.load("cifar10")
    write_cifar(folder, monkeypatch, size=-1)
    with pytest.raises(DataError, match=r"data_batch_1\.bin: has 9218 bytes, expected 9219 \(3 records\)"):
        datasets.load("cifar10")
