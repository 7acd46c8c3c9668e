"""From float parameters to a chip's integers: the roundings that neuron models share.

Units: `unit = l 2^-K` is the value of one unit of a threshold mantissa, `kappa = unit / 64` of one unit of v
(`seamount.quantization.connection`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seamount.errors import QuantizationError
from seamount.fixed_point import ACT_SHIFT, UNITY

if TYPE_CHECKING:
    from seamount.limits import Limits


def loss_u(alpha: np.ndarray, limits: Limits) -> np.ndarray:
    """`du = round(4095 - 4096 alpha)`, within the target's range."""
    return np.clip(np.round(UNITY - 1 - UNITY * alpha), *limits.decay)


def loss_v(beta: np.ndarray, limits: Limits) -> np.ndarray:
    """`dv = round(4096 (1 - beta))`, within the target's range."""
    return np.clip(np.round(UNITY * (1 - beta)), *limits.decay)


def whole(node: str, what: str, values: np.ndarray, unit: np.ndarray, limit: int) -> np.ndarray:
    """`round(values / unit)`.

    Raises:
        QuantizationError: a magnitude above the limit.
    """
    rounded = np.round(values / unit)
    worst = np.abs(rounded).max()
    if not worst <= limit:
        raise QuantizationError(
            f"{node}: {what} (used {worst:.0f}, limit {limit}, in units of {np.min(unit):.3g}). "
            "Hint: calibrate again, or bring weights and threshold to the same size."
        )
    return rounded


def bias(node: str, value: np.ndarray, unit: np.ndarray, limits: Limits) -> dict[str, Any]:
    """`bias_mant` and the smallest `bias_exp` with which `round(bias / kappa)` fits its mantissa."""
    rounded = whole(node, "bias", value, kappa(unit), limits.bias)
    exponent = limits.bias_exp[0]
    while np.abs(np.round(rounded / 2**exponent)).max() > limits.bias_mant[1]:
        exponent += 1
    return {"bias_mant": np.round(rounded / 2**exponent), "bias_exp": exponent}


def kappa(unit: np.ndarray) -> np.ndarray:
    """Value of one unit of v."""
    return unit / (1 << ACT_SHIFT)
