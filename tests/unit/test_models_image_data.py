"""Data sets of images: real files where they are, and small ones of the right form."""

import gzip

import numpy as np
import pytest
import torch

from seamount.errors import DataError
from seamount_models import datasets
from seamount_models.datasets import cifar10, fashion_mnist

RNG = np.random.default_rng(0)


def write_fashion(folder, monkeypatch, damage=lambda name, content: content):
    monkeypatch.setattr(fashion_mnist, "SAMPLES", {"train": 12, "test": 4})
    monkeypatch.setattr(fashion_mnist, "DEBIAN", folder / "none")
    (folder / "fashion-mnist").mkdir()
    for name, remote in fashion_mnist.FILES.items():
        n = fashion_mnist.SAMPLES[name[2:]]
        shape = (n, 28, 28) if name[0] == "x" else (n,)
        content = RNG.integers(0, 10, shape).astype(np.uint8)
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        packed = gzip.compress(damage(name, header + content.tobytes()))
        (folder / "fashion-mnist" / remote.files[0]).write_bytes(packed)


def test_fashion_mnist_of_the_right_form(folder, monkeypatch, check_contract):
    write_fashion(folder, monkeypatch)
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
    write_fashion(folder, monkeypatch, damage)
    with pytest.raises(DataError, match=message):
        datasets.load("fashion_mnist")


def test_a_gz_file_that_is_none(folder, monkeypatch):
    write_fashion(folder, monkeypatch)
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
