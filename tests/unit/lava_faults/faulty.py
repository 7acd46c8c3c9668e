"""A connection that fails in a chosen way; Lava finds the model in this folder."""

import os
import time
from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import AbstractPyDenseModelBitAcc
from lava.proc.dense.process import Dense


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text, lambda: None)


class FaultyDense(Dense):
    """Dense whose model fails as `fault` says."""


class Orphan(Dense):
    """A Process without a model."""


@implements(proc=FaultyDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FaultyDenseModel(AbstractPyDenseModelBitAcc):
    proc_params: Any

    def __init__(self, proc_params):
        super().__init__(proc_params)
        fault = proc_params["fault"]
        if fault == "raises when built":
            raise ZeroDivisionError("no such synapse")
        if fault == "dies when built":
            os._exit(4)

    def run_spk(self):
        fault = self.proc_params["fault"]
        if self.time_step == 3:
            if fault == "raises":
                print("said before")
                raise ValueError("weights are on fire")
            if fault == "raises the unpicklable":
                raise Unpicklable("cannot travel")
            if fault == "dies":
                os._exit(3)
            if fault == "leaves":
                raise SystemExit(0)
            if fault == "never returns":
                while True:
                    time.sleep(0.01)
            if fault == "is silent":
                self.s_in.recv()
                return
        super().run_spk()
