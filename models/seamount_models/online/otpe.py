r"""Online training with postsynaptic estimates, and its three relatives.

OTPE follows what a weight has done to the spikes of its population on into the next one, as far as that one only adds
and forgets. With next the linear response of the reading population (of a LIF: the sum over its own lambda^k; so it is
the *next* population's lambda that R has) and E what OSTL has:

    hidden   R[t] = next(E)[t],    g_W[t] = error[t] R[t]
    output   R = E                                            as in OSTL
             F-: R[t] = lambda R[t-1] + E[t], the loss being of the leaky sum y[t] = lambda y[t-1] + s[t]

The approximate form has vectors: R ~ g pre, with

    pre[t] = next(own)[t]             own the trace of OTTT; z^ of section 3.1
    g[t]   = next(f)[t] / next(1)[t]  the average of f(z), whose weights add up to 1

The paper writes g with 1/T, T the present step, over weights lambda^(T-t), which add up to (1 - lambda^T)/(1 - lambda)
and not to T; it calls g an average. Here it is one, so that g pre is R where f is constant.

In networks of several hidden populations the error passes each by g as well, in OTPE as in the approximate form
(section 3.1), and by f in the output population, whose spikes are not followed on; in the F- forms by g there too.

Source: "Estimating post-synaptic effects for online training of feed-forward SNNs" (arXiv:2311.16151), Eq. 3 to 5.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seamount.errors import TrainingError
from seamount_models.online.dynamics import Filter
from seamount_models.online.factors import Eligibility, Vector
from seamount_models.online.network import Layer
from seamount_models.online.rule import Rule


class OTPE(Rule):
    """OTPE: eligibilities of synapses, followed on into the next population.

    With one hidden population and the output's reset detached, exact in both. O(n^2) memory.

    Args:
        net, loss, feedback: as for Rule; feed-forward, and the reading populations reset by subtraction.
    """

    factor = Eligibility

    def after(self, layer: Layer) -> Filter | None:
        readers = self.network.readers(layer)
        found = {reader.name: reader.dynamics.response() for reader, _ in readers}
        for name, response in found.items():
            if isinstance(response, str):
                raise TrainingError(
                    f"{self.name}: {name}: {response}. Hint: a LIF with reset='subtract', or online.OSTL."
                )
        if len(set(found.values())) > 1:
            raise TrainingError(
                f"{self.name}: {layer.name} is read by {', '.join(found)}, which forget differently (allowed: alike)."
            )
        return next(iter(found.values()), None)  # type: ignore[return-value]


class ApproxOTPE(OTPE):
    """Approximate OTPE: vectors in the place of eligibilities, O(n) memory.

    Args:
        net, loss, feedback: as for OTPE; every population resets by subtraction.
    """

    factor = Vector
    detach = True


class FOTPE(OTPE):
    """F-OTPE: the loss is of the leaky sum of the output's spikes, `y[t] = leak y[t-1] + s[t]`.

    In the output population it is exact, the reset attached.

    Args:
        net, loss, feedback: as for OTPE.
        leak: of the sum, 0..1; default the retention of the output population.
    """

    def __init__(
        self, net: nn.Module, loss: Any = "cross_entropy", *, leak: float | None = None, **options: Any
    ) -> None:
        if leak is not None and not 0 <= leak <= 1:
            raise TrainingError(f"{self.name}: leak = {leak} (allowed 0..1).")
        self.leak = leak
        super().__init__(net, loss, **options)

    def _form(self) -> None:
        super()._form()
        self.sum = self._leak().trace()

    def after(self, layer: Layer) -> Filter | None:
        return self._leak() if layer is self.network.output else super().after(layer)

    def top_error(self, output: Tensor, target: Tensor, weight: float) -> Tensor:
        return super().top_error(self.sum(output), target, weight)

    def reset(self) -> None:
        super().reset()
        self.sum.reset()

    def _leak(self) -> Filter:
        if self.leak is not None:
            return Filter.leak(self.leak)
        beta = torch.as_tensor(self.network.output.neuron.fields()["beta"])
        if beta.min() != beta.max():
            raise TrainingError(f"{self.name}: {self.network.output.name} has several retentions. Hint: leak=...")
        return Filter.leak(float(beta.flatten()[0]))


class FApproxOTPE(ApproxOTPE, FOTPE):
    """F-Approx OTPE: the loss of F-OTPE, the vectors of Approx OTPE.

    Args:
        net, loss, leak, feedback: as for FOTPE.
    """
