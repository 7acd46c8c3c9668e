"""A neuron's own `step` as machine code that runs a row of neurons.

The code is made from the type's `step`, so it knows no neuron model. State, constants and synaptic input are stored as
int32, which lets a vector hold twice as many; inside, numba computes in int64 like the reference, and `x * retention`
of two int32 becomes one 32 x 32 -> 64 bit vector multiplication.

Why int32 cannot overflow: state variables are the chip's 24-bit registers (`wrap` leaves (-2^23, 2^23], `clip`
+-(2^23 - 1), and a reset moves v by at most 2^23 - 1 toward or past 0 from beyond a threshold >= 0) or, like a
refractory counter, stay between 0 and a constant; constants are checked here; the bound on the synaptic input is
checked where it is planned. In between, products stay below 2^23 * 2^13 = 2^36.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, types  # pyright: ignore[reportPrivateImportUsage]

from seamount.errors import ResourceError
from seamount.ir import Population
from seamount_targets.loihi.kernels import zeros

_INTS = types.CPointer(types.int32)
SIGNATURES = {
    graded: types.void(_INTS, _INTS if graded else types.CPointer(types.uint8), _INTS, _INTS, types.intp)
    for graded in (False, True)
}
"""`(a, out, state, constants, n)`: int32 `[n]`, uint8 `[n]` (graded spikes: int32), int32 `[states, n]` and
`[constants, n]`, and n; by whether spikes are graded."""

_INT32 = np.iinfo(np.int32)


def row_kernel(node: Population, width: int) -> tuple[int, np.ndarray]:
    """Compile a population's step.

    Args:
        node: integer population.
        width: neurons in a row, at least `node.size`; those beyond it get constants of zero.

    Returns:
        `(address, constants)`: of machine code with its signature, and what it takes as constants, int32 `[P, width]`.

    Raises:
        ResourceError: a constant that 32 bits do not hold.
    """
    values = [np.asarray(c, np.int64) for c in node.constants()]
    for i, value in enumerate(values):
        if value.min() < _INT32.min or value.max() > _INT32.max:
            raise ResourceError(
                f"{node.name}: constant {i} of its step = {value.min()}..{value.max()} "
                f"(allowed {_INT32.min}..{_INT32.max})."
            )
    constants = zeros((len(values), width), np.int32)
    for row, value in zip(constants, values, strict=True):
        row[: node.size] = np.broadcast_to(value, node.shape).ravel()
    forms = tuple(_form(value) for value in values)
    code = _compile(type(node).step, len(node.STATE), forms, node.spiking, node.kind == "graded")
    return code.address, constants


def _form(value: np.ndarray) -> str:
    """How a constant enters the code: 0 and 1 as such, so that the compiler drops what they make idle."""
    if value.min() == value.max():
        return str(value.flat[0]) if value.flat[0] in (0, 1) else "scalar"
    return "array"


@cache
def _compile(step, states: int, forms: tuple[str, ...], spiking: bool, graded: bool) -> Any:
    """Write out and compile the loop over a row; Python has no way to spell a call of varying arity for numba."""
    arguments = {"scalar": "constants[{0}, 0]", "array": "constants[{0}, i]"}
    constants = [arguments.get(form, form).format(i) for i, form in enumerate(forms)]
    old = [f"state[{k}, i]" for k in range(states)]
    new = [f"new{k}" for k in range(states)]
    lines = [
        "def row(a, out, state, constants, n):",
        "    a, out, state = carray(a, (n,)), carray(out, (n,)), carray(state, (states, n))",
        "    constants = carray(constants, (count, n))",
        "    for i in range(n):",
        f"        {', '.join(['emitted', *new])} = step({', '.join(['a[i]', *old, *constants])})",
        *(["        out[i] = emitted"] if spiking else []),
        *(f"        {a} = {b}" for a, b in zip(old, new, strict=True)),
    ]
    scope = {"step": step, "carray": carray, "states": states, "count": len(forms)}
    exec("\n".join(lines), scope)
    return cfunc(SIGNATURES[graded])(scope["row"])
