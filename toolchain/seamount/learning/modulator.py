"""The third factor of a rule: what a post-synaptic neuron sends to its synapses, from an integer table."""

from __future__ import annotations

from numba.extending import register_jitable


@register_jitable
def modulator(v, s, target, vth, table, shift, low):
    """`table[i] (target - s)` with `i = clip(((v - vth) >> shift) - low, 0, len(table) - 1)`.

    Args:
        v: membrane potential before the reset, integer scalar or array.
        s: 1 where the neuron fires in this step.
        target: 1 where it should.
        vth: in units of v.
        table: int64 `[n]`, 0..127.
        shift: of the table's cells, which are `2^shift` units of v wide.
        low: cell of v - vth that the first entry stands for.

    Returns:
        -127..127, of the shape of v.
    """
    top = len(table) - 1
    i = ((v - vth) >> shift) - low
    i = i * (i > 0)
    i = i - (i > top) * (i - top)
    return table[i] * (target - s)
