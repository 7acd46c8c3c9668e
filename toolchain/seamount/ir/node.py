"""Typed nodes of a graph: what each holds, and the checks a node can make alone.

A node names its inputs, as in ONNX: `Linear("fc1", inputs=("input",))`, `LIF("lif1", inputs=("fc1", "rec1"))`. A
population sums what its connections deliver. A connection that closes a loop has `delay >= 1`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from seamount.errors import GraphError

NODE_TYPES: dict[str, type[Node]] = {}
"""Concrete node types by name; a class joins by being defined. Files name their nodes through it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """A named vertex; `inputs` are the names of the nodes it reads.

    Array fields become read-only NumPy arrays of the dtype that `ARRAYS` gives for the field.
    """

    name: str
    inputs: tuple[str, ...] = ()

    stage: ClassVar[str | None] = None
    """`"float"`, `"integer"`, or None for a node that belongs to both."""
    ARRAYS: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        NODE_TYPES[cls.__name__] = cls

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        for field, dtype in self.ARRAYS.items():
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, self._array(field, value, dtype))
        self.check()

    def _array(self, field: str, value, dtype: type) -> np.ndarray:
        array = np.asarray(value)
        if not np.all(np.isfinite(array)):
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise GraphError(f"{self.name}: {field} holds {bad} NaN or infinite of {array.size} values.")
        if dtype is np.int64 and not np.array_equal(array, np.round(array)):
            raise GraphError(f"{self.name}: {field} must hold whole numbers in an integer graph.")
        array = np.array(array, dtype=dtype)
        array.setflags(write=False)
        return array

    def check(self) -> None:
        """Raise GraphError where the node's own fields contradict each other."""

    def parameters(self) -> dict[str, object]:
        """Every field but `name` and `inputs`, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "inputs")}


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """What enters the network, `[T, B, *shape]`.

    Args:
        shape: shape of one step of one sample.
        kind: `"spike"` (uint8, 0 or 1), `"signed"` (int8 events) or `"graded"` (int32).
        bound: largest magnitude allowed; 1 for `"spike"`.
    """

    shape: tuple[int, ...]
    kind: str = "spike"
    bound: int = 1

    DTYPES: ClassVar[dict[str, type]] = {"spike": np.uint8, "signed": np.int8, "graded": np.int32}

    def check(self) -> None:
        object.__setattr__(self, "shape", _shape(self, self.shape))
        if self.kind not in self.DTYPES:
            raise GraphError(f"{self.name}: kind {self.kind!r} is unknown. Allowed: {', '.join(self.DTYPES)}.")
        limit = 1 if self.kind == "spike" else int(np.iinfo(self.DTYPES[self.kind]).max)
        if not 1 <= self.bound <= limit:
            raise GraphError(f"{self.name}: bound {self.bound} for kind {self.kind!r} (allowed 1..{limit}).")

    @property
    def dtype(self) -> type:
        return self.DTYPES[self.kind]


@dataclass(frozen=True, eq=False, kw_only=True)
class Output(Node):
    """Names the population that the network returns."""

    def check(self) -> None:
        if len(self.inputs) != 1:
            raise GraphError(f"{self.name}: an Output reads one population, got {len(self.inputs)} inputs.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Connection(Node):
    """Delivers `f(source[t - delay])` to a population; before the sample's first step it delivers zeros."""

    delay: int = 0

    def check(self) -> None:
        if len(self.inputs) != 1:
            raise GraphError(f"{self.name}: a connection reads one source, got {len(self.inputs)} inputs.")
        if self.delay < 0:
            raise GraphError(f"{self.name}: delay {self.delay} is negative.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Connection):
    """Float synapses: `a = weight @ s`.

    Args:
        weight: float64 `[out, in]`.
        delay: steps, 0 for feed-forward.
    """

    weight: np.ndarray

    stage: ClassVar[str | None] = "float"
    ARRAYS: ClassVar[dict[str, type]] = {"weight": np.float64}

    def check(self) -> None:
        super().check()
        if self.weight.ndim != 2:
            raise GraphError(f"{self.name}: weight must be [out, in], got shape {self.weight.shape}.")


@dataclass(frozen=True, eq=False, kw_only=True)
class IntLinear(Linear):
    """Integer synapses: `a = (weight @ s) << weight_exp`; for a negative exponent the floor of the shifted sum.

    Args:
        weight: int64 `[out, in]`.
        weight_exp: shift of the sum (not of each weight).
        delay: steps, 0 for feed-forward.
    """

    weight_exp: int = 0

    stage: ClassVar[str | None] = "integer"
    ARRAYS: ClassVar[dict[str, type]] = {"weight": np.int64}


@dataclass(frozen=True, eq=False, kw_only=True)
class Population(Node):
    """Neurons of one kind; subclasses in `seamount.neurons` give their parameters, state and step.

    Args:
        shape: shape of one step of one sample; parameters broadcast to it.

    Attributes:
        spiking: False for a readout, whose output is its v.
        STATE: names of the state variables, all zero when a sample begins.
        step: `step(a, *state, *constants()) -> (out, *state)`, elementwise, in nothing but `+ - * << >> < <= >`.
    """

    shape: tuple[int, ...]

    spiking: ClassVar[bool] = True
    STATE: ClassVar[tuple[str, ...]] = ()
    step: ClassVar[Callable[..., tuple]]

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state, made from the fields with the same operators as `step`."""
        raise NotImplementedError

    def check(self) -> None:
        object.__setattr__(self, "shape", _shape(self, self.shape))
        for field in self.ARRAYS:
            value = getattr(self, field)
            if value is not None and value.shape not in ((), self.shape):
                raise GraphError(f"{self.name}: {field} has shape {value.shape} (allowed () or {self.shape}).")

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


def _shape(node: Node, shape) -> tuple[int, ...]:
    shape = tuple(int(n) for n in shape)
    if not shape or min(shape) < 1:
        raise GraphError(f"{node.name}: shape {shape} must have at least one positive dimension.")
    return shape
