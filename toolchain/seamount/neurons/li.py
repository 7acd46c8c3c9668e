"""Leaky integrator: a readout that never spikes; its output is v.

Float and integer steps are those of CuBa-LIF without the threshold, so there is no reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.ir.node import Population
from seamount.neurons.leaky import RETENTIONS, IntLeaky, float_integrate, int_integrate, leaky_integers

if TYPE_CHECKING:
    from seamount.limits import Limits


@register_jitable
def float_step(a, u, v, alpha, beta, bias):
    """One step in floating point. Returns `(v, u, v)`: what leaves the population, and the state."""
    u, v = float_integrate(a, u, v, alpha, beta, bias)
    return v, u, v


@register_jitable
def int_step(a, u, v, ru, rv, bias):
    """One step in the chip's arithmetic. Returns `(v, u, v)`: what leaves the population, and the state."""
    u, v = int_integrate(a, u, v, ru, rv, bias)
    return v, u, v


@dataclass(frozen=True, eq=False, kw_only=True)
class LI(Population):
    """Float leaky integrator; `alpha`, `beta`, `bias` as in CubaLIF."""

    beta: np.ndarray
    alpha: np.ndarray = 0.0  # type: ignore[assignment]
    bias: np.ndarray = 0.0  # type: ignore[assignment]

    stage: ClassVar[str | None] = "float"
    spiking: ClassVar[bool] = False
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("alpha", "beta", "bias"), np.float64)
    RANGES: ClassVar[dict[str, tuple[float, float]]] = RETENTIONS
    step = staticmethod(float_step)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.alpha, self.beta, self.bias)

    def quantize(self, unit: np.ndarray, limits: Limits) -> IntLI:
        """The integers of this population; as CubaLIF without a threshold.

        Raises:
            QuantizationError: a bias that the target cannot represent.
        """
        return IntLI(**leaky_integers(self, unit, limits))


@dataclass(frozen=True, eq=False, kw_only=True)
class IntLI(IntLeaky):
    """Integer leaky integrator; its output is int32 v, in units of `scale`. Parameters as in IntLeaky."""

    spiking: ClassVar[bool] = False
    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("du", "dv", "bias_mant"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)
