r"""Resonate-and-fire: a damped oscillation that fires when it is strong enough, once a period.

Float, z = u + i v turning by omega and keeping beta of its magnitude in each step:

    u[t] = beta (cos u[t-1] - sin v[t-1]) + sum_c W_c s_c[t] + bias
    v[t] = beta (sin u[t-1] + cos v[t-1])
    s[t] = u[t] > vth  and  v[t-1] < 0 <= v[t]

Where v rises through 0, u is the magnitude of z. Nothing is reset. Source: Izhikevich, "Resonate-and-fire neurons"
(2001), Eq. 1, with the threshold of Loihi 2's neuron: Orchard et al., "Efficient neuromorphic signal processing with
Loihi 2" (2021), section 3.1.

Integer (Lava's fixed_pt `RF` with `state_exp = 6` and `decay_bits = 12`, whose `>=` is here `>` of a number less by 1):

    u = clip( trunc(u re / 4096) - trunc(v im / 4096) + (a << 6) + (bias_mant << bias_exp) )
    v = clip( trunc(u im / 4096) + trunc(v re / 4096) )
    s = u > (vth << 6)  and  v before < 0 <= v
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT, UNITY, clip, decay
from seamount.ir.node import Population
from seamount.neurons.quantize import bias, kappa, whole

if TYPE_CHECKING:
    from seamount.limits import Limits

ANGLE_ERROR = 1e-3
"""How far `cos^2 + sin^2` may be from 1."""


@register_jitable
def rises(u, v, before, vth):
    """`u > vth` where v has risen through 0, from `before` to `v`."""
    return (u > vth) * (before < 0) * (1 - 1 * (v < 0))


@register_jitable
def float_step(a, u, v, re, im, bias, vth):
    """One step in floating point: `(s, u, v)`; re + i im is what z is multiplied with."""
    x, y = re * u - im * v + a + bias, im * u + re * v
    return rises(x, y, v, vth), x, y


@register_jitable
def int_step(a, u, v, re, im, bias, vth):
    """One step in the chip's arithmetic: `(s, u, v)`; re and im in 4096ths, vth is `vth << 6`."""
    x = clip(decay(u, re) - decay(v, im) + (a << ACT_SHIFT) + bias)
    y = clip(decay(u, im) + decay(v, re))
    return rises(x, y, v, vth), x, y


@dataclass(frozen=True, eq=False, kw_only=True)
class ResonateAndFire(Population):
    """Float resonate-and-fire.

    Args:
        shape: of one step of one sample.
        beta: retention of the magnitude of z per step, float64, () or `shape`.
        cos, sin: of the angle by which z turns in a step.
        vth: threshold on u, strict.
        bias: added to u in each step.
    """

    beta: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    vth: np.ndarray
    bias: np.ndarray = 0.0  # type: ignore[assignment]

    stage: ClassVar[str | None] = "float"
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("beta", "cos", "sin", "vth", "bias"), np.float64)
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {"beta": (0, 1), "vth": (0, math.inf)}
    THRESHOLDS: ClassVar[tuple[str, ...]] = ("vth",)
    step = staticmethod(float_step)

    def check(self) -> None:
        super().check()
        worst = np.abs(self.cos**2 + self.sin**2 - 1).max()
        if worst > ANGLE_ERROR:
            raise GraphError(f"{self.name}: cos^2 + sin^2 is {worst:.3g} off 1 (allowed {ANGLE_ERROR:g}).")

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.beta * self.cos, self.beta * self.sin, self.bias, self.vth)

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population: `re = round(4096 beta cos)`, `im = round(4096 beta sin)`.

        Raises:
            QuantizationError: a threshold or bias that the target cannot represent.
        """
        most = limits.decay[1]
        return IntResonateAndFire(
            name=self.name, inputs=self.inputs, shape=self.shape, scale=kappa(unit),
            re=np.clip(np.round(UNITY * self.beta * self.cos), -most, most),
            im=np.clip(np.round(UNITY * self.beta * self.sin), -most, most),
            vth=whole(self.name, "vth", self.vth, unit, limits.vth[1]), **bias(self.name, self.bias, unit, limits),
        )  # type: ignore[arg-type]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class IntResonateAndFire(Population):
    """Integer resonate-and-fire.

    Args:
        shape: of one step of one sample.
        re, im: real and imaginary part of what z is multiplied with, in 4096ths, int64, () or `shape`.
        vth: threshold mantissa; u is compared with `vth << 6`.
        bias_mant, bias_exp: bias mantissa and its shift; added to u.
        scale: float64, the value of one unit of u and v in the float network; 1 if unknown.
    """

    re: np.ndarray
    im: np.ndarray
    vth: np.ndarray
    bias_mant: np.ndarray = 0  # type: ignore[assignment]
    bias_exp: int = 0
    scale: np.ndarray | None = None

    stage: ClassVar[str | None] = "integer"
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("re", "im", "vth", "bias_mant"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)

    @property
    def bias(self) -> np.ndarray:
        """`bias_mant << bias_exp`, in units of u."""
        return self.bias_mant << self.bias_exp

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: the fields of ResonateAndFire, float64."""
        assert self.scale is not None
        angle = np.arctan2(self.im, self.re)
        return {
            "beta": np.hypot(self.re, self.im) / UNITY,
            "cos": np.cos(angle),
            "sin": np.sin(angle),
            "bias": self.bias * self.scale,
            "vth": (self.vth << ACT_SHIFT) * self.scale,
        }

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.re, self.im, self.bias, self.vth << ACT_SHIFT)
