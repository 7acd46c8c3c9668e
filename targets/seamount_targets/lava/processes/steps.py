"""Any population: a process that runs the node's own step, where Lava has no model of it.

What it computes is the reference's by construction; that its spikes take Lava's way through time, connections and
samples is what Lava witnesses. Populations that Lava's own models cover run on these (`neurons.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from seamount.ir import Population


class Steps(AbstractProcess):
    """A population, with a clean state at the first step of each sample.

    Args:
        node: population of either stage.
        interval: steps per sample.
        start: chip step, from 0, of the population's first step.
        name: of the process.
    """

    def __init__(self, *, node: Population, interval: int, start: int, name: str) -> None:
        super().__init__(node=node, interval=interval, start=start, name=name)
        self.a_in = InPort(shape=node.shape)
        self.s_out = OutPort(shape=node.shape)
        self.v = Var(shape=node.shape, init=0)


class _Step(PyLoihiProcessModel):
    proc_params: Any
    state: Any = None
    number: type
    sent: type
    a_in: Any
    s_out: Any
    v: Any

    def run_spk(self) -> None:
        node = self.proc_params["node"]
        a = self.a_in.recv().astype(self.number)
        if self.state is None or (self.time_step - 1 - self.proc_params["start"]) % self.proc_params["interval"] == 0:
            self.state = tuple(np.zeros(node.shape, self.number) for _ in node.STATE)
        out, *self.state = node.step(a, *self.state, *node.constants())
        self.v = self.state[node.STATE.index("v")]
        self.s_out.send(out.astype(self.sent))


@implements(proc=Steps, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StepsFixed(_Step):
    number, sent = np.int64, np.int32
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    v = LavaPyType(np.ndarray, np.int64)


@implements(proc=Steps, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class StepsFloat(_Step):
    number, sent = np.float64, np.float64
    a_in = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, float)
    v = LavaPyType(np.ndarray, float)
