"""Lava's Dense and Sparse with a delay, which deliver nothing of the last sample into the next."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import AbstractPyDenseModelBitAcc, AbstractPyDenseModelFloat
from lava.proc.dense.process import Dense
from lava.proc.sparse.models import AbstractPySparseModelBitAcc, AbstractPySparseModelFloat
from lava.proc.sparse.process import Sparse


class DelayedDense(Dense):
    """Dense that takes `1 + extra` steps, and is silent in the first `delay` steps of each sample of its target.

    Args:
        extra: chip steps beyond Dense's own one.
        delay: canonical delay; the spikes that arrive in a sample's first `delay` steps are of the sample before.
        start: chip step, from 0, of the target's first step.
        interval: steps per sample.
        kwargs: those of Dense.
    """

    def __init__(self, *, extra: int, delay: int, start: int, interval: int, **kwargs) -> None:
        super().__init__(extra=extra, delay=delay, start=start, interval=interval, **kwargs)


class DelayedSparse(Sparse):
    """Sparse that takes `1 + extra` steps, as DelayedDense."""

    def __init__(self, *, extra: int, delay: int, start: int, interval: int, **kwargs) -> None:
        super().__init__(extra=extra, delay=delay, start=start, interval=interval, **kwargs)


class _Delayed:
    """Swaps the vector that is due into the one-step buffer of Lava's model, and the new one out of it."""

    proc_params: Any
    time_step: int
    a_buff: np.ndarray
    line: deque[np.ndarray] | None = None

    def run_spk(self) -> None:
        p = self.proc_params
        if self.line is None:
            self.line = deque([np.zeros_like(self.a_buff)] * (1 + p["extra"]))
        due = self.line.popleft()
        step = (self.time_step - 1 - p["start"]) % p["interval"]
        self.a_buff = due if step >= p["delay"] else np.zeros_like(due)
        super().run_spk()  # type: ignore[misc]
        self.line.append(self.a_buff)


@implements(proc=DelayedDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayedDenseFixed(_Delayed, AbstractPyDenseModelBitAcc):
    pass


@implements(proc=DelayedDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DelayedDenseFloat(_Delayed, AbstractPyDenseModelFloat):
    pass


@implements(proc=DelayedSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayedSparseFixed(_Delayed, AbstractPySparseModelBitAcc):
    pass


@implements(proc=DelayedSparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DelayedSparseFloat(_Delayed, AbstractPySparseModelFloat):
    pass
