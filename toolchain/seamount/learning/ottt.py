r"""Online training through time on a chip.

OTTT (Xiao et al. 2022, "Online Training Through Time for Spiking Neural Networks", Eq. 7) is a three-factor rule:

    dW[j, i] = lr a[i] f(v[j]) delta[j],     a[i] = beta a[i] + s[i]

Here delta = target - spike, with target = 1 in every step for the neuron of the sample's label and 0 for the others: a
whole number that each neuron can form by itself. It is the (negative) gradient of a squared error on spikes; it grows
quiet by itself where the right neuron alone fires.

On the chip `f delta` comes from an integer table (`modulator.py`) in two unsigned traces, y1 for delta = 1 and y2 for
delta = -1. The neurons are one step behind the connection (every connection takes a step), so that x1 holds a newer
spike than the modulator belongs to. Products gated by x0 take the impulse of that spike off again, and what remains is
`impulse beta a`, aligned:

    dw = gain (x1 - impulse x0) y1 - gain (x1 - impulse x0) y2

x1 is not cleared between samples: the trace of a sample's end reaches into the beginning of the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seamount.errors import QuantizationError, raise_all
from seamount.fixed_point import ACT_SHIFT, UNITY
from seamount.ir import Graph
from seamount.learning.plasticity import Plasticity
from seamount.learning.rule import EXPONENT, MANTISSA, TRACE_MAX, Product, Rule
from seamount.neurons import IntCubaLIF
from seamount.neurons.leaky import retention_v

CELLS = 64
"""Cells of the surrogate's table, at most."""


