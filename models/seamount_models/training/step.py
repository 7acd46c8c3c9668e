"""One training step: a batch in, gradients of the whole batch in every process, weights moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seamount.errors import DataError
from seamount.nn import carrying
from seamount_models import losses
from seamount_models.losses import ActivityBounds, Loss
from seamount_models.losses.activity import rates
from seamount_models.training.activity import watching
from seamount_models.training.distributed import Processes
from seamount_models.training.evaluation import correct, weight_of
from seamount_models.training.precision import connections_in


@dataclass(frozen=True)
class Step:
    """What a step does with a batch; arguments as in `fit`."""

    net: nn.Module
    loss: Loss
    bounds: Sequence[ActivityBounds]
    chunk: int | None
    clip: float | None
    dtype: str
    processes: Processes

    def gradients(self, x: Tensor, labels: Tensor, watch: bool = False) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Leave the gradient of the whole batch, over all processes, in the parameters.

        Args:
            x: spikes `[T, B, ...]` of this process's share of the batch, which may be empty.
            labels: int64 `[B]` or `[T, B]`, of the whole batch.
            watch: return how often neurons fired.

        Returns:
            Mean loss of the whole batch, without the penalty on activity; this process's number of right answers; and,
            where they are watched, by population the share of steps, of this process's samples (in the last chunk),
            in which each neuron fired, float `[...]`.
        """
        mine = own_labels(x, labels, self.processes)
        parameter = next(self.net.parameters())
        whole, batch, steps = weight_of(labels), labels.shape[-1], len(x)
        labels = mine.to(parameter.device)
        if not x.shape[1]:  # a stand-in that counts for nothing: also this process has its part in the rates of all
            x = x.new_zeros(steps, 1, *x.shape[2:])
        share = labels.shape[-1] / batch
        value, outputs = torch.zeros((), device=parameter.device), []
        self.net.zero_grad()
        watched = watching(self.net) if watch or self.bounds else nullcontext({})
        with carrying(self.net) if self.chunk else nullcontext(), watched as spikes:
            for part, part_labels in self._chunks(x, labels):
                with connections_in(self.dtype, self.net):
                    output = self.net(part.to(parameter.device, parameter.dtype))
                part_weight = weight_of(part_labels)
                if labels.ndim == 1:
                    part_weight *= len(part) / steps
                objective = torch.zeros((), device=parameter.device)
                if part_weight:
                    objective = self.loss(output, part_labels) * (part_weight / whole)
                value = value + objective.detach()
                for bounds in self.bounds:
                    objective = objective + bounds(spikes, lambda s: self.processes.sum(rates(s) * share)) * (
                        len(part) / steps
                    )
                if objective.requires_grad:
                    objective.backward()
                outputs.append(output.detach())
            fired = {name: (s.detach() != 0).float().mean((0, 1)) for name, s in spikes.items()} if watch else {}
        right = correct(torch.cat(outputs), labels, losses.decoder(self.loss)) if labels.shape[-1] else 0
        if self.processes.world > 1:
            (value,) = self.processes.sum_gradients(list(self.net.parameters()), value)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
        return value, right, fired

    def _chunks(self, x: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.chunk or len(x)
        for start in range(0, len(x), size):
            yield x[start : start + size], labels[start : start + size] if labels.ndim == 2 else labels


def own_labels(x: Tensor, labels: Tensor, processes: Processes) -> Tensor:
    """Return the labels of this process's share of a batch, `[B]` or `[T, B]`; arguments as for `Step.gradients`.

    Raises:
        DataError: they do not fit the spikes.
    """
    mine = labels[..., processes.share]
    if x.ndim < 3 or x.shape[1] != mine.shape[-1] or (labels.ndim == 2 and mine.shape != x.shape[:2]):
        raise DataError(
            f"fit: a batch of spikes has shape {list(x.shape)} and labels {list(mine.shape)} "
            "(needed [T, B, ...] and [B] or [T, B]). Hint: time comes first."
        )
    return mine
