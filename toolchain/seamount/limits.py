"""What a target's integers can hold, and the one check of a graph against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seamount.fixed_point import ACT_SHIFT, U_BOUND, U_LIMIT, UNITY, V_MAX
from seamount.ir import Graph, IntLinear, Population
from seamount.neurons.cuba_lif import retention_u


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ranges of integer parameters; every bound is inclusive. Defaults are the 24-bit compartment of Lava and Loihi.

    Args:
        weight: allowed weights; `weight_step` 2 allows only even ones (Loihi's MIXED sign mode).
        weight_exp: allowed shifts of the synaptic sum.
        vth: allowed threshold mantissas.
        decay: allowed `du`, `dv`.
        bias_mant, bias_exp: allowed bias mantissas and exponents.
        delay: largest delay of a connection, in steps.
        resets: resets the target has.
        neurons: largest number of neurons in the whole graph; None for no limit.
    """

    weight: tuple[int, int] = (-256, 254)
    weight_step: int = 2
    weight_exp: tuple[int, int] = (-8, 7)
    vth: tuple[int, int] = (0, (1 << 17) - 1)
    decay: tuple[int, int] = (0, UNITY - 1)
    bias_mant: tuple[int, int] = (-(1 << 12), (1 << 12) - 1)
    bias_exp: tuple[int, int] = (0, 7)
    delay: int = 62
    resets: tuple[str, ...] = ("zero", "subtract", "none")
    neurons: int | None = None

    @property
    def bias(self) -> int:
        """Largest magnitude of a bias, in units of v."""
        return self.bias_mant[1] << self.bias_exp[1]


def violations(graph: Graph, limits: Limits) -> list[str]:
    """Every parameter of an integer graph outside the limits: `node: what = used (allowed a..b).`"""
    found = []
    for node in graph.connections:
        if isinstance(node, IntLinear):
            found += _outside(node.name, "weight", node.weight, limits.weight)
            found += _outside(node.name, "weight_exp", np.asarray(node.weight_exp), limits.weight_exp)
            odd = int(np.count_nonzero(node.weight % limits.weight_step))
            if odd:
                found.append(f"{node.name}: {odd} weights are not multiples of {limits.weight_step}.")
        found += _outside(node.name, "delay", np.asarray(node.delay), (0, limits.delay))
    for node in graph.populations:
        for field, allowed in (
            ("vth", limits.vth), ("du", limits.decay), ("dv", limits.decay),
            ("bias_mant", limits.bias_mant), ("bias_exp", limits.bias_exp), ("reset_by", (0, V_MAX)),
        ):  # fmt: skip
            if hasattr(node, field):
                found += _outside(node.name, field, np.asarray(getattr(node, field)), allowed)
        reset = getattr(node, "reset", None)
        if reset is not None and reset not in limits.resets:
            found.append(f"{node.name}: reset {reset!r} (allowed: {', '.join(limits.resets)}).")
        if hasattr(node, "du"):
            found += _current(graph, node)
    total = sum(node.size for node in graph.populations)
    if limits.neurons is not None and total > limits.neurons:
        found.append(f"{graph.name}: neurons (used {total}, limit {limits.neurons}).")
    return found


def largest_sum(graph: Graph, node: IntLinear) -> int:
    """Largest possible `|weight @ s|` of a connection, before its exponent."""
    return int(np.abs(node.weight).sum(axis=1).max()) * getattr(graph.source(node), "bound", 1)


def _current(graph: Graph, node: Population) -> list[str]:
    """u is wrapped once: refuse what could leave 24 bits after that."""
    total = 0
    for connection in graph.incoming(node):
        assert isinstance(connection, IntLinear)
        total += (largest_sum(graph, connection) << 16 << connection.weight_exp + 16 >> 32) + 1
    retained = U_LIMIT * int(np.max(retention_u(node.du))) // UNITY  # type: ignore[attr-defined]
    bound = retained + (total << ACT_SHIFT)
    if bound <= U_BOUND:
        return []
    return [f"{node.name}: |u| could reach {bound} (limit {U_BOUND}, as u is wrapped once). Hint: lower weight_exp."]


def _outside(node: str, what: str, values: np.ndarray, allowed: tuple[int, int]) -> list[str]:
    low, high = int(values.min()), int(values.max())
    if allowed[0] <= low and high <= allowed[1]:
        return []
    used = f"{low}" if low == high else f"{low}..{high}"
    return [f"{node}: {what} = {used} (allowed {allowed[0]}..{allowed[1]})."]