@dataclass(frozen=True, kw_only=True)
class OTTT:
    """Online training through time for the last connection of a graph.

    Args:
        lr: rate, in units of the chip's weight (LSB) per unit of a f delta, with f at most 1.
        width: half-width of the triangular surrogate `f = max(floor, 1 - |v - vth| / (width vth))`, in thresholds.
        floor: f far from the threshold, 0..1; above 0, a neuron that never comes near it still learns.
        beta: retention of the trace; default that of the neurons' v, (4096 - dv) / 4096.
        seed: of the rounding of traces.

    Raises:
        QuantizationError: a parameter is outside its range.

    Example:
        >>> rule = OTTT(lr=0.25)
        >>> rule.width, rule.floor
        (1.5, 0.1)
    """

    lr: float
    width: float = 1.5
    floor: float = 0.1
    beta: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "lr": (0 < self.lr < math.inf, self.lr, "above 0"),
            "width": (0 < self.width < math.inf, self.width, "above 0"),
            "floor": (0 <= self.floor <= 1, self.floor, "0..1"),
            "beta": (self.beta is None or 0 < self.beta < 1, self.beta, "between 0 and 1"),
            "seed": (self.seed >= 0, self.seed, "0 or more"),
        }
        wrong = [
            f"OTTT: {name} = {value} (allowed: {range_})." for name, (ok, value, range_) in checks.items() if not ok
        ]
        raise_all(QuantizationError, wrong)

    def plasticity(self, graph: Graph, connection: str) -> Plasticity:
        """Return the chip's form of the rule for a connection that `plasticity_of` has accepted.

        Raises:
            QuantizationError: the rate or the retention has no form on the chip; names the connection.
        """
        post = graph.target(graph[connection])  # type: ignore[arg-type]
        assert isinstance(post, IntCubaLIF)
        own = retention_v(post.dv) / UNITY
        beta = self._beta(connection, own)
        impulse = _impulse(connection, beta)
        peak, up, align = self._gains(connection, impulse, beta)
        rule = Rule(
            tuple(
                Product(sign * mantissa, exponent, dependency, factors)
                for sign, y in ((1, "y1"), (-1, "y2"))
                for mantissa, exponent, dependency, factors in ((*up, "u0", ("x1", y)), (*align, "x0", (y,)))
            ),
            x1_impulse=impulse,
            x1_tau=-1 / math.log(beta),
            seed=self.seed,
        )
        vth = int(np.mean(post.vth)) << ACT_SHIFT
        if vth == 0:
            raise QuantizationError(f"{post.name}: vth = 0; the surrogate's width is given in thresholds.")
        table, shift, low = self._table(peak, vth)
        rate = peak * rule.products[0].gain * impulse * beta
        report = {
            "rule": str(rule),
            "rate asked": self.lr,
            "rate": rate,
            "beta of the neurons": float(np.mean(own)),
            "beta": beta,
            "beta overridden": self.beta is not None and bool(np.any(own != self.beta)),
            "trace impulse": impulse,
            "trace bound": _bound(impulse, beta),
            "trace limit": TRACE_MAX,
            "surrogate peak": peak,
            "surrogate floor": int(table[0]),
            "surrogate cells": len(table),
            "surrogate cell, in thresholds": 2.0**shift / vth,
            "largest update, in LSB": peak * rule.products[0].gain * _bound(impulse, beta),
            "ignored": "the memory of u" if bool(np.any(post.du < UNITY - 1)) else "",
        }
        return Plasticity(
            connection=connection, population=post.name, rule=rule, table=table, shift=shift, low=low, report=report
        )

    def _beta(self, connection: str, own: np.ndarray) -> float:
        if self.beta is not None:
            return self.beta
        if own.min() != own.max():
            raise QuantizationError(
                f"{connection}: its neurons retain {own.min():.4f}..{own.max():.4f} of v, but x1 has one decay. "
                "Hint: OTTT(beta=...)."
            )
        return float(own.min())

    def _gains(self, connection: str, impulse: int, beta: float) -> tuple[int, tuple[int, int], tuple[int, int]]:
        """The largest peak of the table (the finest steps of f) whose rate is met, and its two products.

        Returns:
            `(peak, (mantissa, exponent) of x1 y, (mantissa, exponent) of -x0 y)`; the second product is exactly
            `impulse` times the first.
        """
        found, lowest, highest = [], math.inf, 0.0
        for exponent in range(EXPONENT[0], EXPONENT[1] + 1):
            for mantissa in range(1, MANTISSA[1] + 1):
                gain = Product(mantissa, exponent, "u0", ("x1", "y1")).gain
                align = _as_scale(impulse * gain)
                if align is None:
                    continue
                unit = gain * impulse * beta
                lowest, highest = min(lowest, unit), max(highest, TRACE_MAX * unit)
                if 1 <= (peak := round(self.lr / unit)) <= TRACE_MAX:
                    found.append((peak, mantissa, exponent, (-align[0], align[1])))
        if not found:
            raise QuantizationError(
                f"{connection}: lr = {self.lr} (allowed {lowest:.3g}..{highest:.3g} at beta = {beta})."
            )
        peak, mantissa, exponent, align = max(found)
        return peak, (mantissa, exponent), align

    def _table(self, peak: int, vth: int) -> tuple[np.ndarray, int, int]:
        """`(table, shift, low)` of the surrogate; only `+ - * /` and rounding, the same on every machine."""
        reach = self.width * vth
        shift = max(0, math.ceil(math.log2(2 * reach / CELLS)))
        cells = (int(reach) >> shift) + 2
        middles = (np.arange(-cells, cells) + 0.5) * 2.0**shift
        f = np.maximum(self.floor, 1 - np.abs(middles) / reach)
        # However small the peak, a floor above 0 must not round to a neuron that stops learning.
        return np.maximum(np.floor(peak * f + 0.5), self.floor > 0).astype(np.int64), shift, -cells


def _impulse(connection: str, beta: float) -> int:
    """The largest impulse with which x1 never saturates and that a product of the chip can take off exactly."""
    for impulse in range(TRACE_MAX, 0, -1):
        if _as_scale(float(impulse)) is not None and _bound(impulse, beta) <= TRACE_MAX:
            return impulse
    limit = 1 - 1 / TRACE_MAX
    raise QuantizationError(f"{connection}: beta = {beta} is too near 1 for a trace of 7 bits (limit {limit:.3f}).")


def _bound(impulse: int, beta: float) -> int:
    """The largest x1 that spikes in every step and the worst rounding lead to; 128 for anything above 127."""
    x = 0
    while x <= TRACE_MAX and (higher := math.ceil(beta * x) + impulse) > x:
        x = higher
    return min(x, TRACE_MAX + 1)


def _as_scale(value: float) -> tuple[int, int] | None:
    """`(mantissa, exponent)` with `mantissa 2^exponent == value`, or None where the chip has none."""
    for exponent in range(EXPONENT[1], EXPONENT[0] - 1, -1):
        mantissa = value / 2.0**exponent
        if mantissa == int(mantissa) and 1 <= mantissa <= MANTISSA[1]:
            return int(mantissa), exponent
    return None
