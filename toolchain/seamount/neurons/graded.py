r"""Graded spikes: CuBa-LIF whose spike carries v, where its magnitude exceeds a threshold.

Float:

    u, v as in CuBa-LIF
    s[t] = v where |v| > vth, else 0
    reset "zero": v = 0 where s;   "subtract": v = v - reset_by sign(s);   "none": v stays

Integer, with thresholds `vth << 6`:

    s = v >> shift where |v| > (vth << 6), else 0

that is, in units of `2^shift`, rounded down: v has 24 bits, a message of Loihi 2 carries as many as one chooses. With
`shift = 6`, reset "zero", du = 4095, dv = 4095 and vth < 64 this is Lava's `GradedVec`, which keeps nothing from step
to step. Source: Orchard et al., "Efficient neuromorphic signal processing with Loihi 2" (2021), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.errors import GraphError
from seamount.ir.node import Population
from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF
from seamount.neurons.leaky import float_integrate, int_integrate
from seamount.neurons.ternary import cross

if TYPE_CHECKING:
    from seamount.limits import Limits


@register_jitable
def float_step(a, u, v, alpha, beta, bias, vth, reset_by, zero):
    """One step in floating point: `(s, u, v)`; arguments as in CuBa-LIF."""
    u, x = float_integrate(a, u, v, alpha, beta, bias)
    up, down, v = cross(x, vth, reset_by, zero)
    return (up + down) * x, u, v


@register_jitable
def int_step(a, u, v, ru, rv, bias, vth, reset_by, zero, shift):
    """One step in the chip's arithmetic: `(s, u, v)`; arguments as in CuBa-LIF, and the shift of what is sent."""
    u, x = int_integrate(a, u, v, ru, rv, bias)
    up, down, v = cross(x, vth, reset_by, zero)
    return (up + down) * (x >> shift), u, v


@dataclass(frozen=True, eq=False, kw_only=True)
class Graded(Population, abstract=True):
    """Float population whose spikes carry a value.

    Args:
        bits: of the magnitude of a spike of the integer form, 1..sent_bits.
    """

    bits: int = 10

    kind: ClassVar[str] = "graded"

    def check(self) -> None:
        super().check()
        if not 1 <= self.bits <= self.sent_bits:
            raise GraphError(f"{self.name}: bits = {self.bits} (allowed 1..{self.sent_bits}).")

    @property
    def bound(self) -> int:
        """Largest magnitude that the integer form sends."""
        return 1 << self.bits


@dataclass(frozen=True, eq=False, kw_only=True)
class IntGraded(Population, abstract=True):
    """Integer population whose spikes carry a value, rounded down to units of `2^shift`.

    Args:
        shift: what a value is shifted down by when it is sent, int64 0..sent_bits, () or `shape`.
        scale: float64, value of one unit of v in the float network; 1 if unknown.
    """

    shift: np.ndarray
    scale: np.ndarray | None = None

    kind: ClassVar[str] = "graded"

    def check(self) -> None:
        super().check()
        low, high = self.shift.min(), self.shift.max()
        if low < 0 or high > self.sent_bits:
            raise GraphError(f"{self.name}: shift = {low}..{high} (allowed 0..{self.sent_bits}).")

    @property
    def bound(self) -> int:
        """Largest magnitude that it sends."""
        return 1 << (self.sent_bits - int(self.shift.min()))

    @property
    def output_scale(self) -> np.ndarray | None:
        """Value of one unit of what it sends in the float network."""
        return None if self.scale is None else self.scale * 2.0**self.shift


@dataclass(frozen=True, eq=False, kw_only=True)
class GradedLIF(Graded, CubaLIF):
    """Float LIF, or CuBa-LIF where alpha is not 0, whose spikes carry v; parameters as in CubaLIF and Graded."""

    alpha: np.ndarray = 0.0  # type: ignore[assignment]

    sent_bits: ClassVar[int] = 23  # of |v| <= V_MAX
    step = staticmethod(float_step)

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population; as CubaLIF, and the shift that leaves `bits` of the coarsest neuron's v."""
        integers = self.integers(unit, limits)
        return IntGradedLIF(**integers, shift=self.sent_bits - self.bits + finer(integers["scale"]))


@dataclass(frozen=True, eq=False, kw_only=True)
class IntGradedLIF(IntGraded, IntCubaLIF):
    """Integer CuBa-LIF whose spikes carry v; parameters as in IntCubaLIF and IntGraded."""

    sent_bits: ClassVar[int] = GradedLIF.sent_bits
    ARRAYS: ClassVar[dict[str, type]] = {**IntCubaLIF.ARRAYS, "shift": np.int64}
    step = staticmethod(int_step)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return *super().constants(), self.shift


def finer(scale: np.ndarray) -> np.ndarray:
    """How many more bits each neuron's v has than that of the coarsest scale: what neurons send is of one scale."""
    return np.round(np.log2(np.max(scale) / scale))
