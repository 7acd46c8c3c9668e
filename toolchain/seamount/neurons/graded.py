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
from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF
from seamount.neurons.leaky import float_integrate, int_integrate
from seamount.neurons.ternary import cross

if TYPE_CHECKING:
    from seamount.ir import Population
    from seamount.limits import Limits

SENT_BITS = 23
"""Of the magnitude of v, which is sent."""


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
class GradedLIF(CubaLIF):
    """Float LIF, or CuBa-LIF where alpha is not 0, whose spikes carry v.

    Args:
        bits: of the magnitude of a spike of the integer form, 1..23.
        others: as for CubaLIF.
    """

    alpha: np.ndarray = 0.0  # type: ignore[assignment]
    bits: int = 10

    kind: ClassVar[str] = "graded"
    sent_bits: ClassVar[int] = SENT_BITS
    step = staticmethod(float_step)

    def check(self) -> None:
        super().check()
        check_bits(self, SENT_BITS)

    @property
    def bound(self) -> int:
        """Largest magnitude that the integer form sends."""
        return 1 << self.bits

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population; as CubaLIF, and the shift that leaves `bits` of the coarsest neuron's v."""
        integers = self.integers(unit, limits)
        return IntGradedLIF(**integers, shift=SENT_BITS - self.bits + finer(integers["scale"]))


@dataclass(frozen=True, eq=False, kw_only=True)
class IntGradedLIF(IntCubaLIF):
    """Integer CuBa-LIF whose spikes carry v.

    Args:
        shift: what v is shifted down by when it is sent, int64 0..23, () or `shape`.
        others: as for IntCubaLIF.
    """

    shift: np.ndarray

    kind: ClassVar[str] = "graded"
    ARRAYS: ClassVar[dict[str, type]] = {**IntCubaLIF.ARRAYS, "shift": np.int64}
    step = staticmethod(int_step)

    def check(self) -> None:
        super().check()
        check_shift(self, SENT_BITS)

    @property
    def bound(self) -> int:
        """Largest magnitude that it sends."""
        return 1 << (SENT_BITS - int(self.shift.min()))

    @property
    def output_scale(self) -> np.ndarray | None:
        """Value of one unit of what it sends in the float network."""
        return None if self.scale is None else self.scale * 2.0**self.shift

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return *super().constants(), self.shift


def finer(scale: np.ndarray) -> np.ndarray:
    """How many more bits each neuron's v has than that of the coarsest scale: what neurons send is of one scale."""
    return np.round(np.log2(np.max(scale) / scale))


def check_bits(node, most: int) -> None:
    if not 1 <= node.bits <= most:
        raise GraphError(f"{node.name}: bits = {node.bits} (allowed 1..{most}).")


def check_shift(node, most: int) -> None:
    if node.shift.min() < 0 or node.shift.max() > most:
        raise GraphError(f"{node.name}: shift = {node.shift.min()}..{node.shift.max()} (allowed 0..{most}).")
