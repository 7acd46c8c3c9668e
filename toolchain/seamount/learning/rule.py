r"""A chip's learning rule as data: a sum of products, its limits and its text.

Per step and synapse, in the fixed-point arithmetic of Lava 0.10's learning engine (`learning_rule_applier.py` and
`connection.py` of lava/magma/core; Loihi's engine, Davies et al. 2018, has the same form):

    acc = w << 7
    for each product:   acc = clip15( acc + clip15( (d m prod(factors) >> right) << left ) )
    w   = clip( floor(acc / 128) + (draw < acc mod 128), -256, 255 )              stochastic rounding, draw in 0..127
    right = max(0, 4 + sum of factor widths - 15),   left = exponent + 7,   clip15 to [-2^15 - 1, 2^15 - 1]

with `d` the dependency (x0: 1 where the source fires in this step; u0: always 1), `m` the mantissa, and traces of
7 bits: x1, which each spike of the source raises by the impulse and each step multiplies by exp(-1 / tau), rounded at
random; y1 and y2, which the post-synaptic neuron sends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from seamount.errors import ResourceError, raise_all

TRACE_MAX = 127
"""Traces have 7 bits, unsigned."""
ACCUMULATOR_BITS = 15
"""Products are brought to this width before their exponent, and clipped to it after."""
WEIGHT_SHIFT = 7
"""The accumulator holds weights with this many fractional bits."""
WEIGHT_RANGE = (-256, 255)
"""Learned weights; odd ones too, although only even ones can be loaded."""
MANTISSA, EXPONENT = (-7, 7), (-7, 8)
"""Allowed mantissas and exponents of a product, inclusive. Lava turns -8 into -4 times 2, which rounds otherwise."""
DEPENDENCIES = ("x0", "u0")
"""A y0 product is not offered: it needs back-propagating spikes, which in Lava clip y1 and y2 at the same time."""
WIDTH = {"x1": 7, "y1": 7, "y2": 7}
"""Factors and their width in bits."""
MOST_FACTORS = 3
"""Beyond this, Lava's 32-bit product overflows before it is shifted back."""
Y_TAU = 65535.0
"""Lava lets y1 and y2 decay with this constant before they are used, rounded at random like x1."""
_MANTISSA_BITS = 4


@dataclass(frozen=True)
class Product:
    """One product, `mantissa 2^exponent d factor_1 factor_2 ...`.

    Args:
        mantissa: -7..7.
        exponent: -7..8.
        dependency: `"x0"` or `"u0"`.
        factors: 1 to 3 of `"x1"`, `"y1"`, `"y2"`.
    """

    mantissa: int
    exponent: int
    dependency: str
    factors: tuple[str, ...]

    @property
    def right(self) -> int:
        """Shift that brings the product back to 15 bits."""
        return max(0, _MANTISSA_BITS + sum(WIDTH[f] for f in self.factors) - ACCUMULATOR_BITS)

    @property
    def left(self) -> int:
        """Shift of the exponent, into the accumulator."""
        return self.exponent + WEIGHT_SHIFT

    @property
    def gain(self) -> float:
        """Units of weight that the product of its factors is worth: `mantissa 2^(exponent - right)`."""
        return self.mantissa * 2.0 ** (self.exponent - self.right)

    def __str__(self) -> str:
        """The product in Lava's grammar, with the sign of its mantissa."""
        size = "" if abs(self.mantissa) == 1 else f"{abs(self.mantissa)}*"
        sign = "-" if self.mantissa < 0 else ""
        return f"{sign}{size}2^{self.exponent}*" + "*".join((self.dependency, *self.factors))

    def problems(self) -> list[str]:
        """What of it the chip does not have."""
        found = []
        for what, value, (low, high) in (
            ("mantissa", self.mantissa, MANTISSA),
            ("exponent", self.exponent, EXPONENT),
            ("number of factors", len(self.factors), (1, MOST_FACTORS)),
        ):
            if not low <= value <= high:
                found.append(f"rule: {what} = {value} (allowed {low}..{high}) in {self}.")
        if self.mantissa == 0:
            found.append(f"rule: mantissa = 0 in {self}. Hint: leave the product out.")
        if self.dependency not in DEPENDENCIES:
            found.append(f"rule: dependency {self.dependency!r} (allowed: {', '.join(DEPENDENCIES)}).")
        if unknown := [f for f in self.factors if f not in WIDTH]:
            found.append(f"rule: factors {', '.join(unknown)} (allowed: {', '.join(WIDTH)}).")
        return found


@dataclass(frozen=True)
class Rule:
    """A learning rule `dw = sum of products`, with its trace of the source's spikes.

    Args:
        products: applied in this order.
        x1_impulse: what a spike adds to x1, 1..127.
        x1_tau: time constant of x1, in steps, above 0.
        seed: of the rounding of traces, 0 or more.

    Raises:
        ResourceError: with everything that the chip does not have.

    Example:
        >>> products = Product(1, -7, "u0", ("x1", "y1")), Product(-1, -4, "x0", ("y1",))
        >>> print(Rule(products, x1_impulse=64, x1_tau=1.44))
        2^-7*u0*x1*y1 - 2^-4*x0*y1
    """

    products: tuple[Product, ...]
    x1_impulse: int
    x1_tau: float
    seed: int = 0

    def __post_init__(self) -> None:
        found = [] if self.products else ["rule: has no products."]
        for product in self.products:
            found += product.problems()
        if not 1 <= self.x1_impulse <= TRACE_MAX:
            found.append(f"rule: x1_impulse = {self.x1_impulse} (allowed 1..{TRACE_MAX}).")
        if not (0 < self.x1_tau < math.inf):
            found.append(f"rule: x1_tau = {self.x1_tau} (allowed: above 0, finite).")
        if self.seed < 0:
            found.append(f"rule: seed = {self.seed} (allowed: 0 or more).")
        raise_all(ResourceError, found)

    def __str__(self) -> str:
        """The `dw` of Lava's learning rules."""
        first, *others = map(str, self.products)
        return first + "".join(f" - {p[1:]}" if p.startswith("-") else f" + {p}" for p in others)

    @property
    def retention(self) -> float:
        """What x1 keeps from step to step."""
        return math.exp(-1 / self.x1_tau)
