"""Torch module of the LIF with an adaptive threshold."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seamount import neurons
from seamount.nn.lif import check_vth, one_of, trained
from seamount.nn.neuron import Neuron


class ALIF(Neuron):
    """Adaptive LIF: `v = beta v + x + bias;  s = v > vth + w`, the reset, then `w = rho w + (1 - rho) adaptation s`.

    Args:
        beta: retention of v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        rho: retention of what adaptation adds to the threshold.
        vth: threshold at rest, number or tensor `[N]`; strict.
        adaptation: what would be added if the neuron fired in every step; default that of Bellec 2018 and Yin 2021,
            1.8, for a threshold of 1.
        alpha: retention of u per step; default 0, else a CuBa-LIF.
        tau, tau_w, tau_u, dt: time constants and length of a step, in the place of beta, rho and alpha:
            `beta = exp(-dt / tau)`.
        reset: `"zero"`, `"subtract"` (of the threshold as it was when it was crossed) or `"none"`.
        bias: added to v in each step; a tensor `[N]` becomes a trained parameter.
        options: `surrogate`, `detach_reset`, `learn`, as in Neuron.

    Example:
        >>> import torch, seamount as sm
        >>> alif = sm.nn.ALIF(beta=0.9, rho=0.95, adaptation=20.0)
        >>> alif(torch.full((8, 1, 3), 1.2))[:, 0, 0]
        tensor([1., 0., 1., 0., 1., 0., 0., 1.])
    """

    node_type = neurons.ALIF

    def __init__(
        self,
        beta: float | Tensor | None = None,
        rho: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        adaptation: float | Tensor = 1.8,
        alpha: float | Tensor | None = None,
        tau: float | Tensor | None = None,
        tau_u: float | Tensor | None = None,
        tau_w: float | Tensor | None = None,
        dt: float = 1.0,
        reset: str = "subtract",
        bias: float | Tensor = 0.0,
        **options: Any,
    ) -> None:
        check_vth(self, vth)
        if alpha is None and tau_u is None:
            alpha = 0.0
        alpha = one_of(self, {"alpha": alpha, "tau_u": tau_u}, dt)
        beta = one_of(self, {"beta": beta, "tau": tau}, dt)
        rho = one_of(self, {"rho": rho, "tau_w": tau_w}, dt)
        fields = {"vth": vth, "adaptation": adaptation, "reset": reset, "bias": trained(bias)}
        super().__init__(alpha=alpha, beta=beta, rho=rho, **fields, **options)
