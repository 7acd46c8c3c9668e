r"""A neuron's step written out as code, and from its float step the code of its backward pass.

A step uses nothing but `+ - * / << >> abs < <= >` and powers of a number or to a whole one, so calling it once with
symbols records it as a graph of operations. Reverse accumulation over that graph (Griewank and Walther 2008, chapter 3)
gives the derivatives as further operations, and both are written out as a function of scalars that numba and Triton
compile and torch tensors run through unchanged.

A spike is a comparison that makes up the step's output (`v > vth`; both of `(v > vth) - (v < -vth)` for signed spikes;
all of a product of them; that which lets a value through, `v (v > vth)`). Its derivative is the surrogate's at the
difference of its sides; every other comparison has the derivative 0.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

from seamount.errors import SeamountError

COMPARISONS = (">", "<", "<=")
CALLS = ("abs", "pow")
POWERS = range(1, 9)
"""To which a value may be raised: they are written as products, which are right below 0 on every device."""


@dataclass(frozen=True, eq=False)
class Value:
    """One operation and what it acts on; leaves are `"input"` (named) and `"number"`."""

    op: str
    args: tuple = ()

    def __bool__(self) -> bool:
        raise SeamountError("a step may not branch on a value; write it with comparisons and products.")

    def __add__(self, other):
        return _binary("+", self, other)

    def __radd__(self, other):
        return _binary("+", other, self)

    def __sub__(self, other):
        return _binary("-", self, other)

    def __rsub__(self, other):
        return _binary("-", other, self)

    def __mul__(self, other):
        return _binary("*", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other):
        return _binary("/", self, other)

    def __rtruediv__(self, other):
        return _binary("/", other, self)

    def __pow__(self, times):
        if times not in POWERS:
            raise SeamountError(f"a value may be raised to {POWERS[0]} .. {POWERS[-1]} only (used {times}).")
        return self if times == 1 else self ** (times - 1) * self

    def __rpow__(self, other):
        return _binary("pow", other, self)

    def __lshift__(self, other):
        return _binary("<<", self, other)

    def __rshift__(self, other):
        return _binary(">>", self, other)

    def __gt__(self, other):
        return _binary(">", self, other)

    def __lt__(self, other):
        return _binary("<", self, other)

    def __le__(self, other):
        return _binary("<=", self, other)

    def __neg__(self):
        return 0.0 - self

    def __abs__(self):
        return Value("abs", (self,))


def number(value: float) -> Value:
    return Value("number", (float(value),))


def is_number(value: Value, which: float | None = None) -> bool:
    return value.op == "number" and (which is None or value.args[0] == which)


def _binary(op: str, a, b) -> Value:
    """Record an operation, leaving out what 0 and 1 make idle."""
    a, b = (x if isinstance(x, Value) else number(x) for x in (a, b))
    if op == "*":
        if is_number(a, 0) or is_number(b, 0):
            return number(0)
        if is_number(a, 1) or is_number(b, 1):
            return b if is_number(a, 1) else a
    if op == "+" and (is_number(a, 0) or is_number(b, 0)):
        return b if is_number(a, 0) else a
    if op == "-" and is_number(b, 0):
        return a
    return Value(op, (a, b))


@dataclass
class Tape:
    """A recorded step.

    Attributes:
        out: what leaves the population.
        states: the new state.
        inputs: the leaves by name: `"a"`, `"y0"...` (old state), `"c0"...` (constants that are not plain numbers).
        spikes: the comparisons that make up `out`.
        sent: those of them that the sign of `out` gives away: up, and down.
    """

    out: Value
    states: tuple[Value, ...]
    inputs: dict[str, Value]
    spikes: list[Value] = field(default_factory=list)
    sent: list[Value] = field(default_factory=list)


def record(step: Callable[..., tuple], states: int, constants: Sequence[float | None]) -> Tape:
    """Record a step.

    Args:
        step: `step(a, *state, *constants) -> (out, *state)`, of floats or of integers.
        states: how many state variables it has.
        constants: a number where a constant is fixed (0 and 1 leave out what they make idle), None where it is not.
    """
    names = ["a", *(f"y{k}" for k in range(states))]
    names += [f"c{k}" for k, value in enumerate(constants) if value is None]
    inputs = {name: Value("input", (name,)) for name in names}
    arguments = [inputs[n] for n in names[: 1 + states]]
    arguments += [inputs[f"c{k}"] if value is None else number(value) for k, value in enumerate(constants)]
    out, *new = step(*arguments)
    new = [x if isinstance(x, Value) else number(x) for x in new]
    spikes = _spikes(out)
    signed = out.op == "-" and list(out.args) == spikes
    return Tape(out, tuple(new), inputs, spikes, spikes if signed or [out] == spikes else [])


def _spikes(out: Value) -> list[Value]:
    """The comparisons of which an output is made, or the factor of it that is made of comparisons."""
    if out.op in COMPARISONS:
        return [out]
    sides = [side for side in out.args if _is_logic(side)] if out.op in ("+", "-", "*") else []
    if out.op != "*" and len(sides) < len(out.args):
        return []
    return [spike for side in sides for spike in _spikes(side)]


def _is_logic(value: Value) -> bool:
    """Whether nothing but comparisons and numbers is summed and multiplied."""
    if value.op in ("+", "-", "*"):
        return all(_is_logic(side) for side in value.args)
    return value.op in ("number", *COMPARISONS)


def ordered(values: Iterable[Value], given: Container[int] = ()) -> list[Value]:
    """Every operation that the values need, each after its arguments; one whose `id` is in `given` needs none."""
    seen: dict[int, Value] = {}

    def visit(value: Value) -> None:
        if id(value) in seen:
            return
        if value.op not in ("input", "number") and id(value) not in given:
            for arg in value.args:
                visit(arg)
        seen[id(value)] = value

    for value in values:
        visit(value)
    return list(seen.values())


def adjoints(
    outputs: Sequence[tuple[Value, Value]], slope: Callable[[Value], Value] | None, spikes: Sequence[Value]
) -> dict[int, Value]:
    """Reverse accumulation.

    Args:
        outputs: pairs of a result and the gradient that arrives there.
        slope: the surrogate, of the difference of a comparison's sides; None takes spikes as constants.
        spikes: the comparisons that it applies to.

    Returns:
        The gradient of every value that has one, by `id`.
    """
    gradients: dict[int, Value] = {}

    def add(value: Value, gradient: Value) -> None:
        if not is_number(gradient, 0) and value.op != "number":
            old = gradients.get(id(value))
            gradients[id(value)] = gradient if old is None else old + gradient

    for value, gradient in outputs:
        add(value, gradient)
    for value in reversed(ordered(value for value, _ in outputs)):
        g = gradients.get(id(value))
        if g is None or value.op in ("input", "number"):
            continue
        if value.op in COMPARISONS:
            if slope is not None and any(value is s for s in spikes):
                a, b = value.args if value.op == ">" else value.args[::-1]
                d = g * slope(a - b)
                add(a, d)
                add(b, -d)
            continue
        a, b = (*value.args, number(0))[:2]
        if value.op == "+":
            add(a, g)
            add(b, g)
        elif value.op == "-":
            add(a, g)
            add(b, -g)
        elif value.op == "*":
            add(a, g * b)
            add(b, g * a)
        else:
            raise SeamountError(f"a step may not use {value.op}: only spikes, sums and products have derivatives.")
    return gradients


@dataclass(frozen=True)
class Code:
    """A function that was written out.

    Attributes:
        source: Python that calls nothing but `abs` and `pow`.
        inputs: names of the leaves it depends on, of those it was offered.
        numbers: what it takes as `n0, n1 ...`, in the dtype of everything else.
    """

    source: str
    inputs: frozenset[str]
    numbers: tuple[float, ...]


def write(
    name: str, arguments: Sequence[str], results: Sequence[Value], given: dict[int, str], whole: bool = False
) -> Code:  # fmt: skip
    """Write results as a Python function of scalars or tensors.

    Args:
        name: of the function.
        arguments: names of its parameters; `one` and `n0, n1 ...` are added.
        results: what it returns, as a tuple.
        given: by `id`, values that are not computed but are the parameter of that name.
        whole: of integers, whose numbers stand in the text.
    """
    lines: list[str] = []
    names: dict[int, str] = {}
    numbers: list[float] = []
    known: dict[str, str] = {}
    used = set()
    for value in ordered(results, given):
        if id(value) in given or value.op == "input":
            names[id(value)] = given.get(id(value)) or value.args[0]
            used.add(names[id(value)])
            continue
        if value.op == "number" and whole:
            names[id(value)] = str(int(value.args[0]))
            continue
        if value.op == "number":
            if value.args[0] not in numbers:
                numbers.append(value.args[0])
            names[id(value)] = f"n{numbers.index(value.args[0])}"
            continue
        sides = [names[id(arg)] for arg in value.args]
        text = f" {value.op} ".join(sides) if value.op not in CALLS else f"{value.op}({', '.join(sides)})"
        if value.op in COMPARISONS:
            text = f"({text}) * one"
        if text not in known:  # what is written twice in the step is computed once
            known[text] = f"t{len(known)}"
            lines.append(f"    {known[text]} = {text}")
        names[id(value)] = known[text]
    parameters = [*arguments, "one", *(f"n{i}" for i in range(len(numbers)))]
    returned = ", ".join(names[id(r)] for r in results)
    source = "\n".join([f"def {name}({', '.join(parameters)}):", *lines, f"    return ({returned},)"])
    return Code(source, frozenset(used), tuple(numbers))
