"""The ONNX function traced from a neuron's step equals whole-number arithmetic, over 24 bits and at their edges."""

import math
from fractions import Fraction

import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st

from seamount.interchange.onnx import to_model
from seamount.ir import Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF, IntLI

N, B = 4, 3
TOP = 2**23 - 1
INT32 = 2**31 - 1


def integers(low: int, high: int, *edges: int):
    """Arrays `[B, N]` or `[N]` of whole numbers, which are often at an edge."""
    return st.one_of(st.sampled_from([low, high, *edges]), st.integers(low, high))


def table(numbers):
    return st.lists(st.lists(numbers, min_size=N, max_size=N), min_size=B, max_size=B)


def row(numbers):
    return st.lists(numbers, min_size=N, max_size=N)


summed = integers(-INT32, INT32, 0, 1, -1, 2**17, -(2**17), 2**18, -(2**18), 131071)
voltages = integers(-TOP, TOP, 0, 1, -1, 4095, -4095)
currents = integers(-TOP, TOP + 1, 0, 1, -1, 4097, -4097)


def run(node, a, u, v) -> list[np.ndarray]:
    """One step of one population in onnxruntime; `a` enters through a unit matrix."""
    graph = Graph([
        Input(name="input", shape=(N,), kind="graded", bound=INT32),
        IntLinear(name="fc", inputs=["input"], weight=np.eye(N)),
        node,
        Output(name="output", inputs=[node.name]),
    ])  # fmt: skip
    session = onnxruntime.InferenceSession(to_model(graph, "step").SerializeToString())
    feeds = {"input": np.array(a, np.int32), "n.u.last": np.array(u), "n.v.last": np.array(v)}
    return session.run(["output", "n.u", "n.v"], feeds)  # type: ignore[return-value]


def integrate(a, u, v, du, dv, bias) -> tuple[int, int]:
    """The equations of the chip in Python's whole numbers and fractions."""
    u = math.trunc(Fraction(u * (4095 - du), 4096)) + a * 64
    u = u - 2**24 if u > 2**23 else u + 2**24 if u <= -(2**23) else u
    return u, max(-TOP, min(TOP, math.trunc(Fraction(v * (4096 - dv), 4096)) + u + bias))


@given(
    a=table(summed), u=table(currents), v=table(voltages), du=row(integers(0, 4095)), dv=row(integers(0, 4095)),
    vth=row(integers(0, 2**17 - 1, 1)), bias_mant=row(integers(-4096, 4095, 0)), bias_exp=st.integers(0, 7),
    reset=st.sampled_from(["zero", "subtract", "none"]), reset_by=st.none() | row(integers(0, TOP)),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_a_compartment_steps_exactly(a, u, v, du, dv, vth, bias_mant, bias_exp, reset, reset_by):
    node = IntCubaLIF(name="n", inputs=["fc"], shape=(N,), du=du, dv=dv, vth=vth, bias_mant=bias_mant,
                      bias_exp=bias_exp, reset=reset, reset_by=reset_by)  # fmt: skip
    spikes, new_u, new_v = run(node, a, u, v)
    for b in range(B):
        for i in range(N):
            want_u, want_v = integrate(a[b][i], u[b][i], v[b][i], du[i], dv[i], bias_mant[i] * 2**bias_exp)
            fires = want_v > vth[i] * 64
            if fires and reset == "subtract":
                want_v -= vth[i] * 64 if reset_by is None else reset_by[i]
            elif fires and reset == "zero":
                want_v = 0
            assert (spikes[b, i], new_u[b, i], new_v[b, i]) == (fires, want_u, want_v)


@given(a=table(summed), u=table(currents), v=table(voltages), du=integers(0, 4095), dv=integers(0, 4095),
       bias_mant=integers(-4096, 4095), bias_exp=st.integers(0, 7))  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_a_readout_steps_exactly(a, u, v, du, dv, bias_mant, bias_exp):
    node = IntLI(name="n", inputs=["fc"], shape=(N,), du=du, dv=dv, bias_mant=bias_mant, bias_exp=bias_exp)
    out, new_u, new_v = run(node, a, u, v)
    assert (out == new_v).all()
    for b in range(B):
        for i in range(N):
            want = integrate(a[b][i], u[b][i], v[b][i], du, dv, bias_mant * 2**bias_exp)
            assert (new_u[b, i], new_v[b, i]) == want
