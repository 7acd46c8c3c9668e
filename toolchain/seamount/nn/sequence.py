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

On the CPU both directions are fused kernels (`kernels.py`); elsewhere they are the loops below, their definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.neurons.cuba_lif import fire, float_integrate, int_integrate
from seamount.nn import kernels
from seamount.nn.surrogate import Surrogate


@dataclass(frozen=True)
class Dynamics:
    """What does not carry a gradient.

    Args:
        zero: reset to zero; else by subtraction (of 0 where there is no reset).
        detach_reset: leave the reset out of the backward pass.
        surrogate: None for a readout that does not spike.
        chip: constants of the integer step (`constants()` of the node, as int64 tensors); None runs in float.
        unit: value of one unit of v, float or tensor `[N]`.
        gain: what the input is multiplied with, 1 or 64.
        keep_v: return v after the reset for all steps.
        fused: use the kernels where the tensors are on the CPU.
    """

    zero: bool = False
    detach_reset: bool = False
    surrogate: Surrogate | None = None
    chip: tuple[Tensor, ...] | None = None
    unit: float | Tensor = 1.0
    gain: int = 1
    keep_v: bool = False
    fused: bool = True


class Population(torch.autograd.Function):
    """`(a [T, B, N], u0, v0, alpha, beta, bias, vth, reset_by, dynamics) -> (out [T, B, N], v, u[T], v[T])`.

    `out` is spikes, or v for a readout; `v` is empty unless `dynamics.keep_v`. In a quantized population vth, bias and
    reset_by are given dequantized, for the backward pass only.
    """

    @staticmethod
    def forward(ctx, a, u0, v0, alpha, beta, bias, vth, reset_by, dynamics):
        spiking, chip = dynamics.surrogate is not None, dynamics.chip is not None
        number = torch.int64 if chip else a.dtype
        if chip:
            constants = dynamics.chip
        else:
            zero = torch.tensor(float(dynamics.zero))
            constants = (alpha, beta, bias, vth, reset_by * (1 - zero), zero)
        if not spiking:
            # a threshold that v never reaches, and no reset
            never = 1 << 40 if chip else float("inf")
            constants = (*constants[:3], torch.tensor(never), torch.tensor(0), torch.tensor(0))
        run = kernels.forward if dynamics.fused and a.device.type == "cpu" else loop_forward
        constants = [c.to(a.device, number).expand(a.shape[2:]).contiguous() for c in constants]
        arguments = (_rows(a, 2), _rows(u0, 1), _rows(v0, 1), [c.flatten() for c in constants])
        results = run(*arguments, chip, dynamics.keep_v, ctx.needs_input_grad[3])
        out, before, after, currents, u, v = (
            r.reshape(*r.shape[:-1], *a.shape[2:]) if r.numel() else r.new_empty(0) for r in results
        )
        ctx.dynamics = dynamics
        ctx.save_for_backward(out, before, v0, alpha, beta, bias, vth, reset_by, currents)
        ctx.mark_non_differentiable(after)
        return out if spiking else before.clone(), after, u, v

    @staticmethod
    def backward(ctx, g_out, _, g_u, g_v):  # type: ignore[override]
        out, before, v0, alpha, beta, bias, vth, reset_by, currents = ctx.saved_tensors
        dynamics, needs = ctx.dynamics, ctx.needs_input_grad
        spiking, unit = dynamics.surrogate is not None, dynamics.unit
        # for a readout, out is v itself: a slope of 1 and no reset
        slope = dynamics.surrogate(before * unit - vth) * unit if spiking else torch.ones_like(before)
        removed = torch.zeros_like(vth) if dynamics.zero or not spiking else reset_by / unit
        run = kernels.backward if dynamics.fused and before.device.type == "cpu" else loop_backward
        constants = [c.to(before.dtype).expand(before.shape[2:]).flatten() for c in (alpha, beta, removed)]
        traces = [_rows(g_out, 2), _rows(g_u, 1), _rows(g_v, 1), *(_rows(r, 2) for r in (out, before, slope))]
        results = run(*traces, *constants, dynamics.zero and spiking, spiking and not dynamics.detach_reset)  # type: ignore[call-arg]
        g_a, g_before, kept, g_u, g_v = (r.reshape(*r.shape[:-1], *before.shape[2:]) for r in results)
        grads = [g_a * dynamics.gain if needs[0] else None, g_u, g_v, *[None] * 6]
        if needs[3]:
            grads[3] = (g_a * currents).sum_to_size(alpha.shape)
        if needs[4]:
            after = before - out * (before * dynamics.zero + removed)
            grads[4] = (g_before * torch.cat([v0[None], after[:-1]])).sum_to_size(beta.shape)
        if needs[5]:
            grads[5] = (g_before / unit).sum_to_size(bias.shape)
        if spiking and needs[6]:
            # gv~ = gv (1 - s zero) + gs f(x) unit, and dx / dvth = -1
            g_spike = g_before - kept * (1 - out * dynamics.zero)
            grads[6] = -(g_spike / unit).sum_to_size(vth.shape)
        if spiking and needs[7] and not dynamics.zero:
            grads[7] = -(kept * out / unit).sum_to_size(reset_by.shape)
        return tuple(grads)


def loop_forward(a: Tensor, u: Tensor, v: Tensor, constants: list[Tensor], chip: bool, keep_v: bool, keep_u: bool):
    """Run a population step by step; arguments and results as `kernels.forward`."""
    integrate = int_integrate if chip else float_integrate
    number = torch.int64 if chip else a.dtype
    u, v, x = u.to(number), v.to(number), a.to(number)
    out, before = torch.empty_like(a), torch.empty_like(a)
    after, currents = (torch.empty_like(a) if keep else a.new_empty(0, 0, 0) for keep in (keep_v, keep_u))
    for t in range(len(a)):
        if keep_u:
            currents[t] = u
        u, v = integrate(x[t], u, v, *constants[:3])
        before[t] = v
        out[t], v = fire(v, *constants[3:])
        if keep_v:
            after[t] = v
    return out, before, after, currents, u.to(a.dtype), v.to(a.dtype)


def loop_backward(
    g_out: Tensor, g_u: Tensor, g_v: Tensor, out: Tensor, before: Tensor, slope: Tensor, alpha: Tensor, beta: Tensor,
    removed: Tensor, zero: bool, attached: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients through time, step by step; arguments and results as `kernels.backward`."""
    g_a, g_before, kept = (torch.empty_like(before) for _ in range(3))
    for t in reversed(range(len(before))):
        kept[t] = g_v
        g_s = g_out[t] - attached * g_v * (zero * before[t] + removed)
        g_v = g_v - g_v * zero * out[t] + g_s * slope[t]
        g_u = g_v + g_u
        g_before[t], g_a[t] = g_v, g_u
        g_u, g_v = alpha * g_u, beta * g_v
    return g_a, g_before, kept, g_u, g_v


def _rows(x: Tensor, leading: int) -> Tensor:
    """`[T, B, ...]` as `[T, B, N]`, or `[B, ...]` as `[B, N]`, contiguous."""
    return x.reshape(*x.shape[:leading], -1).contiguous()
