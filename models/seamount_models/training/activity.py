"""The spikes of every population during training: with their gradient for bounds, counted for warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from seamount.nn import populations

DEAD = 0.9
"""A population with at least this share of neurons that never fired in a batch is dead."""
SATURATED = 0.9
"""A population that fires in at least this share of all steps is saturated."""


class ActivityWarning(UserWarning):
    """A population hardly fires, or fires all the time, and so learns nothing."""


@contextmanager
def watching(net: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Keep the spikes of each spiking population's last forward pass, with their gradient.

    Yields:
        Population -> spikes `[T, B, ...]`, filled by forward passes inside the block; names as in `populations`.
    """
    spikes: dict[str, Tensor] = {}

    def keeper(name: str):
        def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            spikes[name] = output

        return keep

    handles = [net.get_submodule(name).register_forward_hook(keeper(name)) for name in spiking(net)]
    try:
        yield spikes
    finally:
        for handle in handles:
            handle.remove()


def spiking(net: nn.Module) -> list[str]:
    """Names of the populations that spike."""
    return [name for name, population in populations(net).items() if population.spiking]


class Health:
    """Says once for each population that it is dead or saturated."""

    def __init__(self) -> None:
        self.said: set[tuple[str, str]] = set()

    def check(self, shares: dict[str, Tensor], epoch: int) -> None:
        """Warn of what a batch of the epoch (from 0) shows: by population, the share of steps in which each fired."""
        for name, fired in shares.items():
            silent, rate = (fired == 0).float().mean().item(), fired.mean().item()
            if silent >= DEAD:
                self._say(
                    name,
                    f"{name}: {silent:.0%} of its {fired.numel()} neurons never fired in a batch of epoch {epoch + 1}, "
                    "so it hardly learns. Hint: larger weights into it or a smaller vth; a wider surrogate; or a lower "
                    "bound on its rate, activity={'lower': 0.01}.",
                )
            elif rate >= SATURATED:
                self._say(
                    name,
                    f"{name}: its neurons fired in {rate:.0%} of all steps in a batch of epoch {epoch + 1}, so it "
                    "hardly tells samples apart. Hint: smaller weights into it or a larger vth; a smaller lr; or an "
                    "upper bound on its rate, activity={'upper': 0.5}.",
                )

    def _say(self, name: str, message: str) -> None:
        kind = message.split("Hint")[-1]
        if (name, kind) not in self.said:
            self.said.add((name, kind))
            warnings.warn(message, ActivityWarning, stacklevel=4)
