r"""A population over time as one differentiable operation.

Forward, the neuron's own step runs; backward, what `trace.py` derived from its float step, with the surrogate in the
place of the spike's derivative:

    out[t], y[t] = step(a[t], y[t-1], c)
    g_a[t], g_y[t-1], g_c += derivatives of step, from dL/dout[t] and g_y[t]

With the reset detached, what a spike does to the state is left out of the derivatives (Zenke and Vogels 2021).

A quantized population runs the chip's integers forward: a and the state are whole numbers in the chip's units, and the
constants of the float step, dequantized, serve the backward pass. Its derivatives are those of the float shadow, a
float step on `unit y` and `unit gain a`, at the spikes that the integers sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.nn import kernels
from seamount.nn.spec import Loop, Spec


@dataclass(frozen=True)
class Chip:
    """What a quantized population runs.

    Args:
        constants: of the integer step, int64 `[...]`, broadcasting to a neuron's shape.
        unit: value of one unit of the state in the float network.
        gain: what the input is multiplied with on its way into the state.
        output: value of one unit of a readout's or graded output, by which the caller multiplies it; None for spikes.
    """

    constants: tuple[Tensor, ...]
    unit: Tensor
    gain: int
    output: Tensor | None


class Population(torch.autograd.Function):
    """`(spec, chip, loop, keep, a [T, B, ...], weight, *state [B, ...], *constants) -> (out, kept, *state)`.

    `out` is `[T, B, ...]`. `loop` and its weight, which is given once more so that it gets a gradient, are those of a
    recurrent population, else None.

    `keep` is the number of a state variable to return after every step, `[T, B, ...]`, or None for an empty `kept`; it
    carries no gradient. Constants are those that `spec` does not fix.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx, spec: Spec, chip: Chip | None, loop: Loop | None, keep: int | None, a: Tensor, weight: Tensor | None,
        *tensors: Tensor,
    ):  # fmt: skip
        states, constants = tensors[: spec.states], tensors[spec.states :]
        lies, kept = _Layout(a), [] if keep is None else [keep]
        out, before, last = kernels.forward(
            spec,
            lies.rows(a),
            [lies.rows(s) for s in states],
            [lies.column(c, a.dtype) for c in constants],
            [lies.column(c, torch.int64) for c in chip.constants] if chip else [],
            kept,
            loop,
        )
        after = a.new_empty(0)
        if keep is not None:
            after = lies.back(torch.cat([before[0][1:], last[keep][None]]))
        ctx.spec, ctx.chip, ctx.loop = spec, chip, None if loop is None else loop.before
        # A population that hears itself cannot be run again without its products.
        a, sent = (a, None) if loop is None else (loop.heard, out)
        ctx.save_for_backward(a, sent, weight, *tensors)
        ctx.mark_non_differentiable(after)
        return lies.back(out), after, *(lies.back(s) for s in last)

    @staticmethod
    def backward(ctx, g_out: Tensor, _, *g_states: Tensor):  # type: ignore[override]
        spec, chip = ctx.spec, ctx.chip
        a, sent, weight, *tensors = ctx.saved_tensors
        states, constants = tensors[: spec.states], tensors[spec.states :]
        lies = _Layout(a)
        unit = chip.unit if chip else torch.ones(())
        gain = chip.gain if chip else 1
        a_unit, v_unit = lies.column(unit * gain, a.dtype), lies.column(unit, a.dtype)
        g = lies.rows(g_out)
        if chip and chip.output is not None:
            g = g / lies.column(chip.output, a.dtype)
        g_a, g_first, g_constants = kernels.backward(
            spec, g, [lies.rows(h) / v_unit for h in g_states], lies.rows(a), [lies.rows(s) for s in states],
            [lies.column(c, a.dtype) for c in constants],
            [lies.column(c, torch.int64) for c in chip.constants] if chip else [],
            a_unit, v_unit, weight,
        )  # fmt: skip
        g_weight = None
        if weight is not None:
            g_weight = g_a[0].t() @ ctx.loop + g_a[1:].flatten(0, 1).t() @ sent[:-1].flatten(0, 1)
        wanted = {f"c{k}": value for k, value in zip(spec.wanted, g_constants, strict=True)}
        return (
            None, None, None, None, lies.back(g_a), g_weight,
            *(lies.back(h * v_unit) for h in g_first),
            *(lies.back(wanted[n]).sum_to_size(c.shape) if n in wanted else None
              for n, c in zip(spec.free, constants, strict=True)),
        )  # fmt: skip


class _Layout:
    """How a sequence `[T, B, ...]` lies in memory: what a neuron's place is, in the order of the strides.

    Populations see their neurons in a row, `[N]`. In this order a convolution's output is one already, whether channels
    come first or last.
    """

    def __init__(self, a: Tensor) -> None:
        self.shape, self.device = a.shape[2:], a.device
        self.order = sorted(range(len(self.shape)), key=lambda d: -a.stride(2 + d))

    def rows(self, x: Tensor) -> Tensor:
        """`[T, B, ...]` as `[T, B, N]`, or `[B, ...]` as `[B, N]`, contiguous."""
        leading = x.ndim - len(self.order)
        x = x.permute(*range(leading), *(leading + d for d in self.order))
        return x.reshape(*x.shape[:leading], -1).contiguous()

    def column(self, constant: Tensor, dtype: torch.dtype) -> Tensor:
        """What broadcasts to `[...]` as `[N]`, contiguous, on the device of the sequence."""
        return self.rows(constant.to(self.device, dtype).expand(self.shape))

    def back(self, x: Tensor) -> Tensor:
        """What `rows` gives as it was, a view."""
        leading = x.ndim - 1
        x = x.reshape(*x.shape[:leading], *(self.shape[d] for d in self.order))
        return x.permute(*range(leading), *(leading + self.order.index(d) for d in range(len(self.order))))
