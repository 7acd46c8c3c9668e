"""Where the rules lead from the same start: the loss on a plane through the weights, and each rule's way over it.

The plane is through the start, along the two directions in which the rules moved most: the principal components of all
weights on all ways, as differences to the start. The OTPE paper (arXiv:2311.16151, Fig. 5) takes two weights of BPTT's
own way instead; here no rule is the measure of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from seamount.errors import DataError
from seamount_models.online.runs import Row, Runs
from seamount_models.online.study import SAME_LOSS, Setting, check, train

MARGIN = 0.15
"""What the grid has around the ways, of their extent."""


def landscape(
    setting: Setting, seed: int = 0, *, every: int = 20, rules: Sequence[str] = SAME_LOSS, grid: int = 15,
    samples: int = 500, keep: Path | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Train with each rule from the same weights on the same batches, and measure the loss around.

    Args:
        setting, seed, rules: what is trained.
        every: batches from one point of a way to the next; the last is at the end.
        grid: values of each coordinate.
        samples: of the test split, on which the loss is measured: cross-entropy of each step's spikes, mean over steps.
        keep: file of finished runs, which are not repeated.

    Yields:
        Rows of the ways: the setting, `seed`, `rule`, `batch`, the coordinates `x`, `y` of the weights' projection on
        the plane, `loss` there and `loss_off` at the weights themselves, `apart`, their distance from those of
        `rules[0]` after as many batches over how far those have come, and `share` of all squared movement that is in
        the plane. Then rows of the grid, with `rule` None: `x`, `y`, `loss`.

    Raises:
        TrainingError: a rule that there is not, or whose loss is another.
        DataError: a grid of less than 2.
    """
    check(rules, SAME_LOSS)
    if grid < 2 or samples < 1:
        raise DataError(f"landscape: grid = {grid}, samples = {samples} (allowed 2 or more, and 1 or more).")
    options = {"seed": seed, "every": every, "rules": rules, "grid": grid, "samples": samples}
    run = {"study": "landscape", **asdict(setting), **options}
    yield from Runs(keep).rows(run, lambda: _measured(setting, seed, every, rules, grid, samples))


class Plane:
    """Weights `origin + x a + y b`.

    Args:
        origin: `[P]`.
        ways: weights `[n, P]` whose differences to the origin give a and b.

    Attributes:
        axes: a and b, orthonormal, `[2, P]`.
        share: of the squared differences that is in the plane, 0..1.
    """

    def __init__(self, origin: Tensor, ways: Tensor) -> None:
        self.origin = origin
        moved = (ways - origin).double()
        _, sizes, axes = torch.linalg.svd(moved, full_matrices=False)
        self.axes = axes[:2]
        self.share = float((sizes[:2] ** 2).sum() / (sizes**2).sum().clamp_min(1e-300))

    def project(self, weights: Tensor) -> Tensor:
        """Coordinates `[n, 2]` of weights `[n, P]`."""
        return (weights - self.origin).double() @ self.axes.T

    def weights(self, x: float, y: float) -> Tensor:
        """Weights `[P]` at a point."""
        return (self.origin.double() + torch.tensor([x, y], dtype=torch.float64) @ self.axes).to(self.origin)


def loss_of(net: nn.Module, weights: Tensor, x: Tensor, labels: Tensor) -> float:
    """Loss of a network with given weights `[P]` on `x [T, B, N]`; they stay in it."""
    vector_to_parameters(weights, net.parameters())
    with torch.no_grad():
        return functional.cross_entropy(net(x).flatten(0, 1), labels.repeat(len(x))).item()


def _measured(setting: Setting, seed: int, every: int, rules: Sequence[str], grid: int, samples: int) -> Iterator[Row]:
    data = setting.data(seed)
    net = setting.network(seed, data)
    ways = {name: _way(setting, seed, name, every) for name in rules}
    batches, start = list(ways[rules[0]]), ways[rules[0]][0]
    weights = torch.stack([w for way in ways.values() for w in way.values()])
    plane = Plane(start, weights)
    shown = data.test.subset(range(min(samples, len(data.test))))
    x, labels = next(shown.batches(len(shown), shuffle=False, seed=0))
    x = x.float()
    common = {**asdict(setting), "seed": seed}
    points = plane.project(weights)
    for name, at in zip(rules, points.split(len(batches)), strict=True):
        for batch, (px, py) in zip(batches, at.tolist(), strict=True):
            there, base = ways[name][batch], ways[rules[0]][batch]
            apart = float((there - base).norm() / (base - start).norm().clamp_min(1e-12))
            yield {
                **common, "rule": name, "batch": batch, "x": px, "y": py,
                "loss": loss_of(net, plane.weights(px, py), x, labels), "loss_off": loss_of(net, there, x, labels),
                "apart": apart, "share": plane.share,
            }  # fmt: skip
    low, high = points.min(0).values, points.max(0).values
    room = MARGIN * (high - low).clamp_min(1e-6)
    xs, ys = (torch.linspace(*ends, grid).tolist() for ends in zip(low - room, high + room, strict=True))
    for py in ys:
        for px in xs:
            yield {**common, "rule": None, "x": px, "y": py, "loss": loss_of(net, plane.weights(px, py), x, labels)}


def _way(setting: Setting, seed: int, rule: str, every: int) -> dict[int, Tensor]:
    """Weights `[P]` by the number of batches learned; the first is 0."""
    return {
        i: parameters_to_vector(net.parameters()).detach().clone()
        for i, net in train(setting, seed, rule)
        if i % every == 0 or i == setting.batches
    }
