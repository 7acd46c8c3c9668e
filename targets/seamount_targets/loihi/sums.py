"""Synaptic sums as matrix products, each with the bound under which it is exact, and the choice among them.

All paths take weights q = weight / 2, int8 `[in, out]` (even weights in [-256, 254] are what the chip has), and give
`sum_i s_i q_i`; the caller shifts it by one more than the weight exponent. Whatever order a library adds in, each
partial sum is a whole number of magnitude at most `S = max_out sum_i |q_i| * bound`, so a type that holds every whole
number up to S gives the exact result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seamount.nn import int8_product

PATHS = ("events", "int8", "float32", "float64")
"""`"events"` (kernels.py) adds weight rows per spike; the others are the matrix products below."""

EVENT_ACTIVITY = {"int8": 0.15, "float32": 0.6, "float64": 1.0}
"""Share of active inputs up to which `"events"` is faster than each product.

Measured in us of one core per row (one step of one sample), the best of 25, on a Xeon with AVX512-VNNI and AMX:

    layer      rows    events at 2 %   5 %    10 %   15 %   20 %   50 %  |  int8   float32  float64
    700x512    1000        0.30      0.51    0.73   1.35   1.74   4.34   |  1.04     5.91    12.67
    700x512      64        0.28      0.49    0.87   1.25   1.60   3.77   |  1.54     6.44    13.29
    512x512    1000        0.24      0.38    0.65   0.96   1.20   2.79   |  1.30     4.12     8.04
    512x512      64        0.23      0.36    0.60   0.84   1.14   2.77   |  1.28     4.71    11.07
"""

SUM_LIMIT = 2**31
"""The planner refuses sums beyond int32."""


def int8(s: Tensor, q: Tensor) -> Tensor:
    """int8 x int8 -> int32. Exact for |s| <= 127 where the processor's instructions do not saturate."""
    return int8_product.product(s.to(torch.int8), q)


def float32(s: Tensor, q: Tensor) -> Tensor:
    """Exact for S < 2^24, the whole numbers of float32, and |s| <= 256.

    The second bound keeps it exact where torch is allowed to multiply in bfloat16 (8 significant bits, float32 sums).
    """
    return (s.to(torch.float32) @ q.to(torch.float32)).to(torch.int32)


def float64(s: Tensor, q: Tensor) -> Tensor:
    """Exact for all S < 2^53."""
    return (s.to(torch.float64) @ q.to(torch.float64)).to(torch.int32)


PRODUCTS = {"int8": int8, "float32": float32, "float64": float64}


def exact(path: str, bound: int, largest: int) -> bool:
    """Whether a product is exact for sources of magnitude `bound` and `largest` = S < SUM_LIMIT."""
    if path == "int8":
        return bound <= int8_product.BOUND and int8_product.is_exact()
    if path == "float32":
        return bound <= 256 and largest < 2**24
    return True


def fastest_product(bound: int, largest: int) -> str:
    """The fastest product that is exact."""
    if exact("int8", bound, largest) and int8_product.is_faster():
        return "int8"
    return "float32" if exact("float32", bound, largest) else "float64"
