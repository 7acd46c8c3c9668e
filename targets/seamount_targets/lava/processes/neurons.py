"""Neurons beside Lava's LIFReset: other resets, and the readout. Both subclass Lava's models, which move u and v."""

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


class _Subtract:
    """`v = v - reset_by s`."""

    proc_params: Any
    v: np.ndarray

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        self.v -= spike_vector * self.proc_params["reset_by"]


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
