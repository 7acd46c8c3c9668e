r"""Online training through time."""

from __future__ import annotations

from seamount_models.online.factors import Vector
from seamount_models.online.rule import Rule


class OTTT(Rule):
    r"""OTTT: a trace of the source, the surrogate, and the error of this step.

        pre[t] = beta pre[t-1] + x[t],     g_W[t] = (f(z[t]) error[t]) pre[t]^T

    The error comes back through the step's own spikes. Equal to backpropagation through time with every reset detached
    and v[t-1] detached in all populations but the weight's own; so it is exact in the last population. O(n) memory.

    It follows recurrent connections too: their spikes of earlier steps have a trace like any other, and no error goes
    back through them (section 4.1). OTTT-A and OTTT-O differ in when the optimizer steps: `training.fit`.

    Args:
        net, loss, feedback: as for Rule. Populations: LIF, IF and CuBa-LIF (whose trace is of second order) with reset
            by subtraction, and readouts.

    Source: Xiao et al. 2022, "Online Training Through Time for Spiking Neural Networks", Eq. 4, 5 and 7.
    """

    factor = Vector
    detach = True
    recurrent = True
