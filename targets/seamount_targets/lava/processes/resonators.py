"""Lava's RF with parameters of any value, a neuron's each, and a clean state at the first step of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.rf.models import PyRFModelFixed, PyRFModelFloat
from lava.proc.rf.process import RF

from seamount.fixed_point import ACT_SHIFT, DECAY_BITS


class RFReset(RF):
    """RF whose `real` and `imag` are u and v.

    Args:
        shape: of the population.
        re, im: what `real + i imag` is multiplied with, in 4096ths or as a fraction, () or `shape`.
        vth: u fires from there on.
        interval: steps per sample.
        start: chip step, from 0, of the population's first step.
        name: of the process.
    """

    def __init__(self, *, shape: tuple[int, ...], re, im, vth, interval: int, start: int, name: str) -> None:
        super().__init__(shape=shape, period=1, alpha=0, state_exp=ACT_SHIFT, decay_bits=DECAY_BITS, name=name)
        self.proc_params["interval"], self.proc_params["start"] = interval, start
        for parameter, value in (("cos_decay", re), ("sin_decay", im), ("vth", vth)):
            setattr(self, parameter, Var(shape=shape, init=np.broadcast_to(value, shape).copy()))


class _Fresh:
    """Clears the state before a sample's first step; v is `imag`."""

    proc_params: Any
    time_step: int
    real: np.ndarray
    imag: np.ndarray

    @property
    def v(self) -> np.ndarray:
        return self.imag

    def run_spk(self) -> None:
        if (self.time_step - 1 - self.proc_params["start"]) % self.proc_params["interval"] == 0:
            self.real[:], self.imag[:] = 0, 0
        super().run_spk()  # type: ignore[misc]


# Lava refuses a model that implements a second Process, unless it disowns the first; its input port has 16 bits.
@implements(proc=RFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RFResetFixed(_Fresh, PyRFModelFixed):
    implements_process = None
    a_real_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)  # type: ignore[assignment]
    a_imag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)  # type: ignore[assignment]
    sin_decay: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=12)  # type: ignore[assignment]
    cos_decay: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=12)  # type: ignore[assignment]


@implements(proc=RFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class RFResetFloat(_Fresh, PyRFModelFloat):
    implements_process = None
    sin_decay: np.ndarray = LavaPyType(np.ndarray, float)  # type: ignore[assignment]
    cos_decay: np.ndarray = LavaPyType(np.ndarray, float)  # type: ignore[assignment]
    vth: np.ndarray = LavaPyType(np.ndarray, float)  # type: ignore[assignment]
