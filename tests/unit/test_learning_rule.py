"""A rule as data: its limits, its text, and that Lava reads the text as the same products."""

import math

import numpy as np
import pytest

from seamount.errors import ResourceError
from seamount.learning import Product, Rule


def rule(*products, impulse=12, tau=9.5, seed=0):
    return Rule(products, x1_impulse=impulse, x1_tau=tau, seed=seed)


def test_text_is_a_sum_in_lavas_grammar():
    text = str(rule(Product(-3, -7, "x0", ("y1",)), Product(1, 0, "u0", ("x1", "y2")), Product(-1, 2, "x0", ("y2",))))
    assert text == "-3*2^-7*x0*y1 + 2^0*u0*x1*y2 - 2^2*x0*y2"


def test_gain_follows_the_accumulator():
    """Two traces of 7 bits and a mantissa of 4 are 3 bits more than the accumulator has; one trace is not."""
    assert Product(1, -7, "u0", ("x1", "y1")).gain == 2.0**-10
    assert Product(-3, -4, "x0", ("y1",)).gain == -3 * 2.0**-4
    assert Product(1, 0, "u0", ("x1", "x1", "y1")).right == 10


@pytest.mark.parametrize(
    ("product", "message"),
    [
        (Product(8, 0, "u0", ("y1",)), r"rule: mantissa = 8 \(allowed -7..7\)"),
        (Product(-8, 0, "u0", ("y1",)), r"mantissa = -8 \(allowed -7..7\)"),
        (Product(0, 0, "u0", ("y1",)), "mantissa = 0 .* leave the product out"),
        (Product(1, -8, "u0", ("y1",)), r"exponent = -8 \(allowed -7..8\)"),
        (Product(1, 9, "u0", ("y1",)), r"exponent = 9 \(allowed -7..8\)"),
        (Product(1, 0, "y0", ("x1",)), r"dependency 'y0' \(allowed: x0, u0\)"),
        (Product(1, 0, "u10", ("x1",)), r"dependency 'u10'"),
        (Product(1, 0, "u0", ()), r"number of factors = 0 \(allowed 1..3\)"),
        (Product(1, 0, "u0", ("x1", "x1", "y1", "y2")), r"number of factors = 4 \(allowed 1..3\)"),
        (Product(1, 0, "u0", ("x2",)), r"factors x2 \(allowed: x1, y1, y2\)"),
    ],
)
def test_products_the_chip_lacks(product, message):
    with pytest.raises(ResourceError, match=message):
        rule(product)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"impulse": 0}, r"x1_impulse = 0 \(allowed 1..127\)"),
        ({"impulse": 128}, r"x1_impulse = 128 \(allowed 1..127\)"),
        ({"tau": 0.0}, "x1_tau = 0.0"),
        ({"tau": math.inf}, "x1_tau = inf"),
        ({"tau": math.nan}, "x1_tau = nan"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_traces_the_chip_lacks(changes, message):
    with pytest.raises(ResourceError, match=message):
        rule(Product(1, 0, "u0", ("y1",)), **changes)


def test_everything_wrong_is_said_at_once():
    with pytest.raises(ResourceError, match=r"mantissa = 9 .*\n.*dependency 'z'.*\n.*x1_impulse = 999"):
        rule(Product(9, 0, "z", ("x1",)), impulse=999)
    with pytest.raises(ResourceError, match="has no products"):
        rule()


def test_lava_reads_the_same_products():
    """Property: Lava's parser gives every legal rule's mantissa, exponent, dependency and factors."""
    pytest.importorskip("lava")
    from seamount_targets.lava.learning import lava_rule

    rng = np.random.default_rng(0)
    for _ in range(40):
        products = [
            Product(
                int(rng.choice([m for m in range(-7, 8) if m])),
                int(rng.integers(-7, 9)),
                str(rng.choice(["x0", "u0"])),
                tuple(str(f) for f in rng.choice(["x1", "y1", "y2"], rng.integers(1, 4))),
            )
            for _ in range(rng.integers(1, 5))
        ]
        ours = rule(*products, impulse=int(rng.integers(1, 128)), tau=float(rng.uniform(1, 50)), seed=3)
        theirs = lava_rule(ours)
        assert (theirs.x1_impulse, theirs.x1_tau, theirs.rng_seed) == (ours.x1_impulse, ours.x1_tau, 3)
        parsed = theirs.dw.products
        assert len(parsed) == len(products)
        for got, want in zip(parsed, products, strict=True):
            assert (got.s_mantissa, got.s_exp) == (want.mantissa, want.left)
            assert got.dependency == ("u" if want.dependency == "u0" else "x0")
            assert [f.state_var for f in got.factors] == list(want.factors)
            assert got.decimate_exponent == (0 if want.dependency == "u0" else None)
