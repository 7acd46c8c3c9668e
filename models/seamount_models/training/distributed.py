"""Several processes that train one network, as `torchrun` starts them.

Each process codes and takes every n-th sample of a batch. With `L = sum_b w_b l_b / sum_b w_b` over the whole batch,
each computes the gradient of its own samples' terms, already divided by the weight of the whole batch, and the sum over
the processes is the gradient of L: the same as in one process, up to the rounding of the sum, also where the shares are
of different size or one is empty. This is why gradients are summed here, in one message after the backward pass, and
not by `DistributedDataParallel`, which takes the plain mean and waits for a process without samples for ever.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seamount.errors import TrainingError


@dataclass(frozen=True)
class Processes:
    """The processes of a run and this one among them.

    Attributes:
        rank: this process, 0..world-1; 0 prints and saves.
        world: number of processes.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls, net: nn.Module) -> Processes:
        """Meet the other processes, if `torchrun` started any; all begin with the weights of the first.

        Processes with a network on the CPU talk through gloo; with a network on a GPU through nccl, each moving its
        network to the GPU of its local rank. The group stays until the process ends.

        Raises:
            TrainingError: more processes on this machine than GPUs.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1 and not dist.is_initialized():
            return cls()
        local, device = int(os.environ.get("LOCAL_RANK", "0")), next(net.parameters()).device
        if device.type == "cuda":
            if local >= torch.cuda.device_count():
                raise TrainingError(
                    f"process {local} has no GPU of its own (used {local + 1}, limit {torch.cuda.device_count()}). "
                    "Hint: torchrun --nproc-per-node with the number of GPUs."
                )
            torch.cuda.set_device(local)
            net.to(f"cuda:{local}")
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(_leave)
        processes = cls(dist.get_rank(), dist.get_world_size())
        for value in net.state_dict().values():
            dist.broadcast(value, 0)
        return processes

    @property
    def first(self) -> bool:
        """Whether this process prints and saves."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """Which samples of a batch are this process's."""
        return slice(self.rank, None, self.world)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in the gradient of which each process stands for itself."""
        return value if self.world == 1 else _Sum.apply(value)  # type: ignore[return-value]

    def sum_gradients(self, parameters: Sequence[nn.Parameter], *also: Tensor) -> list[Tensor]:
        """Replace gradients by their sums over all processes, and return the sums of some scalars, in one message."""
        if self.world == 1:
            return list(also)
        trained = [p for p in parameters if p.requires_grad]
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in trained]
        message = torch.cat([x.detach().flatten().to(parts[0]) for x in (*parts, *also)])
        dist.all_reduce(message)
        *sums, rest = message.split([*(p.numel() for p in trained), len(also)])
        for p, total in zip(trained, sums, strict=True):
            p.grad = total.view_as(p)
        return list(rest)

    def sum_numbers(self, *numbers: float) -> list[float]:
        """Sums over all processes."""
        if self.world == 1:
            return list(numbers)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        message = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(message)
        return message.tolist()

    def gather(self, value: Tensor) -> list[Tensor]:
        """The tensors of all processes, of one shape and dtype, on the CPU."""
        if self.world == 1:
            return [value]
        value = value.cuda() if dist.get_backend() == "nccl" else value
        found = [torch.empty_like(value) for _ in range(self.world)]
        dist.all_gather(found, value)
        return [x.cpu() for x in found]


ALONE = Processes()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        # every process computes the same function of the sum, and gradients are summed once, afterwards
        return gradient


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
