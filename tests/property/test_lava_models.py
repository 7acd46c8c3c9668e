"""The integer steps of neurons against the models that Lava ships, one call of Lava's own code at a time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seamount.errors import TargetError
from seamount.fixed_point import ACT_SHIFT, DECAY_BITS
from seamount.ir import IntLinear
from seamount.neurons import graded, resonate, sigma_delta
from seamount.neurons.leaky import retention_u, retention_v
from seamount_targets.lava.support import require_lava

try:
    require_lava()
except TargetError as error:
    pytest.skip(str(error).splitlines()[0], allow_module_level=True)

N = 6
TOP = 2**23 - 1


def row(low: int, high: int, *edges: int):
    """Arrays `[N]` of whole numbers, which are often at an edge."""
    number = st.one_of(st.sampled_from([low, high, 0, *edges]), st.integers(low, high))
    return st.lists(number, min_size=N, max_size=N).map(lambda values: np.array(values, np.int64))


def ports(model, **received: np.ndarray) -> list[np.ndarray]:
    """Give a model of Lava what it receives; returns the list of what it sends."""
    sent: list[np.ndarray] = []
    for name, values in received.items():
        setattr(model, name, SimpleNamespace(recv=lambda values=values: values.astype(np.int32)))
    model.s_out = SimpleNamespace(send=sent.append)
    return sent


@given(
    a=row(-(2**17), 2**17), u=row(-TOP, TOP, -1, 1), v=row(-TOP, TOP, -1, 1), re=row(-4095, 4095), im=row(-4095, 4095),
    vth=row(0, 2**17 - 1, 1),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_resonators_are_lavas(a, u, v, re, im, vth):
    from lava.proc.rf.models import PyRFModelFixed

    model = PyRFModelFixed({})
    model.real, model.imag, model.cos_decay, model.sin_decay = u.astype(np.int32), v.astype(np.int32), re, im
    model.state_exp, model.decay_bits, model.vth = ACT_SHIFT, DECAY_BITS, (vth << ACT_SHIFT) + 1
    sent = ports(model, a_real_in=a, a_imag_in=np.zeros_like(a))
    model.run_spk()
    s, u, v = resonate.int_step(a, u, v, re, im, 0, vth << ACT_SHIFT)
    np.testing.assert_array_equal(sent[0], s)
    np.testing.assert_array_equal(model.real, u)
    np.testing.assert_array_equal(model.imag, v)


@given(a=st.lists(row(1 - 2**17, 2**17 - 1, 63, 64, -63, -64), min_size=1, max_size=4), vth=st.integers(0, 63))
@settings(max_examples=100, deadline=None)
def test_graded_spikes_without_memory_are_lavas(a, vth):
    """GradedVec sends what it hears; a retention of 1 / 4096 leaves nothing of what stayed below a small threshold."""
    from lava.proc.graded.models import PyGradedVecModelFixed

    model = PyGradedVecModelFixed({})
    model.v, model.vth = np.zeros(N, np.int32), vth
    u = v = np.zeros(N, np.int64)
    for x in a:
        sent = ports(model, a_in=x)
        model.run_spk()
        retentions = retention_u(4095), retention_v(4095)
        s, u, v = graded.int_step(x, u, v, *retentions, 0, vth << ACT_SHIFT, 0, 1, ACT_SHIFT)
        np.testing.assert_array_equal(sent[0], s)


@given(
    a=st.lists(row(-(2**14), 2**14, 1, -1), min_size=1, max_size=6), vth=row(1, 2**15), bias=row(-(2**18), 2**18),
    shift=row(0, 24, 6), relu=st.booleans(), cumulative=st.booleans(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_sigma_delta_is_lavas(a, vth, bias, shift, relu, cumulative):
    """While sums stay within 24 bits, where Lava's wander on."""
    from lava.proc.sdn.models import PySigmaDeltaModelFixed
    from lava.proc.sdn.process import ActivationMode

    model = PySigmaDeltaModelFixed({"act_mode": ActivationMode.RELU if relu else ActivationMode.UNIT})
    model.sigma, model.act, model.residue, model.error = (np.zeros(N, np.int32) for _ in range(4))
    model.vth, model.bias, model.state_exp, model.cum_error = (vth << ACT_SHIFT) + 1, bias, shift, cumulative
    v = told = error = np.zeros(N, np.int64)
    for x in a:
        sent = ports(model, a_in=x << ACT_SHIFT)
        model.run_spk()
        s, v, told, error = sigma_delta.int_step(
            x, v, told, error, bias, vth << ACT_SHIFT, int(relu), int(cumulative), shift
        )
        np.testing.assert_array_equal(sent[0], s)
        np.testing.assert_array_equal(model.sigma, v)
        np.testing.assert_array_equal(model.act - model.residue, told)
        if cumulative:
            np.testing.assert_array_equal(model.error, error)


@given(
    weight=st.lists(row(-128, 127), min_size=3, max_size=3), weight_exp=st.integers(-8, 7),
    s=st.lists(row(-(2**15), 2**15, 1), min_size=2, max_size=4), binary=st.booleans(),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_sparse_is_dense(weight, weight_exp, s, binary):
    """Lava's Sparse, always multiplying, sends what Lava's Dense sends and the graph's connection gives."""
    from lava.proc.dense.models import PyDenseModelBitAcc
    from lava.proc.sparse.models import PySparseModelBitAcc
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    node = IntLinear(name="fc", inputs=("input",), weight=2 * np.array(weight), weight_exp=weight_exp)
    s = [np.abs(x) % 2 if binary else x for x in s]
    assume(node.largest_sum(int(np.abs(s).max())) << max(weight_exp, 0) < 2**31)  # as every target sees to

    def sent(kind, weights, bits: int) -> list[np.ndarray]:
        model, found = kind({"weight_exp": weight_exp, "num_weight_bits": 8, "sign_mode": SignMode.MIXED}), []
        model.weights, model.num_message_bits, model.a_buff = weights, np.array([bits]), np.zeros(3, np.int32)
        model.a_out = SimpleNamespace(send=found.append)
        for x in s:
            model.s_in = SimpleNamespace(recv=lambda x=x: x.astype(np.int32))
            model.run_spk()
        return [*found[1:], model.a_buff]

    dense = sent(PyDenseModelBitAcc, node.weight, 0 if binary else 24)
    sparse = sent(PySparseModelBitAcc, csr_matrix(node.weight), 24)
    for x, one, other in zip(s, dense, sparse, strict=True):
        np.testing.assert_array_equal(one, node.apply(x[None])[0])
        np.testing.assert_array_equal(other, one)
