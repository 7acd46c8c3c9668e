r"""Leaky u and v: the integration that CuBa-LIF shares with its kin, the fields of its integer form, their worth.

Float:

    u[t] = alpha u[t-1] + a[t];    v[t] = beta v[t-1] + u[t] + bias

Integer (Lava's fixed_pt `LIF`; Loihi's compartment):

    u = wrap( trunc(u (4095 - du) / 4096) + (a << 6) )
    v = clip( trunc(v (4096 - dv) / 4096) + u + (bias_mant << bias_exp) )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.fixed_point import ACT_SHIFT, UNITY, clip, decay, wrap
from seamount.ir.node import Population
from seamount.neurons.quantize import bias, kappa, loss_u, loss_v

if TYPE_CHECKING:
    from seamount.limits import Limits

RETENTIONS: dict[str, tuple[float, float]] = {"alpha": (0, 1), "beta": (0, 1)}


@register_jitable
def float_integrate(a, u, v, alpha, beta, bias):
    """`u = alpha u + a;  v = beta v + u + bias`. Returns `(u, v)` before threshold and reset."""
    u = alpha * u + a
    return u, beta * v + u + bias


@register_jitable
def int_integrate(a, u, v, ru, rv, bias):
    """`u = wrap(trunc(u ru / 4096) + (a << 6));  v = clip(trunc(v rv / 4096) + u + bias)`. Returns `(u, v)`."""
    u = wrap(decay(u, ru) + (a << ACT_SHIFT))
    return u, clip(decay(v, rv) + u + bias)


def retention_u(du):
    """Retention of u in 4096ths, from the 12-bit loss du (the chip adds 1 to it)."""
    return UNITY - 1 - du


def retention_v(dv):
    """Retention of v in 4096ths, from the 12-bit loss dv."""
    return UNITY - dv


def leaky_integers(node: Any, unit: np.ndarray, limits: Limits) -> dict[str, Any]:
    """The fields of IntLeaky for a float population with `alpha`, `beta` and `bias`; arguments as of `quantize`.

    Raises:
        QuantizationError: a bias that the target cannot represent.
    """
    return {
        "name": node.name, "inputs": node.inputs, "shape": node.shape, "scale": kappa(unit),
        "du": loss_u(node.alpha, limits), "dv": loss_v(node.beta, limits), **bias(node.name, node.bias, unit, limits),
    }  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class IntLeaky(Population, abstract=True):
    """Integer population whose u and v leak.

    Args:
        shape: of one step of one sample.
        du, dv: 12-bit losses of u and v, int64, () or `shape`; du = 4095 for a current that does not last.
        bias_mant, bias_exp: bias mantissa and its shift; added to v.
        scale: float64, the value of one unit of v in the float network (for reports and readouts); 1 if unknown.
    """

    du: np.ndarray = 4095  # type: ignore[assignment]
    dv: np.ndarray
    bias_mant: np.ndarray = 0  # type: ignore[assignment]
    bias_exp: int = 0
    scale: np.ndarray | None = None

    stage: ClassVar[str | None] = "integer"
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")

    @property
    def bias(self) -> np.ndarray:
        """`bias_mant << bias_exp`, in units of v."""
        return self.bias_mant << self.bias_exp

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: alpha, beta and bias, float64."""
        assert self.scale is not None
        return {
            "alpha": retention_u(self.du) / UNITY,
            "beta": retention_v(self.dv) / UNITY,
            "bias": self.bias * self.scale,
        }

    def constants(self) -> tuple[Any, ...]:
        """What `int_integrate` takes after the state."""
        return (retention_u(self.du), retention_v(self.dv), self.bias)
