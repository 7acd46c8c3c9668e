"""Compiled loops; those over time, batch and neurons are compiled from lines of text.

Only as text can a loop take a varying number of arrays.
"""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from seamount import jit
from seamount.nn.threads import in_parts

SHARE = 1 << 17
"""Values of `[T, B, N]` that are worth a thread of their own."""
BLOCK, LEAST = 1 << 16, 64
"""Values of `[T, neurons]` that stay in a core's cache between a pass forth and back, and fewest neurons of a block."""


@cache
def function(source: str, inline: bool = False) -> Any:
    """The `step` that a text defines; as it is, or to be compiled into a loop."""
    step = defined(source, {})["step"]
    return compiled(inline="always")(step) if inline else step


def defined(source: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Run a text of definitions in a scope; its lines are found where Python, and Triton, looks for those of files."""
    file = f"<kernel {sha256(source.encode()).hexdigest()}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    exec(compile(source, file, "exec"), scope)
    return scope


def compiled(**options: Any) -> Any:
    """`njit` beside Python's own threads; division as in NumPy, since a check for 0 would keep loops from vectors."""
    return njit(nogil=True, error_model="numpy", **options)


@dataclass(frozen=True)
class Pass:
    """A pass over time: a loop's body, in which every array is a row with index j, and what is done before each row."""

    lines: Sequence[str]
    row: str = ""
    reverse: bool = False


def over_time(
    passes: Sequence[Pass], sequences: Sequence[str], states: Sequence[str], columns: Sequence[str],
    scratch: Sequence[str], numbers: int, scope: dict[str, Any], matrix: bool,
) -> Any:  # fmt: skip
    """Compile passes over time, for each sample and block of neurons.

    Args:
        passes: one after the other.
        sequences, states, columns: names of arrays `[T, B, N]`, `[B, N]` and `[N]`, in the order of the arguments.
        scratch: names of sequences that live for a block; the last is int8, the others are like the first sequence.
        numbers: how many there are, `n0, n1 ..`; they come as the last array.
        scope: what else the lines use.
        matrix: `weight [N, N]` comes before the numbers.
    """
    like = f"all_{sequences[0]}"
    arrays = [f"all_{name}" for name in (*sequences, *states, *columns)]
    part = "first_j:first_j + width"
    text = [
        f"def loop(first, last, block, {', '.join([*arrays, *(['weight'] if matrix else []), 'numbers'])}):",
        f"    steps, all_width = {like}.shape[0], {like}.shape[2]",
        *(f"    all_{name} = empty((steps, block), {like}.dtype)" for name in scratch[:-1]),
        *(f"    all_{name} = empty((steps, block), int8)" for name in scratch[-1:]),
        *(f"    n{i} = numbers[{i}]" for i in range(numbers)),
        "    for b in range(first, last):",
        "        for first_j in range(0, all_width, block):",
        "            width = min(block, all_width - first_j)",
        *(f"            {name} = all_{name}[b, {part}]" for name in states),
        *(f"            {name} = all_{name}[{part}]" for name in columns),
    ]
    for one in passes:
        text += [
            f"            for t in {'range(steps - 1, -1, -1)' if one.reverse else 'range(steps)'}:",
            *(f"                {name} = all_{name}[t, b, {part}]" for name in sequences),
            *(f"                {name} = all_{name}[t]" for name in scratch),
            *([f"                {one.row}"] if one.row else []),
            "                for j in range(width):",
            *(f"                    {line}" for line in one.lines),
        ]
    scope |= {"empty": np.empty, "int8": np.int8}
    return compiled()(defined("\n".join(text), scope)["loop"])


def product(total, factors, weight):
    """`total = factors weight`, a row, for weights `[in, out]`, by the factors that are not zero."""
    total[:] = 0
    for i in range(len(factors)):
        factor, w = factors[i], weight[i]
        if factor != 0:
            for j in range(len(total)):
                total[j] += factor * w[j]


def share(loop: Any, a: Tensor, whole: bool, tensors: Sequence[Tensor]) -> None:
    """Call what `over_time` made for `a [T, B, N]`, with blocks of neurons unless it needs them `whole`."""
    arrays = [t.detach().contiguous().numpy() for t in tensors]
    steps, batch, width = a.shape
    block = width if whole else min(width, max(LEAST, BLOCK // steps // LEAST * LEAST))
    parts = min(torch.get_num_threads(), batch, max(1, a.numel() // SHARE))
    in_parts(lambda first, last: loop(first, last, block, *arrays), batch, parts)


kernel = jit.kernel()
"""What `njit` is to a function, for one whose machine code is kept on disk."""
