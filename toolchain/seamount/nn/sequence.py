r"""A population over time as one differentiable operation: forward by the neuron's own step, backward in closed form.

With `x = v~ - vth`, where `v~` is v before the reset, `f` the surrogate and `r` what the reset takes away:

    u[t]  = alpha u[t-1] + gain a[t]                dL/da[t]  = gain gu[t],   gu[t] = gv~[t] + alpha gu[t+1]
    v~[t] = beta v[t-1] + u[t] + bias               gv~[t]    = gv[t] (1 - s zero) + gs[t] f(x[t]) unit
    s[t]  = v~[t] > vth                             gs[t]     = dL/ds[t] - gv[t] r~[t]        (reset attached)
    v[t]  = v~[t] - s[t] r~[t]                      gv[t]     = dL/dv[t] + beta gv~[t+1]

`r~` is v~ for a reset to zero and `reset_by` for a reset by subtraction; with the reset detached its term in `gs` is
left out (Zenke and Vogels 2021). A float population has `gain = unit = 1`. A quantized one runs the chip's integers
forward: a, u and v are then whole numbers in the chip's units, `gain = 64` and `unit` is the value of one unit of v in
the float network, so that the surrogate sees float values and its gradients are those of the float shadow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.neurons.cuba_lif import fire, float_integrate, int_integrate
from seamount.nn.surrogate import Surrogate


@dataclass(frozen=True)
class Dynamics:
    """What does not carry a gradient.

    Args:
        zero: reset to zero; else by subtraction (of 0 where there is no reset).
        detach_reset: leave the reset out of the backward pass.
        surrogate: None for a readout that does not spike.
        chip: constants of the integer step (`IntCubaLIF.constants()`, as int64 tensors); None runs in float.
        unit: value of one unit of v, float or tensor `[N]`.
        gain: what the input is multiplied with, 1 or 64.
        keep_v: return v after the reset for all steps.
    """

    zero: bool = False
    detach_reset: bool = False
    surrogate: Surrogate | None = None
    chip: tuple | None = None
    unit: float | Tensor = 1.0
    gain: int = 1
    keep_v: bool = False


class Population(torch.autograd.Function):
    """`(a [T, B, N], u0, v0, alpha, beta, bias, vth, reset_by, dynamics) -> (out [T, B, N], v, u[T], v[T])`.

    `out` is spikes, or v for a readout; `v` is empty unless `dynamics.keep_v`. In a quantized population vth, bias and
    reset_by are given dequantized, for the backward pass only.
    """

    @staticmethod
    def forward(ctx, a, u0, v0, alpha, beta, bias, vth, reset_by, dynamics):
        spiking = dynamics.surrogate is not None
        if dynamics.chip is None:
            number, u, v = a.dtype, u0, v0
            constants = (alpha, beta, bias, vth, reset_by, float(dynamics.zero))
            integrate = float_integrate
        else:
            number, u, v = torch.int64, u0.long(), v0.long()
            constants = dynamics.chip
            integrate = int_integrate
        x = a.to(number)
        steps = a.shape[0]
        ru, rv, bias_, *threshold = constants
        before = torch.empty_like(a)
        out = torch.empty_like(a) if spiking else before
        after = torch.empty_like(a) if dynamics.keep_v else a.new_empty(0)
        currents = [u0]
        for t in range(steps):
            u, v = integrate(x[t], u, v, ru, rv, bias_)
            before[t] = v
            if spiking:
                s, v = fire(v, *threshold)
                out[t] = s
            if dynamics.keep_v:
                after[t] = v
            if ctx.needs_input_grad[3]:
                currents.append(u.to(a.dtype))
        u, v = u.to(a.dtype), v.to(a.dtype)
        ctx.dynamics = dynamics
        ctx.save_for_backward(out, before, v0, alpha, beta, bias, vth, reset_by, *currents)
        ctx.mark_non_differentiable(after)
        return out.clone() if out is before else out, after, u, v

    @staticmethod
    def backward(ctx, g_out, _, g_u, g_v):  # type: ignore[override]
        out, before, v0, alpha, beta, bias, vth, reset_by, *currents = ctx.saved_tensors
        dynamics, needs = ctx.dynamics, ctx.needs_input_grad
        spiking, unit = dynamics.surrogate is not None, dynamics.unit
        removed = before if dynamics.zero else reset_by / unit
        slope = dynamics.surrogate(before * unit - vth) * unit if spiking else before
        g_before, g_spike, g_a = torch.empty_like(before), [], torch.empty_like(before)
        kept = torch.empty_like(before) if needs[7] else None
        for t in reversed(range(before.shape[0])):
            if spiking:
                g_s = g_out[t]
                if not dynamics.detach_reset:
                    g_s = g_s - g_v * (before[t] if dynamics.zero else removed)
                if kept is not None:
                    kept[t] = g_v
                g_v = (g_v * (1 - out[t]) if dynamics.zero else g_v) + g_s * slope[t]
                if needs[6]:
                    g_spike.append(g_s * slope[t])
            else:
                g_v = g_v + g_out[t]
            g_before[t] = g_v
            g_u = g_v + g_u
            g_a[t] = g_u
            g_u = alpha * g_u
            g_v = beta * g_v
        after = before - out * removed if spiking else before
        grads = [
            g_a * dynamics.gain if needs[0] else None,
            g_u,
            g_v,
            (g_a * torch.stack(currents[:-1])).sum_to_size(alpha.shape) if needs[3] else None,
            (g_before * torch.cat([v0[None], after[:-1]])).sum_to_size(beta.shape) if needs[4] else None,
            (g_before / unit).sum_to_size(bias.shape) if needs[5] else None,
            -(torch.stack(g_spike) / unit).sum_to_size(vth.shape) if needs[6] else None,
            -(kept * out / unit).sum_to_size(reset_by.shape) if kept is not None and not dynamics.zero else None,
            None,
        ]
        return tuple(grads)
