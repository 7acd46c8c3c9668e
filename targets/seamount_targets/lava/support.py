"""Importing lava-nc 0.10 on Python 3.10 to 3.12, without side effects on the program that imports it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seamount.errors import TargetError

INSTALL = (
    "pip install --ignore-requires-python --no-deps lava-nc==0.10.0 && "
    "pip install 'numpy<2' scipy 'networkx<=2.8.7' 'asteval<0.10' scikit-learn"
)
"""Adds Lava on any Python from 3.10: lava-nc's metadata refuses every Python but 3.10, its code does not."""

MODULES = (
    "lava.magma.compiler.var_model",
    "lava.magma.compiler.compiler",
    "lava.magma.runtime.message_infrastructure.multiprocessing",
    "seamount_targets.lava.processes.connections",
    "seamount_targets.lava.processes.neurons",
    "seamount_targets.lava.processes.resonators",
    "seamount_targets.lava.processes.sigma_delta",
    "seamount_targets.lava.processes.steps",
    "seamount_targets.lava.processes.streams",
    "seamount_targets.lava.taps",
    "seamount_targets.lava.runtime",
)
"""All that a run needs, imported once here and not in each forked run."""
_lock = threading.Lock()


def require_lava() -> None:
    """Import Lava, once.

    Raises:
        TargetError: it is not there, with the one line that adds it; something else has its name; or the system has no
            fork, which Lava needs.
    """
    if not hasattr(os, "fork"):
        raise TargetError("lava: needs fork, which this system does not have. Hint: run on Linux, or in WSL.")
    with _lock:
        if MODULES[-1] in sys.modules:
            return
        # Not by importing: a script lava.py that runs this would be run again, by itself.
        spec = importlib.util.find_spec("lava")
        folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or []]
        if spec and not any((folder / "magma").is_dir() for folder in folders):
            found = spec.origin or ", ".join(map(str, folders))
            raise TargetError(f"lava: Python finds {found} under this name. Hint: rename it, or run from elsewhere.")
        try:
            with _hashable_dataclasses(), _start_method_kept():
                for module in MODULES:
                    importlib.import_module(module)
        except ImportError as error:
            raise TargetError(f"lava: cannot be imported ({error}). Hint: {INSTALL}") from error


@contextmanager
def _hashable_dataclasses() -> Iterator[None]:
    """Make dataclasses of Lava hashable: since Python 3.11 a field's default must be, and one of Lava's is not."""
    original = dataclasses.dataclass

    @functools.wraps(original)
    def dataclass(cls=None, /, **options):
        def make(cls: type) -> type:
            extra = {"unsafe_hash": True} if cls.__module__.startswith("lava.") else {}
            return original(cls, **{**extra, **options})

        return make if cls is None else make(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


@contextmanager
def _start_method_kept() -> Iterator[None]:
    """Keep Lava from setting multiprocessing's start method, which raises where the program has chosen one."""
    original = multiprocessing.set_start_method
    multiprocessing.set_start_method = lambda *args, **kwargs: None
    try:
        yield
    finally:
        multiprocessing.set_start_method = original
