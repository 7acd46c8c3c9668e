"""Feedback from a population to an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seamount.errors import SeamountError
from seamount.nn.neuron import held


class Feedback(nn.Module):
    r"""Populations of which the first also hears the last: `s = body(x + connection(s delayed))`.

        a[t] = x[t] + connection(s[t - delay]),    s[t] = body(a)[t]

    What the last population sends within `delay` steps cannot change what the body does in them, so that the body
    runs on as many at once: its layers see `[delay, B, ...]`, and a long delay costs no speed.

    On a chip, where every connection takes a step, a loop has no room for less delay than it has connections:
    `passes.schedule` refuses it, and says which delay would do.

    Args:
        body: from synaptic input `[T, B, ...]` to spikes; it begins with a neuron.
        connection: from the body's spikes to synaptic input, without a bias: `nn.Linear`, a convolution, or a
            Sequential of pools and one of them.
        delay: steps, 1 or more.

    Raises:
        SeamountError: a delay below 1, or a connection with a bias.

    Example:
        >>> import torch, seamount as sm
        >>> lif = lambda: sm.nn.LIF(beta=0.9)
        >>> body = torch.nn.Sequential(lif(), torch.nn.Linear(4, 3, bias=False), lif())
        >>> sm.nn.Feedback(body, torch.nn.Linear(3, 4, bias=False), delay=2)(torch.zeros(5, 2, 4)).shape
        torch.Size([5, 2, 3])
    """

    carrying: Callable[[Tensor], Tensor] | None = None
    carried: Tensor | None = None

    def __init__(self, body: nn.Module, connection: nn.Module, delay: int = 1) -> None:
        super().__init__()
        if delay < 1:
            raise SeamountError(f"Feedback: delay = {delay} (allowed 1 or more).")
        if any(getattr(m, "bias", None) is not None for m in connection.modules()):
            raise SeamountError("Feedback: its connection has a bias (allowed: none). Hint: that of the first neuron.")
        self.body, self.connection, self.delay = body, connection, delay

    def forward(self, x: Tensor) -> Tensor:
        """Synaptic input `[T, B, ...]` of the first population -> spikes `[T, B, ...]` of the last."""
        heard, parts = self.carried, []
        with held(self), self._going_on() as record:
            for a in x.split(self.delay):
                s = self.body(a if heard is None else a + self.connection(heard[: len(a)]))
                heard = s.new_zeros(self.delay, *s.shape[1:]) if heard is None else heard
                heard = torch.cat([heard, s])[len(s) :]
                parts.append(s)
                record()
        if self.carrying and heard is not None:
            self.carried = self.carrying(heard)
        return torch.cat(parts)

    @contextmanager
    def _going_on(self) -> Iterator[Callable[[], None]]:
        """Let passes of the body continue one another, gradients included, and what they record join.

        Yields:
            To be called after each pass.
        """
        modules: list[Any] = [m for m in self.body.modules() if hasattr(m, "carrying")]
        seen = {m: ([], []) for m in modules if getattr(m, "recording", False)}

        def record() -> None:
            for neuron, (spikes, v) in seen.items():
                spikes.append(neuron.recorded_spikes)
                v.append(neuron.recorded_v)

        for module in modules:
            module.carrying = _as_it_is
        try:
            yield record
        finally:
            for module in modules:
                module.carrying = self.carrying
                module.carried = _ended(self.carrying, module.carried)
        for neuron, (spikes, v) in seen.items():
            neuron.recorded_spikes, neuron.recorded_v = torch.cat(spikes), torch.cat(v)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _ended(carrying: Callable[[Tensor], Tensor] | None, carried: Any) -> Any:
    """What a module keeps of its state at the end of a sequence."""
    if carrying is None or carried is None:
        return None
    return carrying(carried) if isinstance(carried, Tensor) else tuple(carrying(x) for x in carried)
