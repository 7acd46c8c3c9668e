"""The emulator's inner loops: events to synaptic sums, and populations through time.

Spikes live on a *bus*, uint8 `[B, history + T, columns]`: the input and every spiking population own a range of
columns that begins at a multiple of 64 and is padded to one, so that rows are read 64 bytes at a time without a tail.
A spike is 1; a population of signed spikes also sends 255, which is -1 in int8. Graded spikes have a bus of their own,
int32 of the same form.
Row `history + t` holds step t; the rows before it are what delays reach back to.

Compiling this takes seconds, so the machine code is kept on disk: nothing from elsewhere but `seamount.jit` may be
compiled in here (a population's step comes as an address).
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from seamount.jit import kernel, lowest, ones, operation

LANES = 64
"""Bytes of a row of spikes that become one mask, and neurons whose sums are made together; widths are padded to it."""
KINDS = ("spike", "signed", "graded")
"""Of what a wire carries and a population sends, by number."""
_SIGNED, _GRADED = KINDS.index("signed"), KINDS.index("graded")
MOST_EVENTS = 255
"""Rows of int8 that an int16 sum holds: 255 * 128 = 32640 <= 32767."""


def padded(n: int) -> int:
    """`n` rounded up to LANES."""
    return -(-n // LANES) * LANES


def zeros(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Zeros that begin at a multiple of LANES bytes: 64 bytes of a row are one cache line, not parts of two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + LANES, np.uint8)
    offset = -memory.ctypes.data % LANES
    return memory[offset : offset + size].view(dtype).reshape(shape)


_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


@operation
def _nonzero(typingctx, address):
    """Bit i of the result says whether the byte at `address + i` is not zero, for 64 bytes."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(_I8, LANES)
        data = builder.load(builder.inttoptr(args[0], vector.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", data, ir.Constant(vector, [0] * LANES)), _I64)

    return types.uint64(types.intp), codegen


@operation
def _add_rows(typingctx, weights, stride, index, n, out):
    """`out[j] = sum_k weights[index[k] * stride + j]` for 64 j and k < n: int8 rows, int64 index, int16 sums.

    Written as vectors because the sums must stay in registers over the loop; a compiler puts them in memory.
    """

    def codegen(context, builder, signature, args):
        weights, stride, index, n, out = args
        parts, lanes = 2, LANES // 2
        bytes_, words = ir.VectorType(_I8, lanes), ir.VectorType(_I16, lanes)
        before = builder.basic_block
        test, body, done = (builder.append_basic_block(name) for name in ("test", "body", "done"))
        index = builder.inttoptr(index, _I64.as_pointer())
        builder.branch(test)
        builder.position_at_end(test)
        k = builder.phi(_I64)
        sums = [builder.phi(words) for _ in range(parts)]
        k.add_incoming(ir.Constant(_I64, 0), before)
        for s in sums:
            s.add_incoming(ir.Constant(words, [0] * lanes), before)
        builder.cbranch(builder.icmp_signed("<", k, n), body, done)
        builder.position_at_end(body)
        offset = builder.mul(builder.load(builder.gep(index, [k])), stride)
        row = builder.inttoptr(builder.add(weights, offset), bytes_.as_pointer())
        for part, s in enumerate(sums):
            weight = builder.load(builder.gep(row, [ir.Constant(_I64, part)]), align=1)
            s.add_incoming(builder.add(s, builder.sext(weight, words)), body)
        k.add_incoming(builder.add(k, ir.Constant(_I64, 1)), body)
        builder.branch(test)
        builder.position_at_end(done)
        out = builder.inttoptr(out, words.as_pointer())
        for part, s in enumerate(sums):
            builder.store(s, builder.gep(out, [ir.Constant(_I64, part)]), align=1)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@operation
def _call(typingctx, code, a, out, state, constants, n):
    """Call machine code of `neuron_kernel.SIGNATURES`; arrays are given by address."""

    def codegen(context, builder, signature, args):
        pointers = [t.as_pointer() for t in (_I32, _I8, _I32, _I32)]
        function = ir.FunctionType(ir.VoidType(), [*pointers, _I64])
        arrays = [builder.inttoptr(x, p) for x, p in zip(args[1:5], pointers, strict=True)]
        builder.call(builder.inttoptr(args[0], function.as_pointer()), [*arrays, args[5]])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), codegen


@operation
def _copy(typingctx, target, source, n):
    """Copy n bytes."""

    def codegen(context, builder, signature, args):
        target, source = (builder.inttoptr(address, _I8.as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, target, source, args[2], 1)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), codegen


@kernel()
def _events(address, width, index):
    """Write the positions of the bytes that are not zero; return how many.

    Four are written at a time, needed or not, which is cheaper than a branch for each; `index` has room for them.
    """
    one, n = np.uint64(1), 0
    for start in range(0, width, LANES):
        mask = _nonzero(address + start)
        count = ones(mask)
        for k in range(n, n + count, 4):
            for j in range(4):
                index[k + j] = start + lowest(mask)
                mask &= mask - one
        n += count
    return n


@kernel()
def _accumulate(into, index, n, weights, factor, partial):
    """`into += factor * (sum of the rows of `weights` at `index`)`, MOST_EVENTS rows at a time in int16."""
    width = into.size
    index_address, partial_address = index.ctypes.data, partial.ctypes.data
    for k in range(0, n, MOST_EVENTS):
        some = min(MOST_EVENTS, n - k)
        for j in range(0, width, LANES):
            _add_rows(weights + j, width, index_address + 8 * k, some, partial_address + 2 * j)
        for j in range(width):
            into[j] += partial[j] * factor


@kernel()
def _add_signed(a, index, n, weights, shift, partial, total, sent):
    """`_add_events` of events that are 1 or, where the byte of `sent` is 255, -1; reorders `index`."""
    up = 0
    for k in range(n):
        i = index[k]
        if sent[i] == 1:
            index[k] = index[up]
            index[up] = i
            up += 1
    total[:] = 0
    _accumulate(total, index, up, weights, np.int32(1), partial)
    _accumulate(total, index[up:], n - up, weights, np.int32(-1), partial)
    for j in range(a.size):
        a[j] += total[j] << shift if shift >= 0 else total[j] >> -shift


@kernel()
def _add_events(a, index, n, weights, shift, partial, total):
    """`a += (sum of the rows of `weights` at `index`) << shift`, exactly.

    A negative shift is the floor of the whole sum.
    `weights` is the address of int8 rows as long as `a`. At most MOST_EVENTS rows are added in int16; what these sums
    go into is int32, whose range the planner has checked for any set of rows, before and after the shift.
    """
    factor = np.int32(1 << max(shift, 0))
    into = a
    if shift < 0:
        total[:] = 0
        into = total
    _accumulate(into, index, n, weights, factor, partial)
    if shift < 0:
        for j in range(a.size):
            a[j] += total[j] >> -shift


@kernel()
def _add_graded(a, sent, n, weights, shift, total):
    """`a += (sum over k < n of sent[k] * weights[k]) << shift`, the floor for a negative shift; weights int8 rows."""
    total[:] = 0
    for k in range(n):
        value = sent[k]
        if value != 0:
            for j in range(a.size):
                total[j] += value * weights[k, j]
    for j in range(a.size):
        a[j] += total[j] << shift if shift >= 0 else total[j] >> -shift


_BYTES3, _INTS2, _INTS3, _I = types.uint8[:, :, ::1], types.int32[:, ::1], types.int32[:, :, ::1], types.intp


@kernel(types.void(_I, _BYTES3, _INTS3, _INTS3, types.int64[:, ::1], types.int8[:, ::1], _INTS2, _INTS3,
                 _BYTES3, _INTS3, *[_I] * 10))  # fmt: skip
def advance(
    code, bus, graded, summed, wires, weights, constants, state, spikes, v,
    column, kind, v_index, history, batch, b_first, t_first, samples, t0, t1,
):  # fmt: skip
    """Run one population for steps t0..t1 of the window on the bus.

    Args:
        code: address of the population's row kernel.
        bus: uint8 `[B, history + T, columns]`.
        graded: int32 `[B, history + T, columns]`, the bus of graded spikes.
        summed: int32 `[B, T, width]`, synaptic input that is there already, or of size 0.
        wires: int64 `[wires, 6]`, for each connection summed by events: column and width of its source on the bus,
            its first row in `weights`, delay, shift of the sum of halved weights, kind of what it carries.
        weights: int8 `[rows, width]`, halved and transposed.
        constants: int32 `[P, width]`.
        state: int32 `[B, states, width]`.
        spikes: uint8 `[T', B', N]`, where to record, or of size 0; `[T', B', 4 N]`, the bytes of graded spikes.
        v: int32 `[T', B', N]`, where to record, or of size 0.
        column: of the population on its bus; -1 for a readout.
        kind: of its spikes.
        v_index: which state variable is v.
        history: steps before the window on the bus.
        batch: B' of the recorded arrays.
        b_first, t_first: position of the window in the recorded arrays.
        samples: how many of them are on the bus.
    """
    width, columns, states = weights.shape[1], bus.shape[2], state.shape[1]
    a, total, partial = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int16)
    index = np.empty(columns + 4, np.int64)
    unused = np.empty(width, np.uint8)
    for b in range(samples):
        own_state = state.ctypes.data + 4 * b * states * width
        for t in range(t0, t1):
            row = bus.ctypes.data + (b * bus.shape[1] + history + t) * columns
            if summed.size:
                _copy(a.ctypes.data, summed.ctypes.data + 4 * (b * summed.shape[1] + t) * width, 4 * width)
            else:
                a[:] = 0
            for c in range(wires.shape[0]):
                if wires[c, 5] == _GRADED:
                    values = graded[b, history + t - wires[c, 3], wires[c, 0] :]
                    _add_graded(a, values, wires[c, 1], weights[wires[c, 2] :], wires[c, 4], total)
                    continue
                n = _events(row - wires[c, 3] * columns + wires[c, 0], wires[c, 1], index)
                rows = weights.ctypes.data + wires[c, 2] * width
                if n and wires[c, 5] == _SIGNED:
                    sent = bus[b, history + t - wires[c, 3], wires[c, 0] :]
                    _add_signed(a, index, n, rows, wires[c, 4], partial, total, sent)
                elif n:
                    _add_events(a, index, n, rows, wires[c, 4], partial, total)
            out = unused.ctypes.data if column < 0 else row + column
            if kind == _GRADED:
                out = graded.ctypes.data + 4 * ((b * graded.shape[1] + history + t) * graded.shape[2] + column)
            _call(code, a.ctypes.data, out, own_state, constants.ctypes.data, width)
            recorded = (t_first + t) * batch + b_first + b
            if spikes.size:
                _copy(spikes.ctypes.data + recorded * spikes.shape[2], out, spikes.shape[2])
            if v.size:
                size = 4 * v.shape[2]
                _copy(v.ctypes.data + recorded * size, own_state + 4 * v_index * width, size)


@kernel(types.void(types.Array(types.uint8, 3, "C", readonly=True), _BYTES3, *[_I] * 5))
def load(x, bus, history, b_first, t_first, samples, steps):
    """Put `steps` steps of the input, uint8 `[T', B', N]`, on the first columns of the bus."""
    for b in range(samples):
        for t in range(steps):
            row = bus.ctypes.data + (b * bus.shape[1] + history + t) * bus.shape[2]
            _copy(row, x.ctypes.data + ((t_first + t) * x.shape[1] + b_first + b) * x.shape[2], x.shape[2])


@kernel(types.float64(_BYTES3, _I, _I, _I, _I, _I, _I))
def activity(bus, history, column, width, samples, steps, stride):
    """Share of bytes that are not zero among columns of the bus, looking at every `stride`-th row."""
    events, rows = 0, 0
    for row in range(0, samples * steps, stride):
        address = bus.ctypes.data + ((row // steps) * bus.shape[1] + history + row % steps) * bus.shape[2] + column
        for start in range(0, width, LANES):
            events += ones(_nonzero(address + start))
        rows += 1
    return events / (rows * width)
