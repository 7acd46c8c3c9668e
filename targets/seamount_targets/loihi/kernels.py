"""The emulator's inner loops: events to synaptic sums, and populations through time.

Spikes live on a *bus*, uint8 `[B, history + T, columns]`: the input and every spiking population own a range of
columns that begins at a multiple of 64 and is padded to one, so that rows are read 64 bytes at a time without a tail.
Row `history + t` holds step t; the rows before it are what delays reach back to.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from seamount_targets.loihi.simd import LANES, add_rows, call, lowest, nonzero, ones

MOST_EVENTS = 255
"""Rows of int8 that an int16 sum holds: 255 * 128 = 32640 <= 32767."""


def padded(n: int) -> int:
    """`n` rounded up to LANES."""
    return -(-n // LANES) * LANES


@njit(nogil=True, inline="never")
def _events(address, width, index):
    """Write the positions of the bytes that are not zero; return how many.

    Four are written at a time, needed or not, which is cheaper than a branch for each; `index` has room for them.
    """
    one, n = np.uint64(1), 0
    for start in range(0, width, LANES):
        mask = nonzero(address + start)
        count = ones(mask)
        for k in range(n, n + count, 4):
            for j in range(4):
                index[k + j] = start + lowest(mask)
                mask &= mask - one
        n += count
    return n


@njit(nogil=True)
def _add_events(a, index, n, weights, width, shift, partial, total):
    """`a += (sum of the rows of `weights` at `index`) << shift`, exactly.

    `weights` is the address of int8 rows of `width`. At most MOST_EVENTS rows are added in int16, these sums in int32;
    a negative shift is the floor of the whole sum.
    """
    index_address, partial_address = index.ctypes.data, partial.ctypes.data
    total[:] = 0
    for k in range(0, n, MOST_EVENTS):
        some = min(MOST_EVENTS, n - k)
        for j in range(0, width, LANES):
            add_rows(weights + j, width, index_address + 8 * k, some, partial_address + 2 * j)
        for j in range(width):
            total[j] += partial[j]
    if shift >= 0:
        for j in range(width):
            a[j] += total[j] << shift
    else:
        for j in range(width):
            a[j] += total[j] >> -shift


_BYTES3, _INTS2, _INTS3, _I = types.uint8[:, :, ::1], types.int32[:, ::1], types.int32[:, :, ::1], types.intp


@njit(types.void(_I, _BYTES3, _INTS3, types.int64[:, ::1], types.int8[:, ::1], _INTS2, _INTS3,
                 _BYTES3, _INTS3, _I, _I, _I, _I, _I, _I, _I, _I, _I), nogil=True)  # fmt: skip
def advance(
    code, bus, summed, wires, weights, constants, state, spikes, v,
    column, v_index, history, b_first, t_first, b0, b1, t0, t1,
):  # fmt: skip
    """Run one population for steps t0..t1 of samples b0..b1 of the window on the bus.

    Args:
        code: address of the population's row kernel.
        bus: uint8 `[B, history + T, columns]`.
        summed: int32 `[B, T, width]`, synaptic input that is there already, or of size 0.
        wires: int64 `[wires, 5]`, for each connection summed by events: column and width of its source on the bus,
            its first row in `weights`, delay, shift of the sum of halved weights.
        weights: int8 `[rows, width]`, halved and transposed.
        constants: int32 `[P, width]`.
        state: int32 `[B, states, width]`.
        spikes: uint8 `[T', B', N]`, where to record, or of size 0.
        v: int32 `[T', B', N]`, where to record, or of size 0.
        column: of the population on the bus; -1 for a readout.
        v_index: which state variable is v.
        history: steps before the window on the bus.
        b_first, t_first: position of the window in the recorded arrays.
    """
    width = weights.shape[1]
    a, total, partial = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int16)
    index = np.empty(bus.shape[2] + 4, np.int64)
    unused = np.empty(width, np.uint8)
    for b in range(b0, b1):
        for t in range(t0, t1):
            if summed.size:
                a[:] = summed[b, t]
            else:
                a[:] = 0
            for c in range(wires.shape[0]):
                source = bus[b, history + t - wires[c, 3]].ctypes.data + wires[c, 0]
                n = _events(source, wires[c, 1], index)
                if n:
                    rows = weights[wires[c, 2] :].ctypes.data
                    _add_events(a, index, n, rows, width, wires[c, 4], partial, total)
            out = unused if column < 0 else bus[b, history + t, column : column + width]
            call(code, a.ctypes.data, out.ctypes.data, state[b].ctypes.data, constants.ctypes.data, width)
            if spikes.size:
                spikes[t_first + t, b_first + b] = out[: spikes.shape[2]]
            if v.size:
                v[t_first + t, b_first + b] = state[b, v_index, : v.shape[2]]


@njit(types.void(_BYTES3, _BYTES3, _I, _I, _I, _I, _I, _I), nogil=True)
def load(x, bus, history, b_first, t_first, b0, b1, steps):
    """Put `steps` steps of the input, uint8 `[T', B', N]`, on the first columns of the bus."""
    for b in range(b0, b1):
        for t in range(steps):
            bus[b, history + t, : x.shape[2]] = x[t_first + t, b_first + b]


@njit(types.float64(_BYTES3, _I, _I, _I, _I, _I, _I), nogil=True)
def activity(bus, history, column, width, samples, steps, stride):
    """Share of bytes that are not zero among columns of the bus, looking at every `stride`-th row."""
    events, rows = 0, 0
    for row in range(0, samples * steps, stride):
        address = bus[row // steps, history + row % steps].ctypes.data + column
        for start in range(0, width, LANES):
            events += ones(nonzero(address + start))
        rows += 1
    return events / (rows * width)
