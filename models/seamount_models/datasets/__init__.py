"""Data sets, one file each, found by name.

A data set is a module here with a function `dataset(*, steps, coding, seed) -> Dataset`.
"""

from __future__ import annotations

import importlib
import pkgutil

from seamount.errors import DataError
from seamount_models.splits import Dataset


def names() -> list[str]:
    """Names of the data sets that are there, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def load(name: str, *, steps: int = 16, coding: str = "rate", seed: int = 0) -> Dataset:
    """Load a data set.

    Args:
        name: `"digits"`, `"mnist"`, ...
        steps: time steps T of a coded sample.
        coding: `"rate"` or `"latency"`.
        seed: of the coding; the split into training and test never changes.

    Raises:
        DataError: there is none of that name, or its file is missing or damaged.

    Example:
        >>> load("digits").test.spikes(range(2)).shape
        torch.Size([16, 2, 64])
    """
    if name not in names():
        raise DataError(f"{name}: no such data set. There are: {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}").dataset(steps=steps, coding=coding, seed=seed)
