"""Training by backpropagation through time with surrogate gradients, and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from seamount.errors import DataError, TrainingError
from seamount.nn import recording
from seamount_models.decoding import decode_count
from seamount_models.losses import count_cross_entropy
from seamount_models.splits import Dataset, Split


@dataclass
class History:
    """What `fit` saw on the training split, one entry an epoch: mean loss, and the accuracy while training."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        accuracy: share of samples whose class fired most, 0..1.
        rates: population -> spikes per neuron and step, mean over the split.
    """

    accuracy: float
    rates: dict[str, float]


def fit(
    net: nn.Module,
    data: Dataset,
    *,
    epochs: int,
    lr: float = 5e-3,
    batch_size: int = 32,
    shift: int = 0,
    seed: int = 0,
    loss: Callable[[Tensor, Tensor], Tensor] = count_cross_entropy,
    threads: int | None = None,
    progress: bool = True,
) -> History:
    """Train a network in place on `data.train`.

    Adam, its step size falling from `lr` to 0 along a cosine. Samples are coded anew in each epoch, so that the network
    meets the intensities and not one draw of the code. The same seed gives the same weights on the same machine with
    the same number of threads. Torch's global generator and number of threads are left as they were.

    Args:
        net: module from spikes float `[T, B, ...]` to `[T, B, classes]`.
        data: the test split is not looked at.
        epochs: passes over the training split.
        lr: step size of Adam at the beginning.
        batch_size: samples a step.
        shift: move images by up to that many pixels, anew in each epoch; a larger training set, so to say.
        seed: of order, coding, shift and whatever the network draws (dropout).
        loss: of the output and the labels.
        threads: of torch while training; default all. A small network is faster on 1, much faster on a busy machine,
            because its operations are shorter than the threads' waiting for each other.
        progress: show a progress bar.

    Returns:
        Loss and accuracy by epoch.

    Raises:
        DataError: the network's output or the labels do not fit the loss, or there is nothing to train on.
        TrainingError: the loss is not finite.

    Example:
        >>> import seamount as sm
        >>> from seamount_models import datasets, networks
        >>> net = networks.mlp((64, 32, 10), sm.nn.LIF(beta=0.9), seed=0)
        >>> history = fit(net, datasets.load("digits", steps=4), epochs=2, threads=1, progress=False)
        >>> history.loss[1] < history.loss[0]
        True
    """
    if epochs < 1 or not len(data.train):
        raise DataError(f"fit: {epochs} epochs of {len(data.train)} samples leave nothing to do.")
    device = next(net.parameters()).device
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    steps = epochs * -(-len(data.train) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = History()
    net.train()
    with torch.random.fork_rng(), _threads(threads), _progress_bar(progress) as bar:
        torch.manual_seed(seed)
        task = bar.add_task(f"train on {data.name}", total=steps, status="")
        for epoch in range(epochs):
            total, right = torch.zeros((), device=device), torch.zeros((), device=device)
            batches = data.train.batches(batch_size, shuffle=True, seed=_epoch_seed(seed, epoch), shift=shift)
            for step, (spikes, labels) in enumerate(batches):
                labels = labels.to(device)
                output = net(spikes.to(device, torch.float32))
                value = loss(output, labels)
                if not torch.isfinite(value):
                    raise TrainingError(
                        f"{data.name}: the loss is {value.item()} in epoch {epoch + 1}, step {step + 1}. "
                        f"Hint: a smaller lr than {lr:g}."
                    )
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                schedule.step()
                total += value.detach() * len(labels)
                right += (decode_count(output.detach()) == labels).sum()
                bar.advance(task)
            history.loss.append(total.item() / len(data.train))
            history.accuracy.append(right.item() / len(data.train))
            bar.update(task, status=f"loss {history.loss[-1]:.3f}  accuracy {history.accuracy[-1]:.2%}")
    return history


@torch.no_grad()
def evaluate(net: nn.Module, split: Split, *, seed: int | None = None, batch_size: int = 500) -> Evaluation:
    """Measure a network on a split, in batches; the network is left in the mode it was in.

    Args:
        net: module from spikes float `[T, B, ...]` to `[T, B, classes]`.
        split: samples.
        seed: of the coding; default the split's.
        batch_size: samples at a time; the result does not depend on it.

    Raises:
        DataError: the split is empty, or the output is not `[T, B, classes]`.
    """
    if not len(split):
        raise DataError(f"{split.name}: is empty, so it has no accuracy.")
    device = next(net.parameters()).device
    training, right, spikes_seen = net.training, 0, {}
    net.eval()
    try:
        with recording(net) as populations:
            for spikes, labels in split.batches(batch_size, seed=seed):
                right += int((decode_count(net(spikes.to(device, torch.float32))).cpu() == labels).sum())
                for name, population in populations.items():
                    if population.spiking and population.recorded_spikes is not None:
                        s = population.recorded_spikes
                        spikes_seen[name] = spikes_seen.get(name, 0.0) + s.mean().item() * len(labels)
    finally:
        net.train(training)
    return Evaluation(right / len(split), {name: total / len(split) for name, total in spikes_seen.items()})


def _epoch_seed(seed: int, epoch: int) -> int:
    """A coding seed for each epoch, apart from the small numbers that evaluation uses."""
    return (seed + 1) * 1_000_003 + epoch


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Run the block with that number of torch threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _progress_bar(show: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[status]}")
    return Progress(*columns, transient=True, disable=not show)
