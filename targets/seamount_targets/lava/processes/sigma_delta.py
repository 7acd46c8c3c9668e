"""Lava's SigmaDelta with parameters a neuron's each, input aligned as all neurons' is, and a clean state per sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.sdn.models import PySigmaDeltaModelFixed, PySigmaDeltaModelFloat
from lava.proc.sdn.process import ActivationMode, SigmaDelta

from seamount.fixed_point import ACT_SHIFT, clip


class SigmaDeltaReset(SigmaDelta):
    """SigmaDelta whose `sigma` is v.

    Args:
        shape: of the population.
        vth: changes are sent from there on, () or `shape`.
        bias: in units of v, () or `shape`.
        shift: of what is sent, () or `shape`.
        activation, cumulative: as of the node.
        interval: steps per sample.
        start: chip step, from 0, of the population's first step.
        name: of the process.
    """

    def __init__(
        self, *, shape: tuple[int, ...], vth, bias, shift, activation: str, cumulative: int, interval: int, start: int,
        name: str,
    ) -> None:  # fmt: skip
        mode = ActivationMode[activation.upper()]
        super().__init__(shape=shape, vth=0, act_mode=mode, cum_error=bool(cumulative), name=name)
        self.proc_params["interval"], self.proc_params["start"] = interval, start
        for parameter, value in (("vth", vth), ("bias", bias), ("state_exp", shift)):
            setattr(self, parameter, Var(shape=shape, init=np.broadcast_to(value, shape).copy()))


class _Fresh:
    """Clears the state before a sample's first step; v is `sigma`."""

    proc_params: Any
    time_step: int

    @property
    def v(self) -> np.ndarray:
        return self.sigma

    def run_spk(self) -> None:
        if (self.time_step - 1 - self.proc_params["start"]) % self.proc_params["interval"] == 0:
            self.sigma = np.zeros_like(self.sigma)
            self.act, self.residue, self.error = (np.zeros_like(self.sigma) for _ in range(3))
        super().run_spk()  # type: ignore[misc]


# Lava refuses a model that implements a second Process, unless it disowns the first.
@implements(proc=SigmaDeltaReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SigmaDeltaResetFixed(_Fresh, PySigmaDeltaModelFixed):
    """Input is aligned by ACT_SHIFT; sums saturate, which Lava leaves to the chip."""

    implements_process = None

    def sigma_dynamics(self, a_in_data: np.ndarray) -> np.ndarray:
        return clip(super().sigma_dynamics(a_in_data << ACT_SHIFT))  # type: ignore[misc]

    def activation_dynamics(self, sigma_data: np.ndarray) -> np.ndarray:
        return clip(super().activation_dynamics(sigma_data))  # type: ignore[misc]


@implements(proc=SigmaDeltaReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SigmaDeltaResetFloat(_Fresh, PySigmaDeltaModelFloat):
    implements_process = None
