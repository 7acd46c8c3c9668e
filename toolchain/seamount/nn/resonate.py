"""Torch module of the resonate-and-fire neuron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seamount import neurons
from seamount.errors import SeamountError
from seamount.nn.lif import check_vth, one_of, trained
from seamount.nn.neuron import Neuron


class ResonateAndFire(Neuron):
    """Damped oscillation `u + i v = beta e^(i omega) (u + i v) + x`; fires where v rises through 0 with u > vth.

    Args:
        beta: retention of the magnitude per step, number or tensor `[N]`; an `nn.Parameter` trains.
        period: of the oscillation, number or tensor `[N]`, above 2 dt; `omega = 2 pi dt / period`.
        vth: threshold on u, number or tensor `[N]`; strict.
        tau, dt: time constant of the magnitude and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        bias: added to u in each step; a tensor `[N]` becomes a trained parameter.
        learn: may also hold `"omega"`.
        options: `surrogate`, `detach_reset`, as in Neuron.

    Example:
        >>> import torch, seamount as sm
        >>> resonator = sm.nn.ResonateAndFire(beta=0.95, period=5.0, vth=0.5)
        >>> resonator(torch.eye(12)[0].reshape(12, 1, 1)).flatten().nonzero().flatten()
        tensor([ 5, 10])
    """

    node_type = neurons.ResonateAndFire

    def __init__(
        self,
        beta: float | Tensor | None = None,
        period: float | Tensor = 8.0,
        vth: float | Tensor = 1.0,
        *,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        bias: float | Tensor = 0.0,
        learn: Sequence[str] = (),
        **options: Any,
    ) -> None:
        check_vth(self, vth)
        learn = (learn,) if isinstance(learn, str) else learn
        steps = torch.as_tensor(period, dtype=torch.float32) / dt
        if not bool((steps > 2).all()):
            raise SeamountError(f"{type(self).__name__}: period = {steps.tolist()} steps (allowed > 2).")
        omega = nn.Parameter(2 * math.pi / steps, requires_grad="omega" in learn)
        super().__init__(
            beta=one_of(self, {"beta": beta, "tau": tau}, dt), omega=omega, vth=vth, bias=trained(bias),
            learn=[name for name in learn if name != "omega"], **options,
        )  # fmt: skip

    def fields(self) -> dict[str, Any]:
        """The node's parameters; omega as its cosine and sine."""
        fields = super().fields()
        omega = fields.pop("omega")
        return {**fields, "cos": torch.cos(omega), "sin": torch.sin(omega)}
