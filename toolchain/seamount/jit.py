"""Functions that numba compiles and keeps on disk, and operations on bits that it has no words for.

Numba renews machine code when the file that its function stands in changes, and looks at no other. So the name under
which code is kept holds a hash of what is compiled in from anywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


def kernel(*signature: Any) -> Callable[[Callable], Any]:
    """`njit` for nopython code that runs beside Python's own threads, kept on disk where a folder can be written."""

    def decorate(function: Callable) -> Any:
        function.__qualname__ += "-" + sha256("".join(_compiled_in(function)).encode()).hexdigest()[:12]
        try:
            return njit(*signature, nogil=True, cache=True)(function)
        except RuntimeError:
            return njit(*signature, nogil=True)(function)

    return decorate


def _compiled_in(function: Any, *within: Any) -> Iterator[str]:
    """The text of the functions that a function calls, and of those that they call, and the numbers that all use."""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        value = getattr(value, "py_func", getattr(value, "__wrapped__", value))
        if isinstance(value, (bool, int, float, tuple)):
            yield f"{name} = {value}\n"
        elif inspect.isfunction(value) and value not in (function, *within):
            yield inspect.getsource(value)
            yield from _compiled_in(value, function, *within)


def operation(function: Callable) -> Any:
    """`intrinsic`, typed as what kernels see: without the first parameter."""
    return intrinsic(function)


@operation
def lowest(typingctx, mask):
    """Position of the lowest bit of 64; 64 for an empty mask."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@operation
def ones(typingctx, mask):
    """Number of bits that are set, of 64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen
