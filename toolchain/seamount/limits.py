"""What a target's integers can hold, and the one check of a graph against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seamount.fixed_point import ACT_SHIFT, U_BOUND, U_LIMIT, UNITY, V_MAX
from seamount.ir import Connection, Graph, IntConnection, Node, Population
from seamount.neurons.leaky import retention_u


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
    def rotation(self) -> tuple[int, int]:
        """Allowed parts of a resonator's retention, which is complex."""
        return -self.decay[1], self.decay[1]

    @property
    def bias(self) -> int:
        """Largest magnitude of a bias, in units of v."""
        return self.bias_mant[1] << self.bias_exp[1]


@dataclass(frozen=True)
class Use:
    """What a node uses of one limit, and what is allowed; all bounds are inclusive."""

    node: str
    what: str
    low: int
    high: int
    allowed: tuple[int, int]
    hint: str = ""

    @property
    def fits(self) -> bool:
        return self.allowed[0] <= self.low and self.high <= self.allowed[1]

    @property
    def used(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}..{self.high}"

    @property
    def share(self) -> float:
        """Used part of the range, on the side that is nearer its end; above 1 where it does not fit."""
        sides = ((self.high, self.allowed[1]), (-self.low, -self.allowed[0]))
        return max(0.0 if used <= 0 else used / limit if limit > 0 else float("inf") for used, limit in sides)

    def __str__(self) -> str:
        return f"{self.node}: {self.what} = {self.used} (allowed {self.allowed[0]}..{self.allowed[1]}).{self.hint}"


def usage(graph: Graph, limits: Limits) -> list[Use]:
    """What an integer graph uses of each limit, node by node: what the check and every report show."""
    found = []
    for node in graph.connections:
        if isinstance(node, IntConnection):
            found += [_use(node, "weight", limits.weight), _use(node, "weight_exp", limits.weight_exp)]
        found.append(_use(node, "delay", (0, limits.delay)))
    for node in graph.populations:
        for field, allowed in (
            ("vth", limits.vth), ("du", limits.decay), ("dv", limits.decay), ("dw", limits.decay), ("jump", (0, V_MAX)),
            ("bias_mant", limits.bias_mant), ("bias_exp", limits.bias_exp), ("reset_by", (0, V_MAX)),
            ("re", limits.rotation), ("im", limits.rotation),
        ):  # fmt: skip
            if hasattr(node, field):
                found.append(_use(node, field, allowed))
        found.append(_current(graph, node))
    if limits.neurons is not None:
        total = sum(node.size for node in graph.populations)
        found.append(Use(graph.name, "neurons", total, total, (0, limits.neurons)))
    return found


def violations(graph: Graph, limits: Limits) -> list[str]:
    """Everything in an integer graph that is outside the limits: `node: what = used (allowed a..b).`"""
    found = [str(use) for use in usage(graph, limits) if not use.fits]
    for node in graph.connections:
        odd = int(np.count_nonzero(node.weight % limits.weight_step))
        if odd:
            found.append(f"{node.name}: {odd} weights are not multiples of {limits.weight_step}.")
    for node in graph.populations:
        reset = getattr(node, "reset", None)
        if reset is not None and reset not in limits.resets:
            found.append(f"{node.name}: reset {reset!r} (allowed: {', '.join(limits.resets)}).")
    return found


def largest_sum(graph: Graph, node: Connection) -> int:
    """Largest possible `|a|` of an integer connection, before its exponent."""
    return node.largest_sum(getattr(graph.source(node), "bound", 1))


def _current(graph: Graph, node: Population) -> Use:
    """u is wrapped once: what could leave 24 bits after that does not fit. What no `du` decays is input alone."""
    total = 0
    for connection in graph.incoming(node):
        assert isinstance(connection, IntConnection)
        total += (largest_sum(graph, connection) << 16 << connection.weight_exp + 16 >> 32) + 1
    du = getattr(node, "du", UNITY - 1)
    retained = U_LIMIT * int(np.max(retention_u(du))) // UNITY
    bound = retained + (total << ACT_SHIFT)
    return Use(node.name, "bound on |u|", bound, bound, (0, U_BOUND), " Hint: lower weight_exp, as u is wrapped once.")


def _use(node: Node, field: str, allowed: tuple[int, int]) -> Use:
    values = np.asarray(getattr(node, field))
    return Use(node.name, field, int(values.min()), int(values.max()), allowed)
