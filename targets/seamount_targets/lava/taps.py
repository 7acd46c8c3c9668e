"""Recording what a process sends or holds, straight into shared memory.

Lava's Monitor is a process more per variable, and reading it moves one element at a time. A tap is a subclass of the
process model, made when it is chosen, that runs the model's own step and copies what it left.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_configs import Loihi2SimCfg


def tap(process: AbstractProcess, **traces: np.ndarray) -> None:
    """Record ports and variables of a process.

    Args:
        process: any Process with a Python model.
        traces: by name of an OutPort or Var, a shared array `[steps, *shape]`; row `t` takes what is sent in chip step
            `t + 1`, or the variable's value after it. A trace of one row keeps the last.
    """
    process.proc_params["taps"] = traces


class TappedRunConfig(Loihi2SimCfg):
    """Lava's choice of models; those of processes with taps record."""

    def select(self, process, proc_models):
        model = super().select(process, proc_models)
        return _tapped(model) if process.proc_params.get("taps") else model


@functools.cache
def _tapped(model: type[PyLoihiProcessModel]) -> type[PyLoihiProcessModel]:
    class Tapped(model):
        proc_params: Any

        def start(self) -> None:
            self.held = {}
            for name, trace in self.proc_params["taps"].items():
                if isinstance(port := getattr(self, name), PyOutPort):
                    _tap_port(self, port, trace)
                else:
                    self.held[name] = trace
            super().start()

        def run_spk(self) -> None:
            super().run_spk()
            self.record()

        def run_lrn(self) -> None:
            super().run_lrn()
            self.record()

        def record(self) -> None:
            for name, trace in self.held.items():
                trace[(self.time_step - 1) % len(trace)] = getattr(self, name)

    Tapped.__name__ = f"Tapped{model.__name__}"
    return Tapped


def _tap_port(model: PyLoihiProcessModel, port: PyOutPort, trace: np.ndarray) -> None:
    send = port.send

    def send_and_record(data) -> None:
        trace[(model.time_step - 1) % len(trace)] = data
        send(data)

    port.send = send_and_record
