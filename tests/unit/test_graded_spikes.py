"""What graded spikes may carry."""

from __future__ import annotations

import numpy as np
import pytest

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT, U_BOUND, V_MAX
from seamount.ir import NODE_TYPES
from seamount.neurons import GradedLIF, IntGradedLIF, IntSigmaDelta, SigmaDelta
from seamount.neurons.graded import Graded, IntGraded

COMMON = {"name": "pop", "inputs": ("fc",), "shape": (1,), "vth": 0}
LARGEST = {
    "graded": (IntGradedLIF, {"dv": 0, "reset": "none"}),
    "graded, subtract": (IntGradedLIF, {"dv": 0, "reset": "subtract", "reset_by": 0}),
    "sigma-delta, unit": (IntSigmaDelta, {"activation": "unit"}),
    "sigma-delta, unit, cumulative": (IntSigmaDelta, {"activation": "unit", "cumulative": 1}),
    "sigma-delta, relu": (IntSigmaDelta, {"activation": "relu"}),
}


def test_every_graded_population_is_here():
    graded = {kind for kind in NODE_TYPES.values() if getattr(kind, "kind", "") == "graded" and kind.stage == "integer"}
    assert graded == {kind for kind, _ in LARGEST.values()}
    assert all(issubclass(kind, IntGraded) for kind in graded)
    floats = {kind for kind in NODE_TYPES.values() if getattr(kind, "kind", "") == "graded" and kind.stage == "float"}
    assert all(issubclass(kind, Graded) for kind in floats)


@pytest.mark.parametrize("shift", [0, 1, 2, 13, 22, 23])
@pytest.mark.parametrize("name", LARGEST)
def test_the_bound_is_the_largest_that_is_sent(name, shift):
    """v is driven from one end of its 24 bits to the other, and back."""
    kind, parameters = LARGEST[name]
    node = kind(**COMMON, shift=shift, **parameters)
    state, largest = (np.zeros(1, np.int64),) * len(node.STATE), 0
    for sign in np.repeat([1, -1, 1, -1], 4):
        out, *state = node.step(np.array([sign * (U_BOUND >> ACT_SHIFT)]), *state, *node.constants())
        largest = max(largest, int(np.abs(out).max()))
    assert abs(int(state[node.STATE.index("v")][0])) == V_MAX
    # V_MAX is one less than a power of two, which the shift of a negative number rounds up to
    assert 0 <= node.bound - largest <= 2 * (shift < 2)


@pytest.mark.parametrize(
    ("kind", "parameters", "most"),
    [(GradedLIF, {"beta": 0.5}, 23), (SigmaDelta, {}, 23), (SigmaDelta, {"activation": "unit"}, 24)],
)
def test_bits_beyond_what_there_is_to_send_are_refused(kind, parameters, most):
    assert kind(**COMMON, **parameters, bits=most).bound == 1 << most
    for bits in (0, most + 1):
        with pytest.raises(GraphError, match=rf"^pop: bits = {bits} \(allowed 1\.\.{most}\)"):
            kind(**COMMON, **parameters, bits=bits)


@pytest.mark.parametrize(
    ("kind", "parameters", "most"),
    [(IntGradedLIF, {"dv": 0}, 23), (IntSigmaDelta, {}, 23), (IntSigmaDelta, {"activation": "unit"}, 24)],
)
def test_shifts_beyond_what_there_is_to_send_are_refused(kind, parameters, most):
    assert kind(**COMMON, **parameters, shift=most).bound == 1
    with pytest.raises(GraphError, match=rf"^pop: shift = -1\.\.{most + 1} \(allowed 0\.\.{most}\)"):
        kind(**{**COMMON, "shape": (2,)}, **parameters, shift=[-1, most + 1])
