"""Torch modules of the neurons whose spikes carry a value."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seamount import neurons
from seamount.nn.lif import CubaLIF, check_vth, one_of, trained
from seamount.nn.neuron import Neuron


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


class SigmaDelta(Neuron):
    """Sends the changes of `f(v + bias)`, v the sum of all input, once they exceed vth; readers sum them again.

    Args:
        vth: magnitude beyond which a change is sent, number or tensor `[N]`; an `nn.Parameter` trains.
        activation: f: `"relu"`, or `"unit"`, which changes nothing.
        cumulative: compare the sum of the changes since the last spike.
        bias: of the activation; a tensor `[N]` becomes a trained parameter.
        bits: of the magnitude of the largest spike, once quantized, 1..23, or 24 where it has a sign ("unit").
        options: `surrogate`, `detach_reset`, `learn`, as in Neuron.

    Example:
        >>> import torch, seamount as sm
        >>> changes = torch.tensor([0.5, 0.1, 0.3, -2.0]).reshape(4, 1, 1)
        >>> sm.nn.SigmaDelta(0.3)(changes).flatten()
        tensor([ 0.5000,  0.0000,  0.4000, -0.9000])
    """

    node_type = neurons.SigmaDelta

    def __init__(
        self,
        vth: float | Tensor = 0.1,
        *,
        activation: str = "relu",
        cumulative: bool = False,
        bias: float | Tensor = 0.0,
        bits: int = 10,
        **options: Any,
    ) -> None:
        check_vth(self, vth)
        encoder = {"activation": activation, "cumulative": int(cumulative), "bits": bits}
        super().__init__(vth=vth, bias=trained(bias), **encoder, **options)
