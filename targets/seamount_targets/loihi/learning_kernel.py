"""The learning engine's inner loop: Lava's LearningDense and the neurons behind it, step by step, bit for bit.

Chip timing is folded into canonical steps n (all samples in one row). In the chip step in which the connection receives
the spikes s[n], the neurons behind it still integrate s[n-1]. So s[n] is weighted with the weights that stand before
that chip step's update, and the update joins x1[n], which holds s[n] already, with the modulator of step n - 1:

    a[n] = (W[n] s[n]) << weight_exp,     W[n+1] = update(W[n], x1[n], x0 = s[n], y[n-1])

What the neurons send in the very last step comes too late to be used.
"""

from __future__ import annotations

import numpy as np
from numba import types

from seamount.fixed_point import ACT_SHIFT, decay
from seamount.jit import kernel
from seamount.learning.modulator import modulator
from seamount.learning.rule import ACCUMULATOR_BITS, TRACE_MAX, WEIGHT_RANGE, WEIGHT_SHIFT
from seamount.neurons.cuba_lif import fire
from seamount.neurons.leaky import int_integrate

_LOWEST, _HIGHEST = WEIGHT_RANGE
_ACC_MIN, _ACC_MAX = -(1 << ACCUMULATOR_BITS) - 1, (1 << ACCUMULATOR_BITS) - 1
_FRACTION = (1 << WEIGHT_SHIFT) - 1

_I, _I1, _I2, _F1, _F2 = types.int64, types.int64[::1], types.int64[:, ::1], types.float64[:], types.float64[:, ::1]
_DRAWS = types.Array(types.uint8, 3, "A", readonly=True)


@kernel(_I(_I, _F2, types.float64))
def decayed(trace, table, draw):
    """A trace after one step: `floor(z) + (draw < z mod 1)` with z = table[:, trace] as (floor, fraction)."""
    return int(table[0, trace]) + int(draw < table[1, trace])


@kernel(_I(_I, _I2, _I, _I, _I, _I, _I))
def updated(w, products, x0, x1, y1, y2, draw):
    """A weight after one step of the rule.

    Args:
        w: weight.
        products: int64 `[P, 7]`: whether gated by x0, powers of x1, y1 and y2, mantissa, right shift, left shift.
        x0, x1: source's spike and trace.
        y1, y2: modulator, as the connection uses it.
        draw: 0..127.
    """
    acc = w << WEIGHT_SHIFT
    for p in range(products.shape[0]):
        value = products[p, 4] * (x0 if products[p, 0] else 1)
        for _ in range(products[p, 1]):
            value *= x1
        for _ in range(products[p, 2]):
            value *= y1
        for _ in range(products[p, 3]):
            value *= y2
        value = (value >> products[p, 5]) << products[p, 6]
        acc = min(max(acc + min(max(value, _ACC_MIN), _ACC_MAX), _ACC_MIN), _ACC_MAX)
    w = (acc >> WEIGHT_SHIFT) + int(draw < (acc & _FRACTION))
    return min(max(w, _LOWEST), _HIGHEST)


@kernel(_I(types.uint8[:, ::1], _I1, _I, _I2, _I, _I2, _I, _F2, _F2, _F1, _F1, _DRAWS, _I1, _I, _I, _I2, _I1, _I1, _I1,
           _I1, types.uint8[:, ::1], types.int32[:, ::1], types.int16[:, :, ::1], _I))  # fmt: skip
def learn(
    s, target, steps, constants, weight_exp, products, impulse, x_table, y_table, x_draws, y_draws, w_draws,
    table, shift, low, weights, x1, y, u, v, spikes, v_trace, weight_trace, first,
):  # fmt: skip
    """Run steps first .. first + len(w_draws) of a stream of samples; weights, traces and state are changed in place.

    Args:
        s: uint8 `[n, in]`, spikes of the source, sample after sample.
        target: int64 `[samples]`, the neuron that should fire in each sample.
        steps: per sample.
        constants: int64 `[7, out]`: those of IntCubaLIF's step.
        weight_exp: of the connection.
        products: as `updated` takes them.
        impulse: of x1.
        x_table, y_table: as `decayed` takes them.
        x_draws, y_draws: float64 `[n]`, for the rounding of x1 and of the modulator.
        w_draws: uint8 `[steps of this call, out, in]`, for the rounding of weights.
        table, shift, low: of the modulator.
        weights: int64 `[out, in]`.
        x1: int64 `[in]`.
        y: int64 `[out]`, modulator of the last step.
        u, v: int64 `[out]`.
        spikes: uint8 `[n, out]`, written.
        v_trace: int32 `[n, out]`, written, or of size 0.
        weight_trace: int16 `[n, out, in]`, written, or of size 0.
        first: the first step.

    Returns:
        Largest `|u|` before it is wrapped.
    """
    outputs, inputs = weights.shape
    largest = 0
    # Where every product has a modulator, a neuron that sends none leaves its weights as they are.
    quiet = True
    for p in range(products.shape[0]):
        quiet &= products[p, 2] + products[p, 3] > 0
    for k in range(w_draws.shape[0]):
        n = first + k
        if n % steps == 0:
            for j in range(outputs):
                u[j] = v[j] = 0
        a = np.zeros(outputs, np.int64)
        for i in range(inputs):
            if s[n, i]:
                for j in range(outputs):
                    a[j] += weights[j, i]
            x1[i] = decayed(x1[i], x_table, x_draws[n])
            if s[n, i]:
                x1[i] = min(x1[i] + impulse, TRACE_MAX)
        for j in range(outputs):
            y1 = decayed(max(y[j], 0), y_table, y_draws[n])
            y2 = decayed(max(-y[j], 0), y_table, y_draws[n])
            if not quiet or y1 or y2:
                for i in range(inputs):
                    weights[j, i] = updated(weights[j, i], products, s[n, i], x1[i], y1, y2, w_draws[k, j, i])
            if weight_trace.size:
                for i in range(inputs):
                    weight_trace[n, j, i] = weights[j, i]
        for j in range(outputs):
            ru, rv, bias = constants[0, j], constants[1, j], constants[2, j]
            vth, reset_by, zero = constants[3, j], constants[4, j], constants[5, j]
            a[j] = a[j] << weight_exp if weight_exp >= 0 else a[j] >> -weight_exp
            largest = max(largest, abs(decay(u[j], ru) + (a[j] << ACT_SHIFT)))
            u[j], before = int_integrate(a[j], u[j], v[j], ru, rv, bias)
            fired, v[j] = fire(before, vth, reset_by, zero)
            y[j] = modulator(before, int(fired), int(target[n // steps] == j), vth, table, shift, low)
            spikes[n, j] = fired
            if v_trace.size:
                v_trace[n, j] = v[j]
    return largest
