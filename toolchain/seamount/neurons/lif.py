"""Leaky integrate-and-fire: CuBa-LIF whose current does not last (alpha = 0, du = 4095)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seamount.neurons.cuba_lif import CubaLIF


@dataclass(frozen=True, eq=False, kw_only=True)
class LIF(CubaLIF):
    """Float LIF: `v[t] = beta v[t-1] + sum_c W_c s_c[t] + bias`; parameters as in CubaLIF, alpha = 0.

    Its integer form is `IntCubaLIF` with `du = 4095`, which is what the chip runs.
    """

    alpha: np.ndarray = 0.0  # type: ignore[assignment]
