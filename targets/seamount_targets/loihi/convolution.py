"""Convolutions event by event: each spike adds its part of the kernel to the sums that it reaches.

Written for low activity, where most multiplications of a dense convolution are by zero; the sums are int32, whose
range the planner has checked, so that the order of addition does not matter.

With output channels last, what a spike in column x adds to a row of sums is one run of memory where the columns it
reaches are neighbours (dilation 1, any stride). Which part of the kernel that is depends on `(x + padding) % stride`,
so the kernel's columns are stored in that order, each part from its last column to its first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seamount.ir import IntConv
from seamount.jit import kernel

WORD = 8
"""Inputs that are skipped together where none of them is an event."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of one or two dimensions as `add_events` takes it; one dimension is a plane of height 1.

    Attributes:
        weights: int32 `[in, height, width, out / groups]`, halved, columns in the order of the runs.
        rows: int64 `[in height, height]`: the output row that an input row reaches through a row of the kernel; -1 for
            none.
        runs: int64 `[in width, runs, 3]`: for an input column, first column of the kernel as stored, first output
            column, and number of columns.
        positions: output height and width.
        groups: of channels.
    """

    weights: np.ndarray
    rows: np.ndarray
    runs: np.ndarray
    positions: tuple[int, int]
    groups: int

    def add(self, s: np.ndarray, shift: int, a: np.ndarray) -> None:
        """Add what events cause to synaptic input, the floor of each sum for a negative shift.

        Args:
            s: integers `[n, width >= in]`.
            shift: of the sums of halved weights.
            a: int32 `[n, width >= out]`.
        """
        size = len(self.weights) * len(self.rows) * len(self.runs)
        if s.itemsize == 1 and s.shape[1] % WORD == 0:
            busy = s.view(np.uint64) != 0
        else:
            busy = np.ones((len(s), -(-size // WORD)), bool)
        add_events(s, busy, size, self.weights, self.rows, self.runs, *self.positions, self.groups, shift, a)


def convolution(node: IntConv, in_shape: tuple[int, ...]) -> Convolution:
    """Prepare a node whose weights are even."""
    shape = node.out_shape(in_shape)
    size = (*[1] * (2 - len(node.kernel)), *node.kernel)
    (in_height, in_width), (height, width) = ([*[1] * (3 - len(x)), *x[1:]] for x in (in_shape, shape))
    stride, padding, dilation, spacing = (
        (*[default] * (2 - len(x)), *x)
        for x, default in ((node.stride, 1), (node.padding, 0), (node.dilation, 1), (node.spacing, 1))
    )
    reached = [
        _reached(np.arange(n) * u, k, s, p, d, out)
        for n, k, s, p, d, u, out in zip(
            (in_height, in_width), size, stride, padding, dilation, spacing, (height, width), strict=True
        )
    ]
    order = sorted(range(size[1]), key=lambda k: (k * dilation[1] % stride[1], -k))
    outputs, inputs = node.weight.shape[0] // node.groups, node.weight.shape[1]
    weights = (node.weight >> 1).reshape(node.groups, outputs, inputs, *size)[..., order]
    weights = np.moveaxis(weights, 1, -1).reshape(node.groups * inputs, *size, outputs)
    return Convolution(
        np.ascontiguousarray(weights, np.int32), reached[0], _runs(reached[1][:, order]), (height, width), node.groups
    )


def _reached(at: np.ndarray, kernel: int, stride: int, padding: int, dilation: int, out: int) -> np.ndarray:
    """`[n, kernel]`: the output that inputs, `at` these places, reach through each place of the kernel, -1 for none."""
    reached, rest = np.divmod(at[:, None] + padding - np.arange(kernel) * dilation, stride)
    return np.where((rest == 0) & (reached >= 0) & (reached < out), reached, -1).astype(np.int64)


def _runs(reached: np.ndarray) -> np.ndarray:
    """Places of the kernel that follow each other and reach outputs that do."""
    found = []
    for row in reached.tolist():
        runs: list[list[int]] = []
        for place, output in enumerate(row):
            if output < 0:
                continue
            if runs and runs[-1][0] + runs[-1][2] == place and runs[-1][1] + runs[-1][2] == output:
                runs[-1][2] += 1
            else:
                runs.append([place, output, 1])
        found.append(runs)
    table = np.zeros((len(found), max(1, *map(len, found), 1), 3), np.int64)
    for x, runs in enumerate(found):
        table[x, : len(runs)] = np.reshape(runs, (-1, 3))
    return table


@kernel()
def add_events(s, busy, size, weights, rows, runs, height, width, groups, shift, a):
    """`a[r] += (weights * s[r]) << shift`; arguments as of Convolution."""
    channels, kernel_rows, kernel_columns, outputs = weights.shape
    in_width, plane, positions = runs.shape[0], rows.shape[0] * runs.shape[0], height * width
    sums, flat = np.empty(groups * positions * outputs, np.int32), weights.reshape(-1)
    factor, down = np.int32(1 << max(shift, 0)), max(-shift, 0)
    for r in range(s.shape[0]):
        sums[:] = 0
        for word in range(busy.shape[1]):
            if not busy[r, word]:
                continue
            for i in range(word * WORD, min(size, (word + 1) * WORD)):
                value = np.int32(s[r, i])
                if value == 0:
                    continue
                c, y, x = i // plane, i % plane // in_width, i % in_width
                first = c * groups // channels * positions
                for ky in range(kernel_rows):
                    row = rows[y, ky]
                    if row < 0:
                        continue
                    for k in range(runs.shape[1]):
                        place, column, count = runs[x, k, 0], runs[x, k, 1], runs[x, k, 2]
                        n, into = count * outputs, (first + row * width + column) * outputs
                        out_of = ((c * kernel_rows + ky) * kernel_columns + place) * outputs
                        # Slices, as an index that might be negative keeps the loop from becoming vectors.
                        part, weight = sums[into : into + n], flat[out_of : out_of + n]
                        for j in range(n):
                            part[j] += value * weight[j]
        for g in range(groups):
            for at in range(positions):
                for o in range(outputs):
                    total = sums[(g * positions + at) * outputs + o]
                    a[r, (g * outputs + o) * positions + at] += (total >> down) * factor
