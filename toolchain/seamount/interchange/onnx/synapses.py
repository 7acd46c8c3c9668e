"""Bodies of the ONNX functions of connections: matrix products and convolutions in a type that is exact."""

from __future__ import annotations

from math import prod

import numpy as np
from onnx import numpy_helper

from seamount.fixed_point import shift
from seamount.interchange.onnx.symbol import ANY, DOUBLE, FLOAT, INT64, Body, Symbol
from seamount.ir import Connection, Conv, Graph, IntConnection, Linear
from seamount.limits import largest_sum


def synapses(graph: Graph, node: Linear | Conv, number: int) -> Body:
    """What a connection delivers, `a [B, *shape of its population]`, from its source's spikes or its delay line.

    Args:
        graph: of the node.
        node: connection.
        number: type of a.
    """
    source = "line" if node.delay else "s"
    body = Body([source, "weight"])
    s = Symbol(body, source, ANY)
    if node.delay:
        s = body.emit("Gather", [s, body.constant(0, INT64)], ANY, axis=0)
    exact = _exact_type(graph, node)
    weight = Symbol(body, "weight", ANY).cast(exact)
    in_shape, shape = graph.source(node).shape, graph.target(node).shape
    if isinstance(node, Linear):
        s = s if len(in_shape) == 1 else body.emit("Flatten", [s], ANY, axis=1)
        a = body.emit("MatMul", [s.cast(exact), body.emit("Transpose", [weight], exact, perm=[1, 0])], exact)
        a = a if len(shape) == 1 else _reshaped(body, a, shape)
    elif exact == FLOAT:
        a = (_convolved if max(node.spacing) == 1 else _transposed)(body, node, s.cast(exact), weight)
    else:
        a = _patched(body, node, s.cast(exact), weight, in_shape)
    a = a.cast(number)
    if isinstance(node, IntConnection):
        a = shift(a, node.weight_exp)
    body.name_outputs([a], ["a"], [number])
    return body


def _exact_type(graph: Graph, node: Connection) -> int:
    """Float types count exactly to 2^24 and 2^53; onnxruntime multiplies int64 matrices as well, but slowly."""
    if not isinstance(node, IntConnection):
        return DOUBLE
    bound = largest_sum(graph, node)
    return FLOAT if bound < 1 << 24 else DOUBLE if bound < 1 << 53 else INT64


def _convolved(body: Body, node: Conv, s: Symbol, weight: Symbol) -> Symbol:
    """The standard operator, which onnxruntime has for float32 only."""
    return body.emit(
        "Conv", [s, weight], FLOAT, strides=node.stride, pads=[*node.padding] * 2, dilations=node.dilation,
        group=node.groups,
    )  # fmt: skip


def _transposed(body: Body, node: Conv, s: Symbol, weight: Symbol) -> Symbol:
    """The standard operator whose strides are the spacing; its kernel is `[in, out / groups, ..]` and mirrored."""
    outputs, inputs = len(node.weight) // node.groups, node.weight.shape[1]
    dims = len(node.kernel)
    weight = _reshaped(body, weight, (outputs, inputs, *node.kernel), first=node.groups)
    weight = body.emit("Transpose", [weight], FLOAT, perm=[0, 2, 1, *range(3, 3 + dims)])
    weight = _reshaped(body, weight, (outputs, *node.kernel), first=node.groups * inputs)
    mirror = ([-1] * dims, [-(1 << 62)] * dims, range(2, 2 + dims), [-1] * dims)  # from, to, axes, steps
    weight = body.emit("Slice", [weight, *(_integers(body, np.array(i)) for i in mirror)], FLOAT)
    pads = [d * (k - 1) - p for k, p, d in zip(node.kernel, node.padding, node.dilation, strict=True)]
    return body.emit(
        "ConvTranspose", [s, weight], FLOAT, strides=node.spacing, pads=pads * 2, dilations=node.dilation,
        group=node.groups,
    )  # fmt: skip


def _patched(body: Body, node: Conv, s: Symbol, weight: Symbol, in_shape: tuple[int, ...]) -> Symbol:
    """The same sums in any type, as a matrix product: what each output position sees is gathered by index."""
    size, shape = prod(in_shape), node.out_shape(in_shape)
    index = node.patches(np.arange(1, size + 1).reshape(1, *in_shape))[0]  # [groups, positions, taps]; 0 is padding
    flat = body.emit("Flatten", [s], s.dtype, axis=1)
    padded = body.emit("Pad", [flat, _integers(body, np.array([0, 1, 0, 0]))], s.dtype)
    patches = body.emit("Gather", [padded, _integers(body, index)], s.dtype, axis=1)
    kernel = _reshaped(body, weight, (shape[0] // node.groups, index.shape[2]), first=node.groups)
    a = body.emit("MatMul", [patches, body.emit("Transpose", [kernel], s.dtype, perm=[0, 2, 1])], s.dtype)
    return _reshaped(body, body.emit("Transpose", [a], s.dtype, perm=[0, 1, 3, 2]), shape)


def _reshaped(body: Body, x: Symbol, shape: tuple[int, ...], first: int = -1) -> Symbol:
    """`x` as `[first, *shape]`, -1 for what is left."""
    return body.emit("Reshape", [x, _integers(body, np.array([first, *shape]))], x.dtype)


def _integers(body: Body, values: np.ndarray) -> Symbol:
    tensor = numpy_helper.from_array(np.ascontiguousarray(values, np.int64))
    return body.emit("Constant", [], INT64, value=tensor)
