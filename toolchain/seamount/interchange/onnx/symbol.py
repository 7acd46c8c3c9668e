"""Symbols that write ONNX operators: what a neuron's `step` does to them becomes the body of a function.

`step` functions use nothing but `+ - * << >> < <= >`, so calling one with symbols runs it once and records, operator
by operator, what it computes. No neuron has any ONNX code of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

BOOL, FLOAT, DOUBLE, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
ANY = TensorProto.UNDEFINED
"""Type of an input that may come in several; it is cast before use."""


class UntraceableError(TypeError):
    """A step did something to a symbol that has no ONNX form here."""


class Body:
    """The nodes of a function while it is being written.

    Args:
        inputs: names of the function's inputs.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = list(inputs)
        self.nodes: list[NodeProto] = []
        self._constants: set[str] = set()

    def emit(self, op: str, inputs: Sequence[Symbol], dtype: int, **attributes: Any) -> Symbol:
        """Append one standard operator; return its result, named after the operator."""
        out = Symbol(self, f"{op.lower()}_{len(self.nodes)}", dtype)
        self.nodes.append(helper.make_node(op, [i.name for i in inputs], [out.name], **attributes))
        return out

    def constant(self, value: int | float, dtype: int) -> Symbol:
        """A scalar, named by its value; written once."""
        if dtype == INT64 and not -(1 << 63) <= value < 1 << 63:
            raise UntraceableError(f"{value} does not fit int64")
        name = str(int(value)) if dtype == INT64 else repr(float(value))
        if name not in self._constants:
            self._constants.add(name)
            array = np.array(value, np.int64 if dtype == INT64 else np.float64)
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        return Symbol(self, name, dtype)

    def name_outputs(self, symbols: Sequence[Symbol], names: Sequence[str], dtypes: Sequence[int]) -> None:
        """Give results their final names and types; the same symbol may leave under several names."""
        for symbol, name, dtype in zip(symbols, names, dtypes, strict=True):
            same = symbol.dtype == dtype
            attributes: dict[str, Any] = {} if same else {"to": dtype}
            self.nodes.append(helper.make_node("Identity" if same else "Cast", [symbol.name], [name], **attributes))


class Symbol:
    """A value inside a Body: int64, float64, or the bool of a comparison, which counts as 0 or 1.

    Python numbers meet symbols as constants. `0 * x`, `1 * x` and `x + 0` are simplified, so that what a fixed choice
    (reset to zero, no bias shift) does not use is not written.
    """

    __array_ufunc__ = None  # NumPy scalars leave the operator to the symbol
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, body: Body, name: str, dtype: int) -> None:
        self.body, self.name, self.dtype = body, name, dtype

    def __bool__(self) -> bool:
        raise UntraceableError("branches on a value that is only known when the network runs")

    def __eq__(self, other) -> bool:
        raise UntraceableError("compares with == or !=, which step functions may not use")

    def cast(self, dtype: int) -> Symbol:
        return self if self.dtype == dtype else self.body.emit("Cast", [self], dtype, to=dtype)

    def __add__(self, other):
        return self if is_number(other, 0) else self._apply("Add", other)

    def __radd__(self, other):
        return self if is_number(other, 0) else self._apply("Add", other, swap=True)

    def __sub__(self, other):
        return self if is_number(other, 0) else self._apply("Sub", other)

    def __rsub__(self, other):
        return self._apply("Sub", other, swap=True)

    def __mul__(self, other) -> Any:
        if is_number(other, 0):
            return 0
        return self if is_number(other, 1) else self._apply("Mul", other)

    __rmul__ = __mul__

    def __lshift__(self, bits) -> Any:
        return self * self._power_of_two(bits)

    def __rshift__(self, bits):
        power = self._power_of_two(bits)
        if is_number(power, 1):
            return self
        # ONNX Div truncates; subtracting Mod, which takes the divisor's sign, first makes the division exact.
        return (self - self._apply("Mod", power))._apply("Div", power)

    def __lt__(self, other):
        return self._apply("Less", other, BOOL)

    def __le__(self, other):
        return self._apply("LessOrEqual", other, BOOL)

    def __gt__(self, other):
        return self._apply("Greater", other, BOOL)

    def __ge__(self, other):
        return self._apply("GreaterOrEqual", other, BOOL)

    def _power_of_two(self, bits):
        if self.dtype == DOUBLE:
            raise UntraceableError("shifts a value that is not an integer")
        if isinstance(bits, Symbol):
            return self.body.emit("Pow", [self.body.constant(2, INT64), bits], INT64)
        return 1 << int(bits)

    def _apply(self, op: str, other, dtype: int | None = None, swap: bool = False) -> Symbol:
        """Write a binary operator; both sides become float64 if one is, as in NumPy, else int64."""
        if not isinstance(other, Symbol) and not is_number(other):
            raise UntraceableError(f"combines a value with a {type(other).__name__}")
        fractional = other.dtype == DOUBLE if isinstance(other, Symbol) else isinstance(other, (float, np.floating))
        number = DOUBLE if self.dtype == DOUBLE or fractional else INT64
        sides = [self.cast(number), other.cast(number) if isinstance(other, Symbol) else self._constant(other, number)]
        return self.body.emit(op, sides[::-1] if swap else sides, number if dtype is None else dtype)

    def _constant(self, value, dtype: int) -> Symbol:
        return self.body.constant(value.item() if isinstance(value, (np.generic, np.ndarray)) else value, dtype)


def is_number(value, which: int | None = None) -> bool:
    """Whether `value` is a plain number (or the plain number `which`) and not a symbol."""
    plain = isinstance(value, (int, float, np.number)) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return plain and (which is None or value == which)
