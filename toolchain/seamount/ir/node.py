"""Typed nodes of a graph: what each holds, and the checks a node can make alone.

A node names its inputs, as in ONNX: `Linear("fc1", inputs=("input",))`, `LIF("lif1", inputs=("fc1", "rec1"))`. A
population sums what its connections deliver. A connection that closes a loop has `delay >= 1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from seamount.errors import GraphError, QuantizationError

if TYPE_CHECKING:
    from seamount.limits import Limits

NODE_TYPES: dict[str, type[Node]] = {}
"""Concrete node types by name; a class joins by being defined. Files name their nodes through it."""


MAX_SIZE = (1 << 31) - 1
"""Values of one step of one sample; a convolution's weight bounds no shape, so that a file could claim any."""


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

    def __init_subclass__(cls, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
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
    """Synapses: delivers `f(source[t - delay])`, f linear, to a population; zeros before the sample's first step.

    `seamount.ir.connection` has the kinds. Whoever needs a kind's numbers asks it through the methods below.

    Args:
        weight: float64 or int64; its shape is the kind's.
        delay: steps, 0 for feed-forward.
    """

    delay: int = 0
    weight: np.ndarray

    def check(self) -> None:
        if len(self.inputs) != 1:
            raise GraphError(f"{self.name}: a connection reads one source, got {len(self.inputs)} inputs.")
        if self.delay < 0:
            raise GraphError(f"{self.name}: delay {self.delay} is negative.")

    def out_shape(self, in_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what it delivers in one step of one sample, for a source of `in_shape`.

        Raises:
            GraphError: the weight does not fit a source of that shape.
        """
        raise NotImplementedError

    def apply(self, s: np.ndarray) -> np.ndarray:
        """What it delivers: `s [B, *in_shape]` -> `a [B, *out_shape]`, exact in int64, else float64."""
        raise NotImplementedError

    def largest_sum(self, bound: int) -> int:
        """Largest possible `|a|` of an integer connection, before its exponent, for sources of magnitude `bound`."""
        raise NotImplementedError

    def synapses(self, in_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every synapse: flat index of the neuron it reaches, flat index of what it reads, weight; each `[n]`."""
        raise NotImplementedError

    def count(self, in_shape: tuple[int, ...]) -> int:
        """How many synapses are not zero."""
        raise NotImplementedError

    def matrix(self, in_shape: tuple[int, ...]) -> np.ndarray:
        """The weights as one matrix, `[out, in]` of flat indices in C order: what a target without the kind runs."""
        rows, columns, weights = self.synapses(in_shape)
        matrix = np.zeros((math.prod(self.out_shape(in_shape)), math.prod(in_shape)), self.weight.dtype)
        matrix[rows, columns] = weights
        return matrix


@dataclass(frozen=True, eq=False, kw_only=True)
class Population(Node):
    """Neurons of one kind; subclasses in `seamount.neurons` give their parameters, state and step.

    Args:
        shape: shape of one step of one sample; a parameter is one number, or one a neuron (`shape`), or broadcasts
            to it with as many dimensions, as `(C, 1, 1)`: one a channel.

    Attributes:
        spiking: False for a readout, whose output is its v.
        kind: of the spikes that it sends, as an Input's.
        sent_bits: of the magnitude of what graded spikes carry, before they are shifted to `bound`.
        accumulates: v is the sum of all input, so that a connection's bias is none of the population.
        STATE: names of the state variables, all zero when a sample begins.
        RANGES: lowest and highest value of a float population's fields; training keeps within them.
        THRESHOLDS: fields of a float population that v is compared with, or moved by: they set the integers' scale.
        step: `step(a, *state, *constants()) -> (out, *state)`, elementwise, in nothing but `+ - * << >> < <= >`.
    """

    shape: tuple[int, ...]

    spiking: ClassVar[bool] = True
    kind: ClassVar[str] = "spike"
    sent_bits: ClassVar[int] = 0
    accumulates: ClassVar[bool] = False
    STATE: ClassVar[tuple[str, ...]] = ()
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {}
    THRESHOLDS: ClassVar[tuple[str, ...]] = ()
    step: ClassVar[Callable[..., tuple]]

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state, made from the fields with the same operators as `step`."""
        raise NotImplementedError

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integer form of a float population.

        Args:
            unit: value of one unit of a threshold mantissa, () or `shape`.
            limits: of the target.

        Raises:
            QuantizationError: a parameter that the target cannot represent.
        """
        raise QuantizationError(f"{self.name}: {type(self).__name__} has no integer form.")

    def dequantize(self) -> dict[str, np.ndarray]:
        """What an integer population's numbers are worth in the float network, by the float node's field."""
        raise NotImplementedError

    def check(self) -> None:
        object.__setattr__(self, "shape", _shape(self, self.shape))
        for field in self.ARRAYS:
            value = getattr(self, field)
            if value is not None and not fits(value.shape, self.shape):
                channel = self.shape[:1] + (1,) * (len(self.shape) - 1)
                allowed = " or ".join(map(str, dict.fromkeys([(), channel, self.shape])))
                raise GraphError(f"{self.name}: {field} has shape {value.shape} (allowed {allowed}).")
        for field, (low, high) in self.RANGES.items():
            value = getattr(self, field)
            if value.min() < low or value.max() > high:
                used = f"{value.min():g}" if value.min() == value.max() else f"{value.min():g}..{value.max():g}"
                allowed = f"{low:g}..{high:g}" if high < math.inf else f"{low:g} or more"
                raise GraphError(f"{self.name}: {field} = {used} (allowed {allowed}).")

    @property
    def dtype(self) -> type:
        """Of its spikes; graded ones are float64 in a float graph."""
        return np.float64 if self.kind == "graded" and self.stage == "float" else Input.DTYPES[self.kind]

    @property
    def bound(self) -> int:
        """Largest magnitude of the spikes that it sends in an integer graph."""
        return 1

    @property
    def output_scale(self) -> np.ndarray | None:
        """Value in the float network of one unit of v, or of what graded spikes carry; None where it is unknown."""
        return getattr(self, "scale", None)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


def fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a parameter of `shape` is one number, or has a 1 or the population's size in each dimension."""
    return not shape or (len(shape) == len(whole) and all(n in (1, m) for n, m in zip(shape, whole, strict=True)))


def _shape(node: Node, shape) -> tuple[int, ...]:
    shape = tuple(int(n) for n in shape)
    if not shape or min(shape) < 1:
        raise GraphError(f"{node.name}: shape {shape} must have at least one positive dimension.")
    if math.prod(shape) > MAX_SIZE:
        raise GraphError(f"{node.name}: shape {shape} (used {math.prod(shape)} values, limit {MAX_SIZE}).")
    return shape
