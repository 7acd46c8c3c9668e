"""Torch modules of the neurons whose spikes carry a value."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seamount import neurons
from seamount.nn.lif import CubaLIF, one_of


class GradedLIF(CubaLIF):
    """LIF whose spikes carry v: `v = beta v + x + bias;  s = v where |v| > vth`, then the reset.

    Args:
        beta: retention of v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        vth: threshold on either side, number or tensor `[N]`; strict.
        alpha: retention of u per step; not 0 for a CuBa-LIF.
        bits: of the magnitude of the largest spike, once quantized, 1..23, of the 23 that v has. What data leave unused
            of v's range they leave unused here.
        tau, dt: time constant and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        reset: `"zero"` (v has been sent), `"subtract"` or `"none"`.
        options: `reset_by`, `bias`, `surrogate`, `detach_reset`, `learn`, as in CubaLIF.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.GradedLIF(0.5)(torch.tensor([1.5, -0.5, -1.0, 0.5]).reshape(4, 1, 1)).flatten()
        tensor([ 1.5000,  0.0000, -1.2500,  0.0000])
    """

    node_type = neurons.GradedLIF

    def __init__(
        self,
        beta: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        alpha: float | Tensor = 0.0,
        bits: int = 10,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        reset: str = "zero",
        **options: Any,
    ) -> None:
        super().__init__(alpha, one_of(self, {"beta": beta, "tau": tau}, dt), vth, bits=bits, reset=reset, **options)
