"""Torch module of the LIF with ternary spikes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seamount import neurons
from seamount.nn.lif import CubaLIF, one_of


class TernaryLIF(CubaLIF):
    """LIF that sends -1, 0 or 1: `v = beta v + x + bias;  s = (v > vth) - (v < -vth)`, then the reset.

    Args:
        beta: retention of v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        vth: threshold on either side, number or tensor `[N]`; strict.
        alpha: retention of u per step; not 0 for a CuBa-LIF.
        tau, dt: time constant and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        options: `reset`, `reset_by`, `bias`, `surrogate`, `detach_reset`, `learn`, as in CubaLIF.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.TernaryLIF(0.9)(torch.tensor([1.5, -1.5, -1.5, 0.5]).reshape(4, 1, 1)).flatten()
        tensor([ 1., -1., -1.,  0.])
    """

    node_type = neurons.TernaryLIF

    def __init__(
        self,
        beta: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        alpha: float | Tensor = 0.0,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(alpha, one_of(self, {"beta": beta, "tau": tau}, dt), vth, **options)
