"""The comparisons of the OTPE paper (arXiv:2311.16151, section 4): gradients and accuracy of the rules, on Randman.

Everything is drawn from a seed, and every row says what it was measured with. The paper states neither lambda nor the
number of batches; both are arguments here. After 160 batches at 2e-3, BPTT has 85 to 95 % right in either variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import torch
from torch import Tensor, nn

import seamount as sm
from seamount.errors import DataError, TrainingError
from seamount_models import datasets, networks, online, training
from seamount_models.online.runs import Row, Runs
from seamount_models.splits import Dataset

RULES: dict[str, Callable[..., Any]] = {
    "BPTT": online.BPTT,
    "OTTT": online.OTTT,
    "OSTL": online.OSTL,
    "ApproxOTPE": online.ApproxOTPE,
    "OTPE": online.OTPE,
    "FApproxOTPE": online.FApproxOTPE,
    "FOTPE": online.FOTPE,
}
"""Rules by name."""
SAME_LOSS = ("BPTT", "OTTT", "OSTL", "ApproxOTPE", "OTPE")
"""Those whose loss is BPTT's, that of each step's spikes; that of the F- forms is of their leaky sum."""


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
        samples: of the training split; as many as the batches take, so that each is new, as in the paper.
        batch_size, lr: of Adamax.
        batches: to train with.
        detach_reset: leave what a spike does to v out of every gradient, BPTT's too.
    """

    variant: str = "time"
    beta: float = 0.9
    hidden: tuple[int, ...] = (128, 128)
    slope: float = 25.0
    alpha: float = 1.0
    steps: int = 50
    samples: int = 20480
    batch_size: int = 128
    lr: float = 2e-3
    batches: int = 160
    detach_reset: bool = False

    def data(self, seed: int) -> Dataset:
        return _randman(self.variant, self.alpha, self.steps, self.samples, seed)

    def network(self, seed: int, data: Dataset) -> nn.Sequential:
        neuron = sm.nn.LIF(self.beta, surrogate=sm.nn.FastSigmoid(self.slope), detach_reset=self.detach_reset)
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
    settings: Iterable[Setting], seeds: Sequence[int], *, every: int = 53, rules: Sequence[str] = SAME_LOSS[1:],
    keep: Path | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Train by BPTT, and compare the gradients of the rules with its own on the way.

    Args:
        settings, seeds: every one with every other.
        every: batches from one comparison to the next; the first is before training.
        rules: to compare, of `SAME_LOSS`.
        keep: file of finished runs, which are not repeated.

    Yields:
        Rows: the setting, `seed`, `batch`, `rule`, `connection`, `cosine`, and `accuracy` of BPTT on the test split at
        the end.

    Raises:
        TrainingError: a rule that there is not, or whose loss is another.
    """
    check(rules, SAME_LOSS)
    runs = Runs(keep)
    for setting in settings:
        for seed in seeds:
            run = {"study": "gradients", **asdict(setting), "seed": seed, "every": every, "rules": rules}
            yield from runs.rows(run, lambda: _compared(setting, seed, every, rules))  # noqa: B023


def accuracies(
    settings: Iterable[Setting], seeds: Sequence[int], *, every: int = 53, rules: Sequence[str] = SAME_LOSS,
    immediate: bool = False, keep: Path | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Train with each rule from the same weights on the same batches.

    Args:
        settings, seeds, rules: every one with every other.
        every: batches from one measurement on the test split to the next; the last is at the end.
        immediate: step the optimizer after every step of time; rules that can.
        keep: file of finished runs, which are not repeated.

    Yields:
        Rows: the setting, `seed`, `rule`, `batch` (so many were learned), `accuracy`.

    Raises:
        TrainingError: a rule that there is not, or BPTT asked to be immediate.
    """
    check(rules, list(RULES)[1:] if immediate else list(RULES))
    runs = Runs(keep)
    for setting in settings:
        for seed in seeds:
            for rule in rules:
                run = {"study": "online", **asdict(setting), "seed": seed, "every": every, "rule": rule}
                run["immediate"] = immediate
                yield from runs.rows(run, lambda: _trained(setting, seed, every, rule, immediate))  # noqa: B023


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


@lru_cache(maxsize=1)
def _randman(variant: str, alpha: float, steps: int, samples: int, seed: int) -> Dataset:
    """The data of the rules that are trained one after the other."""
    return datasets.load(
        "randman", variant=variant, alpha=alpha, steps=steps, train=samples, seed=seed, manifold_seed=seed
    )


def check(rules: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse rules that a study cannot have.

    Raises:
        TrainingError: names them.
    """
    if wrong := [name for name in rules if name not in allowed]:
        raise TrainingError(f"study: {', '.join(wrong)} cannot be compared here (allowed: {', '.join(allowed)}).")


def _compared(setting: Setting, seed: int, every: int, rules: Sequence[str]) -> list[Row]:
    data = setting.data(seed)
    net = setting.network(seed, data)
    exact, optimizer = online.BPTT(net, "cross_entropy"), setting.optimizer(net)
    others = {name: RULES[name](net) for name in rules}
    rows = []
    for i, (x, labels) in enumerate(setting.stream(data, seed)):
        if i % every == 0:
            found = _cosines(net, exact, others, x, labels)
            rows += [{**asdict(setting), "seed": seed, "batch": i, **row} for row in found]
        online.learn(exact, optimizer, x, labels)
    accuracy = training.evaluate(net, data.test).accuracy
    return [{**row, "accuracy": accuracy} for row in rows]


def train(setting: Setting, seed: int, rule: str, *, immediate: bool = False) -> Iterator[tuple[int, nn.Module]]:
    """Train with a rule; yields the network with the number of batches that it has learned, the first time with 0."""
    data = setting.data(seed)
    net = setting.network(seed, data)
    learner, optimizer = RULES[rule](net), setting.optimizer(net)
    yield 0, net
    for i, (x, labels) in enumerate(setting.stream(data, seed), 1):
        online.learn(learner, optimizer, x, labels, immediate=immediate)
        yield i, net


def _trained(setting: Setting, seed: int, every: int, rule: str, immediate: bool) -> Iterator[Row]:
    for i, net in train(setting, seed, rule, immediate=immediate):
        if i and (i % every == 0 or i == setting.batches):
            accuracy = training.evaluate(net, setting.data(seed).test).accuracy
            yield {**asdict(setting), "seed": seed, "rule": rule, "batch": i, "accuracy": accuracy}


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
