"""Data sets, one file each, found by name.

A data set is a module here with a function `dataset(*, seed, ...) -> Dataset`, whose keyword arguments with their
defaults are its settings: `steps` where the number of time steps is free, `coding` where the samples are intensities.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from seamount.errors import DataError
from seamount_models.splits import Dataset


def names() -> list[str]:
    """Names of the data sets that are there, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def settings(name: str) -> dict[str, Any]:
    """Return the settings that a data set takes, each with its default.

    Raises:
        DataError: there is none of that name.

    Example:
        >>> settings("digits")
        {'steps': 16, 'coding': 'rate', 'seed': 0}
    """
    return {key: parameter.default for key, parameter in inspect.signature(_function(name)).parameters.items()}


def load(name: str, *, steps: int | None = None, coding: str | None = None, seed: int = 0, **options: Any) -> Dataset:
    """Load a data set.

    Args:
        name: `"digits"`, `"mnist"`, ...
        steps: time steps T of a coded sample; default the data set's own.
        coding: of intensities, `"rate"` or another of `encoders.ENCODERS`; default the data set's own.
        seed: of the coding; the split into training and test never changes.
        options: further settings of this data set.

    Raises:
        DataError: there is none of that name, it does not take a setting, or its file is missing or damaged.

    Example:
        >>> load("digits").test.spikes(range(2)).shape
        torch.Size([16, 2, 64])
    """
    given = {"steps": steps, "coding": coding}
    chosen = {key: value for key, value in given.items() if value is not None} | {"seed": seed} | options
    takes = settings(name)
    if unknown := sorted(chosen.keys() - takes.keys()):
        raise DataError(f"{name}: has no setting {', '.join(unknown)}. It takes: {', '.join(takes)}.")
    return _function(name)(**chosen)


def _function(name: str) -> Any:
    if name not in names():
        raise DataError(f"{name}: no such data set. There are: {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{name}").dataset
