"""Where a command's input spikes come from: a file, a data set, or chance."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from seamount.errors import FileFormatError, SeamountError

if TYPE_CHECKING:
    from seamount.ir import Graph

MAX_BYTES = 1 << 32
"""Largest array that is read from a compressed file, whose size on disk promises nothing."""


def choose(
    graph: Graph, file: Path | None, data: str | None, random: bool, steps: int, samples: int, seed: int
) -> np.ndarray | None:
    """Return `[T, B, *shape]` from the source that was named, None where none was.

    Raises:
        typer.BadParameter: several sources were named.
        SeamountError: a file or a data set cannot be read.
    """
    if (file is not None) + (data is not None) + random > 1:
        raise typer.BadParameter("give one of --spikes FILE, --data NAME and --random.")
    if file is not None:
        return read(file)
    if data is not None:
        return _from_data(data, steps, samples, seed)
    if random:
        from seamount import testing

        return testing.random_spikes(np.random.default_rng(seed), graph, steps, samples)
    return None


def required(spikes: np.ndarray | None) -> np.ndarray:
    """Return spikes, or say which options give them."""
    if spikes is None:
        raise typer.BadParameter("give --spikes FILE, --data NAME or --random.")
    return spikes


def read(path: Path) -> np.ndarray:
    """Return the array in an `.npy` file, or the array `spikes` (or the only one) in an `.npz` file.

    Raises:
        FileFormatError: no such file, no such array, pickled objects, or a size that the file does not have.
    """
    from seamount.interchange import check_readable

    check_readable(path)
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{path}: is no NumPy file, or a truncated one: {error}.") from error


def models_module(name: str) -> ModuleType:
    """Import a module of seamount_models, on which this package does not depend.

    Raises:
        SeamountError: it is not installed.
    """
    try:
        return importlib.import_module(f"seamount_models.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("seamount_models"):
            raise
        raise SeamountError(
            f"seamount_models.{name}: is not installed. Hint: it comes with seamount's wheel."
        ) from error


def _read_npz(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        name = "spikes" if "spikes" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise FileFormatError(f"{path}: holds no array `spikes` among {', '.join(names) or 'none'}.")
        with archive.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            header: Any = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(member)
        declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if declared > min(MAX_BYTES, archive.getinfo(f"{name}.npy").file_size):
            raise FileFormatError(
                f"{path}: {name} of shape {list(shape)} asks for {declared} bytes, more than it holds."
            )
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _from_data(name: str, steps: int, samples: int, seed: int) -> np.ndarray:
    import torch

    split = models_module("datasets").load(name, steps=steps, seed=seed).test
    return split.spikes(torch.arange(min(samples, len(split)))).numpy()
