"""The comparisons of the OTPE paper (arXiv:2311.16151, section 4): gradients and accuracy of the rules, on Randman.

Everything is drawn from a seed, and every row says what it was measured with. The paper states neither lambda nor the
number of batches; both are arguments here. After 160 batches at 2e-3, BPTT has 85 to 95 % right in either variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, pstdev
from typing import Any

import torch
from torch import Tensor, nn

import seamount as sm
from seamount.errors import DataError
from seamount_models import datasets, networks, online, training
from seamount_models.splits import Dataset

RULES: dict[str, Callable[..., Any]] = {
    "BPTT": online.BPTT,
    "OTTT": online.OTTT,
    "OSTL": online.OSTL,
    "ApproxOTPE": online.ApproxOTPE,
    "OTPE": online.OTPE,
}
"""Rules that have the same loss, by name."""


@dataclass(frozen=True)
class Setting:
    """What is trained on what; the defaults are the paper's appendix A.1, where it says.

    Args:
        variant: of Randman, `"time"` or `"rate"`.
        beta: retention of all populations.
        hidden: sizes of the hidden populations.
        slope: of the fast sigmoid.
        alpha: smoothness of the manifolds.
        steps: T.
        samples: of the training split.
        batch_size, lr: of Adamax.
        batches: to train with.
    """

    variant: str = "time"
    beta: float = 0.9
    hidden: tuple[int, ...] = (128, 128)
    slope: float = 25.0
    alpha: float = 1.0
    steps: int = 50
    samples: int = 5000
    batch_size: int = 128
    lr: float = 2e-3
    batches: int = 160

    def data(self, seed: int) -> Dataset:
        return datasets.load(
            "randman", variant=self.variant, alpha=self.alpha, steps=self.steps, train=self.samples, seed=seed,
            manifold_seed=seed,
        )  # fmt: skip

    def network(self, seed: int, data: Dataset) -> nn.Sequential:
        neuron = sm.nn.LIF(self.beta, surrogate=sm.nn.FastSigmoid(self.slope))
        return networks.mlp((*data.shape, *self.hidden, data.classes), neuron, seed=seed)

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adamax(net.parameters(), lr=self.lr)

    def stream(self, data: Dataset, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As many batches as are asked for, float `[T, B, N]` with labels; the data in a new order each time round."""
        if len(data.train) < self.batch_size:
            raise DataError(f"{data.name}: {len(data.train)} samples (needed {self.batch_size}, the batch size).")
        count, turn = 0, seed * 1000
        while True:
            for x, labels in data.train.batches(self.batch_size, shuffle=True, seed=turn):
                if len(labels) == self.batch_size:
                    yield x.float(), labels
                    count += 1
                if count == self.batches:
                    return
            turn += 1


def gradients(
    settings: Iterable[Setting], seeds: Sequence[int], *, every: int = 53, rules: Sequence[str] = tuple(RULES)[1:]
) -> Iterator[dict[str, Any]]:
    """Train by BPTT, and compare the gradients of the rules with its own on the way.

    Args:
        settings, seeds: every one with every other.
        every: batches from one comparison to the next; the first is before training.
        rules: to compare.

    Yields:
        Rows: the setting, `seed`, `batch`, `rule`, `connection`, `cosine`, and `accuracy` of BPTT on the test split at
        the end.
    """
    for setting in settings:
        for seed in seeds:
            data = setting.data(seed)
            net = setting.network(seed, data)
            exact, optimizer = online.BPTT(net, "cross_entropy"), setting.optimizer(net)
            others = {name: RULES[name](net) for name in rules}
            rows = []
            for i, (x, labels) in enumerate(setting.stream(data, seed)):
                if i % every == 0:
                    found = _cosines(net, exact, others, x, labels)
                    rows += [{"seed": seed, "batch": i, **row} for row in found]
                online.learn(exact, optimizer, x, labels)
            accuracy = training.evaluate(net, data.test).accuracy
            yield from ({**asdict(setting), **row, "accuracy": accuracy} for row in rows)


def accuracies(
    settings: Iterable[Setting], seeds: Sequence[int], *, every: int = 53, rules: Sequence[str] = tuple(RULES),
    immediate: bool = False,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Train with each rule from the same weights on the same batches.

    Args:
        settings, seeds, rules: every one with every other.
        every: batches from one measurement on the test split to the next; the last is at the end.
        immediate: step the optimizer after every step of time; rules that can.

    Yields:
        Rows: the setting, `seed`, `rule`, `batch` (so many were learned), `accuracy`.
    """
    for setting in settings:
        for seed in seeds:
            data = setting.data(seed)
            for name in rules:
                net = setting.network(seed, data)
                rule, optimizer = RULES[name](net), setting.optimizer(net)
                for i, (x, labels) in enumerate(setting.stream(data, seed), 1):
                    online.learn(rule, optimizer, x, labels, immediate=immediate)
                    if i % every == 0 or i == setting.batches:
                        accuracy = training.evaluate(net, data.test).accuracy
                        yield {**asdict(setting), "seed": seed, "rule": name, "batch": i, "accuracy": accuracy}


def table(rows: Iterable[dict[str, Any]], value: str, by: Sequence[str]) -> list[dict[str, Any]]:
    """Mean of a column, and its standard deviation over seeds of the means of each seed.

    Args:
        rows: of `gradients` or `accuracies`.
        value: the column.
        by: columns of which each combination is a row.

    Example:
        >>> rows = [{"rule": "OTTT", "seed": s, "cosine": c} for s, c in ((0, 0.5), (0, 0.7), (1, 0.2))]
        >>> table(rows, "cosine", ["rule"])
        [{'rule': 'OTTT', 'cosine': 0.4, 'deviation': 0.2, 'seeds': 2}]
    """
    groups: dict[tuple, dict[int, list[float]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in by), {}).setdefault(row["seed"], []).append(row[value])
    found = []
    for key, seeds in groups.items():
        means = [mean(values) for values in seeds.values()]
        numbers = {value: round(mean(means), 4), "deviation": round(pstdev(means), 4), "seeds": len(means)}
        found.append({**dict(zip(by, key, strict=True)), **numbers})
    return found


def _cosines(
    net: nn.Module, exact: online.BPTT, others: dict[str, Any], x: Tensor, labels: Tensor
) -> list[dict[str, Any]]:
    def gradient(rule: Any) -> dict[str, Tensor]:
        net.zero_grad()
        rule.sample(x, labels.expand(len(x), -1))
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    want, rows = gradient(exact), []
    for name, rule in others.items():
        for parameter, got in gradient(rule).items():
            cosine = torch.nn.functional.cosine_similarity(got.flatten(), want[parameter].flatten(), 0)
            rows.append({"rule": name, "connection": parameter.removesuffix(".weight"), "cosine": float(cosine)})
    return rows
