"""Torch modules of the integrators: CuBa-LIF, LIF, IF and the readout; and retentions from time constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seamount import neurons
from seamount.errors import SeamountError
from seamount.nn.neuron import Neuron


def retention(tau: float | Tensor, dt: float = 1.0) -> float | Tensor:
    """What is left after a step of a decay with time constant tau: `beta = exp(-dt / tau)`.

    Args:
        tau: above 0, number or tensor `[N]`, in the unit of dt.
        dt: length of a step; 1 gives tau in steps.

    Example:
        >>> round(retention(20e-3, 1e-3), 4)
        0.9512
    """
    value = torch.as_tensor(tau, dtype=torch.float64).detach()
    if not (bool((value > 0).all()) and dt > 0):
        raise SeamountError(f"tau = {value.tolist()}, dt = {dt} (allowed > 0).")
    kept = torch.exp(-dt / value)
    return kept if isinstance(tau, Tensor) else kept.item()


class CubaLIF(Neuron):
    """Current-based LIF: `u = alpha u + x;  v = beta v + u + bias;  s = v > vth`, then the reset.

    Args:
        alpha, beta: retention of u and v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        vth: threshold, number or tensor `[N]`; strict.
        tau_u, tau_v, dt: time constants and length of a step, in the place of alpha and beta: `beta = exp(-dt / tau)`.
        reset: `"zero"`, `"subtract"` or `"none"`.
        reset_by: what `"subtract"` takes away; default vth.
        bias: added to v in each step; a tensor `[N]` becomes a trained parameter.
        options: `surrogate`, `detach_reset`, `learn`, as in Neuron.

    Example:
        >>> import torch, seamount as sm
        >>> lif = sm.nn.CubaLIF(alpha=0.5, beta=0.9, vth=1.0)
        >>> lif(torch.ones(4, 1, 3))[:, 0, 0]
        tensor([0., 1., 1., 1.])
    """

    node_type = neurons.CubaLIF

    def __init__(
        self,
        alpha: float | Tensor | None = None,
        beta: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        tau_u: float | Tensor | None = None,
        tau_v: float | Tensor | None = None,
        dt: float = 1.0,
        reset: str = "subtract",
        reset_by: float | Tensor | None = None,
        bias: float | Tensor = 0.0,
        **options: Any,
    ) -> None:
        if reset_by is not None and reset != "subtract":
            raise SeamountError(f"{type(self).__name__}: reset_by is given, but reset is {reset!r}.")
        check_vth(self, vth)
        alpha = one_of(self, {"alpha": alpha, "tau_u": tau_u}, dt)
        beta = one_of(self, {"beta": beta, "tau_v": tau_v}, dt)
        fields = {"beta": beta, "vth": vth, "reset": reset, "reset_by": reset_by, "bias": trained(bias)}
        super().__init__(alpha=alpha, **fields, **options)


class LIF(CubaLIF):
    """Leaky integrate-and-fire: `v = beta v + x + bias;  s = v > vth`, then the reset.

    Args:
        beta: retention of v per step, number or tensor `[N]`; an `nn.Parameter` trains.
        vth: threshold, number or tensor `[N]`; strict.
        tau, dt: time constant and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        options: `reset`, `reset_by`, `bias`, `surrogate`, `detach_reset`, `learn`, as in CubaLIF.

    Example:
        >>> import torch, seamount as sm
        >>> lif = sm.nn.LIF(beta=0.9, vth=1.0, reset="subtract")
        >>> lif(torch.full((4, 1, 3), 0.6))[:, 0, 0]
        tensor([0., 1., 0., 1.])
        >>> sm.nn.LIF(tau=torch.full((3,), 20e-3), dt=1e-3, learn=("beta", "vth")).beta.shape
        torch.Size([3])
    """

    node_type = neurons.LIF

    def __init__(
        self,
        beta: float | Tensor | None = None,
        vth: float | Tensor = 1.0,
        *,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(0.0, one_of(self, {"beta": beta, "tau": tau}, dt), vth, **options)


class IF(LIF):
    """Integrate-and-fire, a LIF that forgets nothing: `v = v + x + bias;  s = v > vth`, then the reset.

    Args:
        vth: threshold, number or tensor `[N]`; strict.
        options: as in LIF.

    Example:
        >>> import torch, seamount as sm
        >>> sm.nn.IF()(torch.full((5, 1, 3), 0.7))[:, 0, 0]
        tensor([0., 1., 1., 0., 1.])
    """

    def __init__(self, vth: float | Tensor = 1.0, **options: Any) -> None:
        super().__init__(1.0, vth, **options)


class LI(Neuron):
    """Leaky integrator, a readout: `u = alpha u + x;  v = beta v + u + bias`; returns v.

    Args:
        beta, alpha: retention of v and u per step, number or tensor `[N]`; an `nn.Parameter` trains.
        tau, dt: time constant of v and length of a step, in the place of beta: `beta = exp(-dt / tau)`.
        bias: added to v in each step; a tensor `[N]` becomes a trained parameter.
        options: `learn`, as in Neuron.
    """

    node_type = neurons.LI

    def __init__(
        self,
        beta: float | Tensor | None = None,
        alpha: float | Tensor = 0.0,
        *,
        tau: float | Tensor | None = None,
        dt: float = 1.0,
        bias: float | Tensor = 0.0,
        **options: Any,
    ) -> None:
        beta = one_of(self, {"beta": beta, "tau": tau}, dt)
        super().__init__(beta=beta, alpha=alpha, bias=trained(bias), **options)


def one_of(neuron: Neuron, given: dict[str, Any], dt: float) -> Any:
    """The retention that a module was given, as such or as the time constant that comes second."""
    (direct, value), (_, tau) = given.items()
    if (value is None) == (tau is None):
        raise SeamountError(
            f"{type(neuron).__name__}: {direct} is given {'twice' if value is not None else 'in no way'} "
            f"(allowed: one of {', '.join(given)})."
        )
    return retention(tau, dt) if value is None else value


def check_vth(neuron: Neuron, vth: float | Tensor) -> None:
    """Refuse a threshold that is not above 0."""
    if not bool((torch.as_tensor(vth) > 0).all()):
        raise SeamountError(f"{type(neuron).__name__}: vth = {torch.as_tensor(vth).tolist()} (allowed > 0).")


def trained(bias: float | Tensor) -> float | Tensor:
    """A bias given as a tensor trains."""
    return nn.Parameter(bias.detach().float()) if isinstance(bias, Tensor) else bias
