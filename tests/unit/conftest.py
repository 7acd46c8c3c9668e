"""Fixtures for the tests of the models."""

from __future__ import annotations

from importlib import import_module, reload

import pytest
import torch

from seamount.ir import Input
from seamount_models import datasets, files


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty data folder."""
    monkeypatch.setenv("SEAMOUNT_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def one_thread():
    """One of torch's threads: short operations take less time than threads take to meet."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def real():
    """A function that loads a data set, or skips the test where its file is not there."""

    def load(name, filename, **options):
        if not (files.data_folder() / filename).is_file():
            pytest.skip(f"{filename} is not in the data folder (SEAMOUNT_DATA)")
        return datasets.load(name, **options)

    return load


@pytest.fixture
def check_contract():
    """A function that checks what training relies on, of every data set."""

    def check(data, steps, kind, per_step=False):
        x, y = next(data.train.batches(3, shuffle=True, seed=1))
        assert x.shape == (steps, 3, *data.shape)
        assert x.numpy().dtype == Input.DTYPES[kind]
        assert data.input.kind == kind
        assert x.long().abs().max() <= data.input.bound
        assert y.dtype == torch.int64
        assert y.shape == ((steps, 3) if per_step else (3,))
        assert (y >= (-1 if per_step else 0)).all()
        assert (y < data.classes).all()
        assert data.test.shape == data.shape
        own, labels = next(data.train.batches(3, shuffle=True, seed=1, share=slice(1, None, 2)))
        assert torch.equal(own, x[:, 1::2])
        assert torch.equal(labels, y)
        assert data.train.spikes([]).shape == (steps, 0, *data.shape)

    return check


@pytest.fixture
def triton_kernels(monkeypatch):
    """A function that makes the GPU's kernels, to be interpreted on CPU tensors or to be compiled; or a skip."""
    pytest.importorskip("triton", reason="no Triton: it comes with torch's builds for GPUs")

    def load(interpreted):
        monkeypatch.setenv("TRITON_INTERPRET", str(int(interpreted)))
        return reload(import_module("seamount.nn.triton_kernels"))

    return load
