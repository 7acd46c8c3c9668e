"""The chip's integer arithmetic, written once.

Each function uses only `+ - * << >> < <= >` and so runs, unchanged, on NumPy int64 arrays (the reference target),
torch int64 tensors (the forward pass of a quantized network), scalars inside numba kernels (the Loihi emulator) and
symbols that write ONNX operators (the exported graph); `register_jitable` leaves a function as it is and lets kernels
call it. Source: Lava 0.10's fixed-point models, confirmed on a trace of a real Loihi 2 board
(tests/golden/test_board_trace.py).
"""

from __future__ import annotations

from numba.extending import register_jitable

DECAY_BITS = 12
"""Decays are 12-bit fractions: a retention `r` keeps `r / 4096`."""
UNITY = 1 << DECAY_BITS
ACT_SHIFT = 6
"""Synaptic input and thresholds are aligned to `u` and `v` by a shift of 6."""
U_LIMIT = 1 << 23
"""`u` wraps outside (-2^23, 2^23]."""
U_SPAN = 1 << 24
V_MAX = (1 << 23) - 1
"""`v` saturates at +-(2^23 - 1)."""
U_BOUND = 3 * U_LIMIT
"""`u` is wrapped once, as in Lava: inputs beyond this would leave 24 bits and are refused."""


@register_jitable
def decay(x, retention):
    """`trunc(x * retention / 4096)`, rounding toward zero."""
    p = x * retention
    return (p + (p < 0) * (UNITY - 1)) >> DECAY_BITS


@register_jitable
def wrap(x):
    """`x - 2^24` if `x > 2^23`, `x + 2^24` if `x <= -2^23`, else `x` (once)."""
    return x - (x > U_LIMIT) * U_SPAN + (x <= -U_LIMIT) * U_SPAN


@register_jitable
def clip(x):
    """`x` limited to +-(2^23 - 1)."""
    return x - (x > V_MAX) * (x - V_MAX) - (x < -V_MAX) * (x + V_MAX)


def shift(x, exp: int):
    """`x << exp`, or the floor of `x / 2^-exp` for a negative `exp` (of a whole sum, as Lava's Dense)."""
    return x << exp if exp >= 0 else x >> -exp
