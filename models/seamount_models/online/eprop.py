"""e-prop."""

from __future__ import annotations

from seamount.errors import TrainingError
from seamount_models.online.dynamics import Filter
from seamount_models.online.factors import Eligibility
from seamount_models.online.network import Layer
from seamount_models.online.rule import Rule


class EProp(Rule):
    r"""e-prop: eligibilities, filtered as the readout filters, and the readout's error at every population.

        E[t] = d s[t] / d W by the neuron's own partial derivatives,   R[t] = readout(E)[t],   g_W[t] = error[t] R[t]

    For a population, recurrent or not, that a readout without spikes reads, this is the gradient, but for what spikes
    do through recurrent connections later. The paper leaves the reset out too: `detach_reset=True` in the neuron;
    an adaptive threshold is followed where it is not left out. O(n^2) memory.

    Args:
        net, loss: as for Rule.
        feedback: default the readout's weights, for populations that it reads (symmetric e-prop); Direct for random
            ones, which every population can have.

    Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons",
    Eq. 1 and Methods.
    """

    factor = Eligibility
    recurrent = True

    def after(self, layer: Layer) -> Filter | None:
        output = self.network.output
        if layer is output:
            return None
        response = output.dynamics.response()
        if isinstance(response, str):
            raise TrainingError(f"{self.name}: {output.name}: {response}. Hint: sm.nn.LI.")
        if not self.feedback.direct and any(reader is not output for reader, _ in self.network.readers(layer)):
            raise TrainingError(
                f"{self.name}: {layer.name} is read by others than the readout, {output.name}. "
                "Hint: feedback=online.Direct()."
            )
        return response
