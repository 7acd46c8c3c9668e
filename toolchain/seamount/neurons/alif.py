r"""Adaptive threshold: CuBa-LIF whose threshold rises with each spike and decays back (ALIF).

Float, w being what adaptation has added to the threshold:

    u, v as in CuBa-LIF
    s[t] = v > vth + w[t-1]
    reset "zero": v = 0 where s;   "subtract": v = v - (vth + w[t-1]) s;   "none": v stays
    w[t] = rho w[t-1] + (1 - rho) adaptation s[t]

so that w stays below `adaptation`, which it nears when the neuron fires in every step. Source: Bellec et al., "Long
short-term memory and learning-to-learn in networks of spiking neurons" (2018), Eq. 1 and the two after it; Yin et al.
(2021), Eq. 4 to 6, where eta[t] is w[t-1] / adaptation. Both take the threshold off one step later, after v's decay.

Integer, w in units of v, w >= 0:

    s = v > (vth << 6) + w
    w = clip( trunc(w (4096 - dw) / 4096) + jump s ),    jump = round(adaptation / kappa dw / 4096)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.fixed_point import ACT_SHIFT, UNITY, V_MAX, clip, decay
from seamount.ir.node import Population
from seamount.neurons.cuba_lif import check_reset
from seamount.neurons.leaky import (
    RETENTIONS,
    IntLeaky,
    float_integrate,
    int_integrate,
    leaky_integers,
    retention_v,
)
from seamount.neurons.quantize import kappa, loss_v, whole

if TYPE_CHECKING:
    from seamount.limits import Limits


@register_jitable
def fire_above(v, threshold, zero, subtract):
    """`s = v > threshold`, then the reset, to 0 or by the threshold. Returns `(s, v)`."""
    s = v > threshold
    return s, v - s * (zero * v + subtract * threshold)


@register_jitable
def float_step(a, u, v, w, alpha, beta, bias, vth, rho, jump, zero, subtract):
    """One step in floating point: `(s, u, v, w)`; `zero` and `subtract` are 1 for their reset, else 0."""
    u, v = float_integrate(a, u, v, alpha, beta, bias)
    s, v = fire_above(v, vth + w, zero, subtract)
    return s, u, v, rho * w + s * jump


@register_jitable
def int_step(a, u, v, w, ru, rv, bias, vth, rw, jump, zero, subtract):
    """One step in the chip's arithmetic: `(s, u, v, w)`; ru, rv, rw are 12-bit retentions, vth is `vth << 6`."""
    u, v = int_integrate(a, u, v, ru, rv, bias)
    s, v = fire_above(v, vth + w, zero, subtract)
    return s, u, v, clip(decay(w, rw) + s * jump)


@dataclass(frozen=True, eq=False, kw_only=True)
class ALIF(Population):
    """Float adaptive LIF, or CuBa-LIF where alpha is not 0.

    Args:
        shape: of one step of one sample.
        alpha, beta, rho: retention of u, v and w per step, float64, () or `shape`.
        vth: threshold at rest, strict.
        adaptation: what w would reach if the neuron fired in every step.
        bias: added to v in each step.
        reset: `"zero"`, `"subtract"` (of the threshold as it was when it was crossed) or `"none"`.
    """

    alpha: np.ndarray = 0.0  # type: ignore[assignment]
    beta: np.ndarray
    rho: np.ndarray
    adaptation: np.ndarray
    vth: np.ndarray
    bias: np.ndarray = 0.0  # type: ignore[assignment]
    reset: str = "subtract"

    stage: ClassVar[str | None] = "float"
    STATE: ClassVar[tuple[str, ...]] = ("u", "v", "w")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("alpha", "beta", "rho", "adaptation", "vth", "bias"), np.float64)
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        **RETENTIONS, "rho": (0, 1), "adaptation": (0, math.inf), "vth": (0, math.inf)
    }  # fmt: skip
    THRESHOLDS: ClassVar[tuple[str, ...]] = ("vth", "adaptation")
    step = staticmethod(float_step)

    def check(self) -> None:
        super().check()
        check_reset(self)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        jump = (1 - self.rho) * self.adaptation
        return (self.alpha, self.beta, self.bias, self.vth, self.rho, jump, *reset_flags(self.reset, 1.0))

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population; w decays by at least 1 / 4096.

        Raises:
            QuantizationError: a threshold, jump or bias that the target cannot represent.
        """
        dw = np.maximum(loss_v(self.rho, limits), 1)
        return IntALIF(
            **leaky_integers(self, unit, limits), reset=self.reset, dw=dw,
            vth=whole(self.name, "vth", self.vth, unit, limits.vth[1]),
            jump=whole(self.name, "jump of the threshold", self.adaptation * dw / UNITY, kappa(unit), V_MAX),
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class IntALIF(IntLeaky):
    """Integer adaptive CuBa-LIF.

    Args:
        dw: 12-bit loss of w, int64, () or `shape`.
        jump: what a spike adds to w, in units of v, 0 or more.
        vth: threshold mantissa at rest; compared as `vth << 6`.
        reset: `"zero"`, `"subtract"` or `"none"`.
        others: as for IntLeaky.
    """

    dw: np.ndarray
    jump: np.ndarray
    vth: np.ndarray
    reset: str = "subtract"

    STATE: ClassVar[tuple[str, ...]] = ("u", "v", "w")
    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("du", "dv", "dw", "jump", "vth", "bias_mant"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)

    def check(self) -> None:
        super().check()
        check_reset(self)

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: the fields of ALIF, float64."""
        return {
            **super().dequantize(),
            "rho": retention_v(self.dw) / UNITY,
            "adaptation": self.jump * self.scale * UNITY / self.dw,
            "vth": (self.vth << ACT_SHIFT) * self.scale,
        }

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (
            *super().constants(), self.vth << ACT_SHIFT, retention_v(self.dw), self.jump, *reset_flags(self.reset, 1)
        )  # fmt: skip


def reset_flags(reset: str, one) -> tuple[Any, Any]:
    """`(zero, subtract)` of a step for a named reset; `one` gives the number type."""
    return one if reset == "zero" else 0 * one, one if reset == "subtract" else 0 * one
