"""Leaky integrator: a readout that never spikes; its output is v.

Float and integer steps are those of CuBa-LIF without the threshold, so there is no reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.fixed_point import UNITY
from seamount.ir.node import Population
from seamount.neurons.cuba_lif import RETENTIONS, float_integrate, int_integrate, retention_u, retention_v
from seamount.neurons.quantize import bias, kappa, loss_u, loss_v

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
        return IntLI(
            name=self.name, inputs=self.inputs, shape=self.shape, scale=kappa(unit),
            du=loss_u(self.alpha, limits), dv=loss_v(self.beta, limits), **bias(self.name, self.bias, unit, limits),
        )  # type: ignore[arg-type]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class IntLI(Population):
    """Integer leaky integrator; its output is int32 v, in units of `scale`. Parameters as in IntCubaLIF."""

    dv: np.ndarray
    du: np.ndarray = 4095  # type: ignore[assignment]
    bias_mant: np.ndarray = 0  # type: ignore[assignment]
    bias_exp: int = 0
    scale: np.ndarray | None = None

    stage: ClassVar[str | None] = "integer"
    spiking: ClassVar[bool] = False
    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("du", "dv", "bias_mant"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)

    @property
    def bias(self) -> np.ndarray:
        """`bias_mant << bias_exp`, in units of v."""
        return self.bias_mant << self.bias_exp

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: the fields of LI, float64."""
        assert self.scale is not None
        return {
            "alpha": retention_u(self.du) / UNITY,
            "beta": retention_v(self.dv) / UNITY,
            "bias": self.bias * self.scale,
        }

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (retention_u(self.du), retention_v(self.dv), self.bias)
