"""Neurons that teach the connection before them, and the gate that keeps what comes too early from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.neuron import LearningNeuronModelFixed
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LearningLIF

from seamount.learning.modulator import modulator


class Gate(AbstractProcess):
    """Passes spikes on in the same step, from chip step `start` (counted from 0) on; before it, sends none.

    Without it, a bias could make neurons fire before their first sample, and leave a trace in the connection.
    """

    def __init__(self, *, size: int, start: int, name: str) -> None:
        super().__init__(size=size, start=start, name=name)
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))


class LearningLIFReset(LearningLIF):
    """LearningLIF that clears u and v at each sample, and sends the modulator; its third factor is the target, 0 or 1.

    Args:
        reset_interval, reset_offset: as of LIFReset.
        reset_by: what a spike takes from v, in units of v; None to reset to zero.
        start: chip step, from 0, of the first sample.
        table, shift, low: of the modulator.
        kwargs: those of LearningLIF.
    """

    def __init__(
        self, *, reset_interval: int, reset_offset: int, reset_by, start: int, table: np.ndarray, shift: int, low: int,
        **kwargs,
    ) -> None:  # fmt: skip
        super().__init__(
            reset_interval=reset_interval, reset_offset=reset_offset, reset_by=reset_by, start=start,
            table=table, shift=shift, low=low, **kwargs,
        )  # fmt: skip


@implements(proc=Gate, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GateFixed(PyLoihiProcessModel):
    proc_params: Any
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)  # type: ignore[assignment]
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)  # type: ignore[assignment]

    def run_spk(self) -> None:
        s = np.asarray(self.s_in.recv())
        self.s_out.send(s if self.time_step > self.proc_params["start"] else np.zeros_like(s))


@implements(proc=LearningLIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LearningLIFResetFixed(LearningNeuronModelFixed, PyLifResetModelBitAcc):
    """u, v, threshold and reset at each sample are Lava's; the reset after a spike and what is sent are ours."""

    implements_process = None
    proc_params: Any
    effective_vth: Any

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        p = self.proc_params
        target = self.a_third_factor_in.recv()
        if self.time_step > p["start"]:
            y = modulator(
                self.v, spike_vector.astype(int), target, self.effective_vth, p["table"], p["shift"], p["low"]
            )
            self.y1[:], self.y2[:] = np.maximum(y, 0), np.maximum(-y, 0)
        if p["reset_by"] is None:
            super().reset_voltage(spike_vector)  # type: ignore[attr-defined]
        else:
            self.v -= spike_vector * p["reset_by"]

    def run_spk(self) -> None:
        super().run_spk()
        # Real back-propagating spikes would clip the traces; the rule has no y0 product.
        self.s_out_bap.send(np.zeros(self.y1.shape, bool))
        self.s_out_y1.send(self.y1)
        self.s_out_y2.send(self.y2)
        self.s_out_y3.send(self.y3)
