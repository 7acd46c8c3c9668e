"""Vector instructions that numba has no words for, as LLVM code: it runs on any processor, on vectors where there are.

Addresses are integers (`array.ctypes.data`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 64
"""Bytes of a row of spikes that become one mask, and neurons whose sums are made together."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _for_kernels(function: Callable) -> Any:
    """`intrinsic`, typed as what kernels see: without the first parameter."""
    return intrinsic(function)


@_for_kernels
def nonzero(typingctx, address):
    """Bit i of the result says whether the byte at `address + i` is not zero, for 64 bytes."""

    def codegen(context, builder, signature, args):
        vector = ir.VectorType(_I8, LANES)
        data = builder.load(builder.inttoptr(args[0], vector.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", data, ir.Constant(vector, [0] * LANES)), _I64)

    return types.uint64(types.intp), codegen


@_for_kernels
def lowest(typingctx, mask):
    """Position of the lowest bit; 64 for an empty mask."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@_for_kernels
def ones(typingctx, mask):
    """Number of bits that are set."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@_for_kernels
def add_rows(typingctx, weights, stride, index, n, out):
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


@_for_kernels
def call(typingctx, code, a, out, state, constants, n):
    """Call machine code of `neuron_kernel.SIGNATURE`; arrays are given by address."""

    def codegen(context, builder, signature, args):
        pointers = [t.as_pointer() for t in (_I32, _I8, _I32, _I32)]
        function = ir.FunctionType(ir.VoidType(), [*pointers, _I64])
        arrays = [builder.inttoptr(x, p) for x, p in zip(args[1:5], pointers, strict=True)]
        builder.call(builder.inttoptr(args[0], function.as_pointer()), [*arrays, args[5]])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), codegen
