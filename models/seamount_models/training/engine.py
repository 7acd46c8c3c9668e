"""The training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from seamount.errors import DataError, TrainingError
from seamount.nn import Neuron
from seamount_models import decoding, losses
from seamount_models.losses import ActivityBounds, Loss, count_cross_entropy, membrane_cross_entropy
from seamount_models.splits import Dataset, Split
from seamount_models.training import rules
from seamount_models.training.activity import Health, spiking
from seamount_models.training.checkpoint import Run, generator_state
from seamount_models.training.curves import Curves
from seamount_models.training.distributed import Processes
from seamount_models.training.evaluation import evaluate, weight_of
from seamount_models.training.history import History
from seamount_models.training.precision import connections_in, flushing
from seamount_models.training.rules import Maker, OnlineStep
from seamount_models.training.step import Step


def fit(
    net: nn.Module,
    data: Dataset,
    *,
    epochs: int,
    lr: float = 5e-3,
    neuron_lr: float | None = None,
    batch_size: int = 32,
    shift: int = 0,
    seed: int = 0,
    loss: str | Mapping[str, Any] | Loss | None = None,
    rule: str | Mapping[str, Any] | Maker | None = None,
    immediate: bool = False,
    activity: Mapping[str, Any] | ActivityBounds | Sequence[Mapping[str, Any] | ActivityBounds] = (),
    validation: float | Split | None = None,
    patience: int | None = None,
    clip: float | None = None,
    chunk: int | None = None,
    dtype: str = "float32",
    checkpoint: str | Path | None = None,
    log: str | Path | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> History:
    """Train a network in place on `data.train`.

    Adam, its step size falling from `lr` to 0 along a cosine. Samples are coded anew in each epoch, so that the network
    meets the intensities and not one draw of the code. The same seed gives the same weights on the same machine with
    the same number of threads. Torch's global generator and number of threads are left as they were.

    Started by `torchrun`, the processes share every batch: the gradient is that of one process with the same batch, up
    to rounding, as long as the network draws nothing and has no batch statistics; both are each process's own.

    Args:
        net: module from spikes float `[T, B, ...]` to `[T, B, classes]`.
        data: the test split is not looked at.
        epochs: passes over the training split.
        lr: step size of Adam at the beginning.
        neuron_lr: that of the neurons' own parameters; default lr. Retentions near 1 ask for a smaller one: from 0.99
            to 0.995, memory doubles.
        batch_size: samples a step, over all processes.
        shift: move images by up to that many pixels, anew in each epoch; a larger training set, so to say.
        seed: of order, coding, shift and whatever the network draws (dropout).
        loss: objective: a name in `losses.LOSSES`, `{"name": ..., its settings}`, or a function of output and labels.
            Default `count_cross_entropy`; with a rule, which takes means over steps only, `membrane_cross_entropy`.
        rule: online rule that gives the gradients: a name in `online`, as `"OTTT"`; `{"name": ..., its settings}`; or
            what makes one, `online.OTTT` itself. Default: backpropagation through time, by surrogate gradients.
        immediate: with a rule, step the optimizer at every step of time (OTTT-O) and not once a batch (OTTT-A).
        activity: bounds on how often populations fire: `ActivityBounds`, their arguments, or several of them.
        validation: a split, or the share of the training split to hold out for it, the classes in proportion. The
            network ends with the weights of its best epoch there. Default: the data set's own, if it has one.
        patience: stop after that many epochs without a better one; needs a validation split.
        clip: largest norm of the gradient.
        chunk: truncated backpropagation: gradients flow through that many steps, the state through all. The loss is
            applied to each chunk. Memory then grows with the chunk instead of with T.
        dtype: `"bfloat16"` multiplies in half the precision, in connections only.
        checkpoint: file to which each epoch is saved. If it is there, its run goes on, to the same result as without
            the break; it must have had the same settings.
        log: folder for TensorBoard's curves.
        threads: of torch while training; default all. A small network is faster on 1, much faster on a busy machine,
            because its operations are shorter than the threads' waiting for each other.
        progress: show a progress bar.

    Returns:
        Loss and accuracy by epoch.

    Raises:
        DataError: the network's output or the labels do not fit the loss, a setting is out of range, or there is
            nothing to train on.
        TrainingError: the loss is not finite; or the rule cannot train the network, with every reason.
        FileFormatError: the checkpoint is damaged, or of another network.

    Warns:
        ActivityWarning: a population is dead or saturated.
    """
    default = count_cross_entropy if rule is None else membrane_cross_entropy
    objective = losses.find(default if loss is None else loss)
    bounds, maker = losses.bounds(activity), None if rule is None else rules.find(rule)
    train, held = _splits(data, validation)
    _check(net, train, held, objective, bounds, epochs=epochs, patience=patience, clip=clip, chunk=chunk, dtype=dtype)
    _check_rule(maker, immediate=immediate, chunk=chunk, activity=bounds, dtype=dtype)
    processes = Processes.join(net)
    device = next(net.parameters()).device
    optimizer = torch.optim.Adam(_groups(net, lr, neuron_lr))
    steps = -(-len(train) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    settings = {
        "data": data.name, "samples": len(train), "validation": None if held is None else len(held), "epochs": epochs,
        "lr": lr, "neuron_lr": neuron_lr, "batch_size": batch_size, "shift": shift, "seed": seed,
        "loss": losses.describe(objective), "activity": [asdict(b) for b in bounds], "clip": clip, "chunk": chunk,
        "dtype": dtype, "processes": processes.world,
        "rule": maker and losses.describe(maker) + (", immediate" if immediate else ""),
    }  # fmt: skip
    run = Run(net, optimizer, schedule, settings, History())
    history, health = run.history, Health()
    if maker is None:
        step = Step(net, objective, bounds, chunk, clip, dtype, processes)
    else:
        built = rules.build(maker, net, objective)
        run.feedback = rules.drawn(built)
        step = OnlineStep(built, losses.decoder(objective), optimizer if immediate else None, clip, processes)
    net.train()
    with (
        torch.random.fork_rng(),
        _threads(threads),
        flushing(rule is not None),
        _progress_bar(progress and processes.first) as bar,
    ):
        # what the network draws differs between processes, as it does between the samples of one
        torch.manual_seed(seed if processes.first else _epoch_seed(seed, -processes.rank))
        if checkpoint is not None and Path(checkpoint).exists():
            run.load(checkpoint, processes.rank)
        task = bar.add_task(f"train on {data.name}", total=epochs * steps, completed=run.epoch * steps, status="")
        with closing(Curves(log if processes.first else None, run.epoch)) as curves:
            while run.epoch < epochs and (patience is None or history.stale() < patience):
                epoch, total, right, weight, fired = run.epoch, torch.zeros((), device=device), 0, 0, {}
                batches = train.batches(
                    batch_size, shuffle=True, seed=_epoch_seed(seed, epoch), shift=shift, share=processes.share
                )
                for number, (x, labels) in enumerate(batches, 1):
                    value, found, fired = step.gradients(x, labels, watch=number == steps)
                    if not torch.isfinite(value):
                        raise TrainingError(
                            f"{data.name}: the loss is {value.item()} in epoch {epoch + 1}, step {number}. "
                            f"Hint: a smaller lr than {lr:g}."
                        )
                    optimizer.step()
                    schedule.step()
                    total += value * weight_of(labels)
                    right, weight = right + found, weight + weight_of(labels)
                    bar.advance(task)
                (right,) = processes.sum_numbers(right)
                history.loss.append(total.item() / max(weight, 1))
                history.accuracy.append(right / max(weight, 1))
                status = f"loss {history.loss[-1]:.3f}  accuracy {history.accuracy[-1]:.2%}"
                if held is not None:
                    result = evaluate(net, held, loss=objective, processes=processes)
                    if history.validated(float(result.loss or 0), result.accuracy):
                        run.keep_best()
                    status += f"  validation {result.accuracy:.2%}"
                bar.update(task, status=status)
                if processes.first:
                    health.check(fired, epoch)
                    rates = {name: share.mean().item() for name, share in fired.items()}
                    curves.write(epoch, history, rates, float(schedule.get_last_lr()[0]))
                if checkpoint is not None:
                    generators = processes.gather(generator_state(device))
                    if processes.first:
                        run.save(checkpoint, generators)
        run.restore_best()
    return history


def _splits(data: Dataset, validation: float | Split | None) -> tuple[Split, Split | None]:
    """The training split, and the one to validate on."""
    if validation is None:
        return data.train, data.validation
    if isinstance(validation, Split):
        return data.train, validation
    # by the data's seed, so that training on keeps away from the same samples
    return data.train.hold_out(validation, seed=data.train.seed)


def _check(
    net: nn.Module, train: Split, held: Split | None, loss: Loss, bounds: list[ActivityBounds], *,
    epochs: int, patience: int | None, clip: float | None, chunk: int | None, dtype: str,
) -> None:  # fmt: skip
    """Refuse settings that cannot work, before anything is computed."""
    if epochs < 1 or not len(train):
        raise DataError(f"fit: {epochs} epochs of {len(train)} samples leave nothing to do.")
    for name, value in (("patience", patience), ("chunk", chunk)):
        if value is not None and value < 1:
            raise DataError(f"fit: {name} = {value} (allowed 1 or more).")
    if clip is not None and not clip > 0:
        raise DataError(f"fit: clip = {clip:g} (allowed above 0).")
    if patience is not None and held is None:
        raise DataError(f"fit: patience = {patience}, but there is no validation split. Hint: validation=0.1.")
    if chunk is not None and losses.decoder(loss) in (decoding.decode_first_spike, decoding.decode_max_membrane):
        raise DataError(
            f"fit: chunk = {chunk}, but {losses.describe(loss)} looks for one step of the whole sample. "
            "Hint: a loss on counts or on the membrane at each step."
        )
    for bound in bounds:
        bound.check(spiking(net))
    with connections_in(dtype, net):
        pass


def _check_rule(rule: Maker | None, *, immediate: bool, **others: Any) -> None:
    """Refuse settings that mean nothing with a rule, or without one."""
    if rule is None:
        if immediate:
            raise DataError("fit: immediate = True, but no gradient is known before a sample ends. Hint: rule='OTTT'.")
        return
    for name, value in others.items():
        if value not in (None, [], "float32"):
            raise DataError(f"fit: {name} = {value}, which rule = {losses.describe(rule)} cannot follow.")


def _groups(net: nn.Module, lr: float, neuron_lr: float | None) -> list[dict[str, Any]]:
    """The optimizer's groups: connections and all else, and where theirs is another step size, neurons' parameters."""
    own = {id(p) for m in net.modules() if isinstance(m, Neuron) for p in m.parameters(recurse=False)}
    neurons = [p for p in net.parameters() if id(p) in own]
    if neuron_lr is None or not neurons:
        return [{"params": list(net.parameters()), "lr": lr}]
    others = [p for p in net.parameters() if id(p) not in own]
    return [{"params": others, "lr": lr}, {"params": neurons, "lr": neuron_lr}]


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
