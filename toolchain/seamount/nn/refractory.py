"""Torch module of the refractory LIF."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seamount import neurons
from seamount.nn.lif import CubaLIF, one_of


class RefractoryLIF(CubaLIF):
    """LIF that holds v at 0 for some steps after each spike: `v = beta v + x + bias, 0 while refractory;  s = v > vth`.

    Args:
        beta: retention of v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        vth: threshold, number or tensor `[N]`; strict.
        refractory: steps after a spike in which v is held at 0.
        alpha: retention of u per step; not 0 for a CuBa-LIF, whose u goes on while v is held.
        tau, dt: time constant and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        options: `reset`, `reset_by`, `bias`, `surrogate`, `detach_reset`, `learn`, as in CubaLIF.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.RefractoryLIF(0.9, refractory=2)(torch.full((7, 1, 3), 1.5))[:, 0, 0]
        tensor([1., 0., 0., 1., 0., 0., 1.])
    """

    node_type = neurons.RefractoryLIF

    def __init__(
        self,
        beta: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        refractory: int = 1,
        alpha: float | Tensor = 0.0,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        **options: Any,
    ) -> None:
        beta = one_of(self, {"beta": beta, "tau": tau}, dt)
        super().__init__(alpha, beta, vth, refractory=refractory, **options)
