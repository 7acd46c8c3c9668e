"""What enters a network: one row a step."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Stream(AbstractProcess):
    """Sends `rows[t]` in chip step `t + 1`, and zeros after the last row.

    Lava's RingBuffer holds time in its last dimension, in 32 bits, once per process; this one sends from the array that
    the processes share.

    Args:
        rows: `[steps, n]`.
        name: as in errors.
    """

    def __init__(self, *, rows: np.ndarray, name: str) -> None:
        super().__init__(rows=rows, name=name)
        self.s_out = OutPort(shape=rows.shape[1:])


class _Stream(PyLoihiProcessModel):
    proc_params: Any
    s_out: Any

    def run_spk(self) -> None:
        rows = self.proc_params["rows"]
        step = self.time_step - 1
        self.s_out.send(rows[step] if step < len(rows) else np.zeros_like(rows[0]))


@implements(proc=Stream, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StreamFixed(_Stream):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)  # type: ignore[assignment]


@implements(proc=Stream, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class StreamFloat(_Stream):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)  # type: ignore[assignment]
