r"""Refractory integrate-and-fire: CuBa-LIF that is deaf and silent for r steps after each spike.

Float and integer alike, n counting the steps that are left:

    u, v as in CuBa-LIF;    v = 0 where n > 0
    s = v > vth, then the reset
    n = max(n - 1, 0) + r s

u goes on; v begins again from 0 and from what u then is. With r = 1 and reset "zero" this is what snnTorch's Synaptic
does whose reset takes effect one step late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.errors import GraphError
from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF, fire
from seamount.neurons.leaky import float_integrate, int_integrate

if TYPE_CHECKING:
    from seamount.ir import Population
    from seamount.limits import Limits


@register_jitable
def hold_and_fire(v, n, vth, reset_by, zero, refractory):
    """`v = 0` while n > 0, then threshold and reset (at 0 nothing fires). Returns `(s, v, n)`."""
    s, v = fire(v * (n <= 0), vth, reset_by, zero)
    return s, v, n - 1 * (n > 0) + s * refractory


@register_jitable
def float_step(a, u, v, n, alpha, beta, bias, vth, reset_by, zero, refractory):
    """One step in floating point: `(s, u, v, n)`; arguments as in CuBa-LIF, and the steps to hold v."""
    u, v = float_integrate(a, u, v, alpha, beta, bias)
    s, v, n = hold_and_fire(v, n, vth, reset_by, zero, refractory)
    return s, u, v, n


@register_jitable
def int_step(a, u, v, n, ru, rv, bias, vth, reset_by, zero, refractory):
    """One step in the chip's arithmetic: `(s, u, v, n)`; arguments as in CuBa-LIF, and the steps to hold v."""
    u, v = int_integrate(a, u, v, ru, rv, bias)
    s, v, n = hold_and_fire(v, n, vth, reset_by, zero, refractory)
    return s, u, v, n


@dataclass(frozen=True, eq=False, kw_only=True)
class RefractoryLIF(CubaLIF):
    """Float refractory LIF, or CuBa-LIF where alpha is not 0.

    Args:
        refractory: steps after a spike in which v is held at 0.
        others: as for CubaLIF.
    """

    alpha: np.ndarray = 0.0  # type: ignore[assignment]
    refractory: int = 1

    STATE: ClassVar[tuple[str, ...]] = ("u", "v", "n")
    step = staticmethod(float_step)

    def check(self) -> None:
        super().check()
        check_refractory(self)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return *CubaLIF.constants(self), self.refractory

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population; as CubaLIF."""
        return IntRefractoryLIF(**self.integers(unit, limits), refractory=self.refractory)


@dataclass(frozen=True, eq=False, kw_only=True)
class IntRefractoryLIF(IntCubaLIF):
    """Integer refractory CuBa-LIF.

    Args:
        refractory: steps after a spike in which v is held at 0.
        others: as for IntCubaLIF.
    """

    refractory: int = 1

    STATE: ClassVar[tuple[str, ...]] = ("u", "v", "n")
    step = staticmethod(int_step)

    def check(self) -> None:
        super().check()
        check_refractory(self)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return *super().constants(), self.refractory


def check_refractory(node: RefractoryLIF | IntRefractoryLIF) -> None:
    if not 0 <= node.refractory < 1 << 23:
        raise GraphError(f"{node.name}: refractory = {node.refractory} (allowed 0..{(1 << 23) - 1}).")
