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

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.nn import kernels
from seamount.nn.kernels import Loop, Spec


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
        shape, kept = a.shape[2:], [] if keep is None else [keep]
        out, before, last = kernels.forward(
            spec,
            _rows(a, 2),
            [_rows(s, 1) for s in states],
            _columns(constants, shape, a.dtype),
            _columns(chip.constants, shape, torch.int64) if chip else [],
            kept,
            loop,
        )
        after = a.new_empty(0)
        if keep is not None:
            after = torch.cat([before[0][1:], last[keep][None]]).reshape(a.shape)
        ctx.spec, ctx.chip, ctx.loop = spec, chip, None if loop is None else loop.before
        # A population that hears itself cannot be run again without its products.
        a, sent = (a, None) if loop is None else (loop.heard, out)
        ctx.save_for_backward(a, sent, weight, *tensors)
        ctx.mark_non_differentiable(after)
        return out.reshape(a.shape), after, *(s.reshape(a.shape[1:]) for s in last)

    @staticmethod
    def backward(ctx, g_out: Tensor, _, *g_states: Tensor):  # type: ignore[override]
        spec, chip = ctx.spec, ctx.chip
        a, sent, weight, *tensors = ctx.saved_tensors
        states, constants = tensors[: spec.states], tensors[spec.states :]
        shape, rows = a.shape[2:], _rows(a, 2)
        unit = chip.unit if chip else torch.ones(())
        gain = chip.gain if chip else 1
        units = _columns([unit * gain, unit], shape, a.dtype)
        g = _rows(g_out, 2)
        if chip and chip.output is not None:
            g = g / _columns([chip.output], shape, a.dtype)[0]
        g_a, g_first, g_constants = kernels.backward(
            spec, g, [_rows(h, 1) / units[1] for h in g_states], rows, [_rows(s, 1) for s in states],
            _columns(constants, shape, a.dtype), _columns(chip.constants, shape, torch.int64) if chip else [],
            units[0], units[1], weight,
        )  # fmt: skip
        g_weight = None
        if weight is not None:
            g_weight = g_a[0].t() @ ctx.loop + g_a[1:].flatten(0, 1).t() @ sent[:-1].flatten(0, 1)
        wanted = {f"c{k}": value for k, value in zip(spec.wanted, g_constants, strict=True)}
        return (
            None, None, None, None, g_a.reshape(a.shape), g_weight,
            *((h * units[1]).reshape(a.shape[1:]) for h in g_first),
            *(wanted[n].reshape(a.shape[1:]).sum_to_size(c.shape) if n in wanted else None
              for n, c in zip(spec.free, constants, strict=True)),
        )  # fmt: skip


def _rows(x: Tensor, leading: int) -> Tensor:
    """`[T, B, ...]` as `[T, B, N]`, or `[B, ...]` as `[B, N]`, contiguous."""
    return x.reshape(*x.shape[:leading], -1).contiguous()


def _columns(constants: Sequence[Tensor], shape: torch.Size, dtype: torch.dtype) -> list[Tensor]:
    """Constants as `[N]`, contiguous."""
    return [c.to(dtype).expand(shape).reshape(-1).contiguous() for c in constants]
