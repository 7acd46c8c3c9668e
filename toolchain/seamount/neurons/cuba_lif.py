r"""Current-based leaky integrate-and-fire: parameters, float step, integer step.

Float (surrogate gradient paper, Eq. 4-5, in retention form):

    u[t] = alpha u[t-1] + sum_c W_c s_c[t]
    v[t] = beta v[t-1] + u[t] + bias
    s[t] = v[t] > vth
    reset "zero": v = 0 where s;   "subtract": v = v - reset_by s;   "none": v stays

Integer (Lava's fixed_pt `LIF`; Loihi's compartment):

    u = wrap( trunc(u (4095 - du) / 4096) + (a << 6) )
    v = clip( trunc(v (4096 - dv) / 4096) + u + (bias_mant << bias_exp) )
    s = v > (vth << 6);    v = 0   or   v - reset_by

`float_step` and `int_step` are the only places where these equations stand; the reference target, the quantized
torch forward pass, the emulator's kernel and the exported ONNX functions are made from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT
from seamount.ir.node import Population
from seamount.neurons.leaky import RETENTIONS, IntLeaky, float_integrate, int_integrate, leaky_integers
from seamount.neurons.quantize import kappa, whole

if TYPE_CHECKING:
    from seamount.limits import Limits

RESETS = ("zero", "subtract", "none")


@register_jitable
def fire(v, vth, reset_by, zero):
    """`s = v > vth`, then the reset. Returns `(s, v)`. On scalars or arrays of either number type."""
    s = v > vth
    return s, v - s * (zero * v + reset_by)


@register_jitable
def float_step(a, u, v, alpha, beta, bias, vth, reset_by, zero):
    """One step in floating point, on scalars or arrays.

    Args:
        a: summed synaptic input of this step.
        u, v: state after the last step.
        zero, reset_by: 1.0 and 0 reset to zero; 0.0 and what to subtract reset by subtraction; both 0 leave v.

    Returns:
        `(s, u, v)`, the spikes and the state after the reset.
    """
    u, v = float_integrate(a, u, v, alpha, beta, bias)
    s, v = fire(v, vth, reset_by, zero)
    return s, u, v


@register_jitable
def int_step(a, u, v, ru, rv, bias, vth, reset_by, zero):
    """One step in the chip's arithmetic, on int64 scalars or arrays.

    Args:
        a: summed synaptic input after the weight exponent.
        u, v: state after the last step.
        ru, rv: 12-bit retentions, `4095 - du` and `4096 - dv`.
        bias: `bias_mant << bias_exp`.
        vth, reset_by: in units of v, that is `vth << 6`.
        zero, reset_by: 1 and 0 reset to zero; 0 and what to subtract reset by subtraction; both 0 leave v.

    Returns:
        `(s, u, v)`, the spikes and the state after the reset.
    """
    u, v = int_integrate(a, u, v, ru, rv, bias)
    s, v = fire(v, vth, reset_by, zero)
    return s, u, v


@dataclass(frozen=True, eq=False, kw_only=True)
class CubaLIF(Population):
    """Float CuBa-LIF.

    Args:
        shape: of one step of one sample.
        alpha, beta: retention of u and v per step, float64, () or `shape`.
        vth: threshold, strict: a neuron fires when v > vth.
        bias: added to v in each step.
        reset: `"zero"`, `"subtract"` or `"none"`.
        reset_by: what `"subtract"` takes away; default vth.
    """

    alpha: np.ndarray
    beta: np.ndarray
    vth: np.ndarray
    bias: np.ndarray = 0.0  # type: ignore[assignment]
    reset: str = "zero"
    reset_by: np.ndarray | None = None

    stage: ClassVar[str | None] = "float"
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("alpha", "beta", "vth", "bias", "reset_by"), np.float64)
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {**RETENTIONS, "vth": (0, math.inf)}
    THRESHOLDS: ClassVar[tuple[str, ...]] = ("vth", "reset_by")
    step = staticmethod(float_step)

    def check(self) -> None:
        if self.reset_by is None:
            object.__setattr__(self, "reset_by", self.vth)
        super().check()
        check_reset(self)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.alpha, self.beta, self.bias, self.vth, *reset_constants(self.reset, self.reset_by, 1.0))

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population: `vth = round(vth / unit)`, `reset_by = round(reset_by / kappa)`.

        Where `reset_by` is vth, it is `vth << 6`, so that both round alike.

        Raises:
            QuantizationError: a threshold, bias or reset that the target cannot represent.
        """
        return IntCubaLIF(**self.integers(unit, limits))

    def integers(self, unit: np.ndarray, limits: Limits) -> dict[str, Any]:
        """The fields of the integer population, as `quantize` says."""
        mantissa = whole(self.name, "vth", self.vth, unit, limits.vth[1])
        reset_by = None
        if self.reset == "subtract" and not np.array_equal(self.reset_by, self.vth):  # type: ignore[arg-type]
            reset_by = whole(self.name, "reset_by", self.reset_by, kappa(unit), limits.vth[1] << ACT_SHIFT)  # type: ignore[arg-type]
        leaky = leaky_integers(self, unit, limits)
        return {**leaky, "vth": mantissa, "reset": self.reset, "reset_by": reset_by}


@dataclass(frozen=True, eq=False, kw_only=True)
class IntCubaLIF(IntLeaky):
    """Integer CuBa-LIF and, with `du = 4095`, LIF: one compartment of the chip.

    Args:
        vth: threshold mantissa; compared as `vth << 6`.
        reset: `"zero"`, `"subtract"` or `"none"`.
        reset_by: in units of v; default `vth << 6`.
        others: as for IntLeaky.
    """

    vth: np.ndarray
    reset: str = "zero"
    reset_by: np.ndarray | None = None

    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("du", "dv", "vth", "bias_mant", "reset_by"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)

    def check(self) -> None:
        if self.reset_by is None:
            default = self.vth << ACT_SHIFT if self.reset == "subtract" else self.vth * 0
            object.__setattr__(self, "reset_by", self._array("reset_by", default, np.int64))
        super().check()
        check_reset(self)

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: the fields of CubaLIF, float64."""
        worth = super().dequantize()
        return {
            **worth,
            "vth": (self.vth << ACT_SHIFT) * self.scale,
            "reset_by": np.asarray(self.reset_by) * self.scale,
        }

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return *super().constants(), self.vth << ACT_SHIFT, *reset_constants(self.reset, self.reset_by, 1)


def check_reset(node) -> None:
    if node.reset not in RESETS:
        raise GraphError(f"{node.name}: reset {node.reset!r} is unknown. Allowed: {', '.join(RESETS)}.")


def reset_constants(reset: str, reset_by, one):
    """`(reset_by, zero)` of a step for a named reset; `one` gives the number type."""
    if reset == "subtract":
        return reset_by, 0 * one
    return 0 * reset_by, one if reset == "zero" else 0 * one
