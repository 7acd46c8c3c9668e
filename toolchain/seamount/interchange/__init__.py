"""Networks in files: `save` and `load` pick the format by the file's suffix, one module a format."""

from __future__ import annotations

import importlib
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

from seamount.errors import FileFormatError
from seamount.ir import Graph

FORMATS = {".onnx": "onnx"}
"""Suffix -> module of this package, with `save(graph, path, **options)`, `load(path)` or both."""


def save(graph: Graph, path: str | Path, **options: Any) -> None:
    """Write a graph to a file, in the format that the suffix names.

    The file appears whole or not at all: a failed save leaves an existing one as it was.

    Args:
        graph: float or integer.
        path: such as `"net.onnx"`.
        options: the format's own; see its module.

    Raises:
        FileFormatError: an unknown suffix, or a file that cannot be written.

    Example:
        >>> import seamount as sm
        >>> sm.save(graph, "net.onnx")  # doctest: +SKIP
    """
    module = _module(Path(path), "save")
    module.save(graph, path, **options)


def load(path: str | Path) -> Graph:
    """Read a graph from a file. Nothing in the file is run.

    Args:
        path: such as `"net.onnx"`.

    Raises:
        FileFormatError: no such file, an unknown suffix, or contents that are not a graph; names the file and the node.

    Example:
        >>> import seamount as sm
        >>> sm.load("net.onnx")  # doctest: +SKIP
    """
    path = Path(path)
    module = _module(path, "load")
    check_readable(path)
    return module.load(path)


def check_readable(path: Path) -> None:
    """Raise FileFormatError unless `path` is a regular file (a pipe or a device could block for ever)."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
        raise FileFormatError(f"{path}: cannot be read: it is {what}.")


def _module(path: Path, verb: str) -> ModuleType:
    known = ", ".join(sorted(FORMATS))
    if path.suffix.lower() not in FORMATS:
        raise FileFormatError(f"{path}: the suffix {path.suffix!r} names no format (allowed: {known}).")
    module = importlib.import_module(f"{__name__}.{FORMATS[path.suffix.lower()]}")
    if not hasattr(module, verb):
        raise FileFormatError(f"{path}: {path.suffix} files have no {verb}.")
    return module
