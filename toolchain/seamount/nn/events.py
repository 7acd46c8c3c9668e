"""Where spikes are: the values of rows that are not zero, with their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from torch import Tensor

from seamount.jit import lowest, ones, operation
from seamount.nn.loops import kernel
from seamount.nn.threads import in_parts

LANES = 64
"""Values that become one mask of those that are not zero."""


@dataclass(frozen=True)
class Events:
    """Which inputs are active, row by row.

    Attributes:
        index, value: the active inputs, int32, and what they carry, float32, row after row; with gaps.
        start, count: where a row's begin and how many they are, int64 `[R]`.
    """

    index: np.ndarray
    value: np.ndarray
    start: np.ndarray
    count: np.ndarray


def find(rows: Tensor) -> Events:
    """The active inputs of rows, float32 `[R, in]`, contiguous."""
    x = rows.numpy()
    count, start = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    in_parts(lambda first, last: _counts(first, last, x, count), len(x))
    np.cumsum(count, out=start)
    size = int(start[-1])
    start -= count
    index, value = np.empty(size + 1, np.int32), np.empty(size + 1, np.float32)
    in_parts(lambda first, last: _positions(first, last, x, start, index, value), len(x))
    return Events(index, value, start, count)


@operation
def _nonzero(typingctx, address):
    """Bit i of the result says whether the float32 at `address + 4 i` is not zero, for LANES of them."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(ir.FloatType(), LANES)
        data = builder.load(builder.inttoptr(args[0], vector.as_pointer()), align=4)
        return builder.bitcast(builder.fcmp_unordered("!=", data, ir.Constant(vector, [0.0] * LANES)), ir.IntType(64))

    return types.uint64(types.intp), codegen


@kernel
def _counts(first, last, x, count):
    width = x.shape[1]
    for r in range(first, last):
        address, n = x[r].ctypes.data, 0
        for i in range(0, width - LANES + 1, LANES):
            n += ones(_nonzero(address + 4 * i))
        for i in range(width // LANES * LANES, width):
            n += x[r, i] != 0
        count[r] = n


@kernel
def _positions(first, last, x, start, index, value):
    width, one = x.shape[1], np.uint64(1)
    for r in range(first, last):
        address, row, at = x[r].ctypes.data, x[r], start[r]
        for i in range(0, width - LANES + 1, LANES):
            mask = _nonzero(address + 4 * i)
            while mask:
                index[at] = i + lowest(mask)
                value[at] = row[index[at]]
                mask &= mask - one
                at += 1
        for i in range(width // LANES * LANES, width):
            if row[i] != 0:
                index[at], value[at] = i, row[i]
                at += 1
