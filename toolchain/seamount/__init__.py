"""seamount: from a spiking network in PyTorch to a neuromorphic chip, bit for bit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamount import errors, learning, nn, targets
    from seamount.compiler import compile  # noqa: A004
    from seamount.errors import SeamountError
    from seamount.interchange import load, save
    from seamount.ir import Graph
    from seamount.lowering import lower
    from seamount.quantization import quantize
    from seamount.verification import verify

_HOME = {
    "Graph": "seamount.ir",
    "SeamountError": "seamount.errors",
    "compile": "seamount.compiler",
    "load": "seamount.interchange",
    "lower": "seamount.lowering",
    "quantize": "seamount.quantization",
    "save": "seamount.interchange",
    "verify": "seamount.verification",
    "errors": "",
    "learning": "",
    "nn": "",
    "targets": "",
}

__all__ = [
    "Graph",
    "SeamountError",
    "compile",
    "errors",
    "learning",
    "load",
    "lower",
    "nn",
    "quantize",
    "save",
    "targets",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import seamount` does not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'seamount' has no attribute {name!r}")
    home = _HOME[name]
    value = getattr(importlib.import_module(home), name) if home else importlib.import_module(f"seamount.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
