r"""Ternary spikes: CuBa-LIF with a threshold on either side, which sends -1, 0 or 1.

Float; the integer form is that of CuBa-LIF, with thresholds `vth << 6`:

    u, v as in CuBa-LIF
    s[t] = (v > vth) - (v < -vth)
    reset "zero": v = 0 where s;   "subtract": v = v - reset_by s;   "none": v stays

Source: Guo et al., "Ternary Spike: learning ternary spikes for spiking neural networks" (AAAI 2024), Eq. 7 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF
from seamount.neurons.leaky import float_integrate, int_integrate

if TYPE_CHECKING:
    from seamount.ir import Population
    from seamount.limits import Limits


@register_jitable
def cross(v, vth, reset_by, zero):
    """A threshold on either side, then the reset. Returns `(v > vth, v < -vth, v)`. Exact for any vth >= 0."""
    up, down = 1 * (v > vth), 1 * (v < 0 - vth)
    return up, down, v - up * (zero * v + reset_by) - down * (zero * v - reset_by)


@register_jitable
def float_step(a, u, v, alpha, beta, bias, vth, reset_by, zero):
    """One step in floating point: `(s, u, v)`; arguments as in CuBa-LIF."""
    u, v = float_integrate(a, u, v, alpha, beta, bias)
    up, down, v = cross(v, vth, reset_by, zero)
    return up - down, u, v


@register_jitable
def int_step(a, u, v, ru, rv, bias, vth, reset_by, zero):
    """One step in the chip's arithmetic: `(s, u, v)`; arguments as in CuBa-LIF."""
    u, v = int_integrate(a, u, v, ru, rv, bias)
    up, down, v = cross(v, vth, reset_by, zero)
    return up - down, u, v


@dataclass(frozen=True, eq=False, kw_only=True)
class TernaryLIF(CubaLIF):
    """Float LIF, or CuBa-LIF where alpha is not 0, that sends -1, 0 or 1; parameters as in CubaLIF."""

    alpha: np.ndarray = 0.0  # type: ignore[assignment]

    kind: ClassVar[str] = "signed"
    step = staticmethod(float_step)

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population; as CubaLIF."""
        return IntTernaryLIF(**self.integers(unit, limits))


@dataclass(frozen=True, eq=False, kw_only=True)
class IntTernaryLIF(IntCubaLIF):
    """Integer CuBa-LIF that sends -1, 0 or 1; parameters as in IntCubaLIF."""

    kind: ClassVar[str] = "signed"
    step = staticmethod(int_step)
