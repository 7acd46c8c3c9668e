"""Neurons beside Lava's LIFReset: other resets, two thresholds, the readout; Lava's models move u and v."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc, PyLifResetModelFloat
from lava.proc.lif.process import LIFReset


class LIFSubtract(LIFReset):
    """LIFReset whose spikes take `reset_by` from v; 0 for no reset.

    Args:
        reset_by: in units of v, () or `shape`.
        kwargs: those of LIFReset.
    """

    def __init__(self, *, reset_by, **kwargs) -> None:
        super().__init__(**kwargs)
        self.proc_params["reset_by"] = reset_by


class LIReset(LIFReset):
    """Leaky integrator that clears u and v at each sample and sends v; arguments are those of LIFReset."""


class LIFTwoSided(LIFReset):
    """LIFReset with a threshold on either side.

    Args:
        reset_by: what a spike takes from v toward 0; None to reset to zero.
        shift: what v is shifted down by to be sent, () or `shape`; None to send -1, 0 or 1.
        kwargs: those of LIFReset.
    """

    def __init__(self, *, reset_by, shift, **kwargs) -> None:
        super().__init__(**kwargs)
        self.proc_params["reset_by"], self.proc_params["shift"] = reset_by, shift


class _Subtract:
    """`v = v - reset_by s`."""

    proc_params: Any
    v: np.ndarray

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        self.v -= spike_vector * self.proc_params["reset_by"]


class _TwoSided:
    proc_params: Any
    v: np.ndarray
    vth: np.ndarray
    fires: np.ndarray

    def spiking_activation(self) -> np.ndarray:
        vth = getattr(self, "effective_vth", self.vth)
        self.fires = 1 * (self.v > vth) - (self.v < -vth)
        return self.fires if self.proc_params["shift"] is None else np.abs(self.fires) * self.value()

    def value(self) -> np.ndarray:
        """What a spike carries."""
        return self.v

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        reset_by = self.proc_params["reset_by"]
        self.v -= np.abs(self.fires) * self.v if reset_by is None else self.fires * reset_by


class _Integrate:
    """Sends v, and never resets it for a spike."""

    v: np.ndarray

    def spiking_activation(self) -> np.ndarray:
        return self.v

    def reset_voltage(self, spike_vector: np.ndarray) -> None: ...


# Lava refuses a model that implements a second Process, unless it disowns the first.
@implements(proc=LIFSubtract, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LIFSubtractFixed(_Subtract, PyLifResetModelBitAcc):
    implements_process = None


@implements(proc=LIFSubtract, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class LIFSubtractFloat(_Subtract, PyLifResetModelFloat):
    implements_process = None


@implements(proc=LIFTwoSided, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LIFTwoSidedFixed(_TwoSided, PyLifResetModelBitAcc):
    implements_process = None

    def value(self) -> np.ndarray:
        return self.v >> self.proc_params["shift"]


@implements(proc=LIFTwoSided, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class LIFTwoSidedFloat(_TwoSided, PyLifResetModelFloat):
    implements_process = None


@implements(proc=LIReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LIResetFixed(_Integrate, PyLifResetModelBitAcc):
    implements_process = None


@implements(proc=LIReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class LIResetFloat(_Integrate, PyLifResetModelFloat):
    implements_process = None
