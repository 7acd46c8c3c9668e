"""SuperSpike."""

from __future__ import annotations

from torch import Tensor, nn

from seamount.errors import TrainingError
from seamount_models.online.dynamics import Filter
from seamount_models.online.factors import Eligibility
from seamount_models.online.feedback import Feedback
from seamount_models.online.network import Layer
from seamount_models.online.rule import Rule


class SuperSpike(Rule):
    r"""SuperSpike: learn spike times. The error is that of filtered spike trains, and eligibilities are filtered alike.

        e[t] = alpha * (s - target)[t],   R[t] = alpha * (f(z) response(x))[t],   g_W[t] = e[t] R[t]
        alpha[k] = (decay^(k+1) - rise^(k+1)) / (decay - rise)

    The loss is van Rossum's distance, `1/2 sum over t, neurons of e[t]^2`, mean over the batch. Exact in the output
    population, the reset detached. Hidden populations get the output's e by the feedback, with no surrogates on its
    way.

    Args:
        net: feed-forward or recurrent; every population spikes.
        rise, decay: retentions of the two filters of alpha, 0..1.
        feedback: default the transposed weights; Random and Direct are those of the paper.

    `step` takes target spikes, float `[B, C]`.

    Source: Zenke and Ganguli 2018, "SuperSpike: Supervised learning in multilayer spiking neural networks".
    """

    factor = Eligibility
    detach = True
    recurrent = True

    def __init__(
        self, net: nn.Module, *, rise: float = 0.8, decay: float = 0.9, feedback: Feedback | None = None
    ) -> None:
        if not (0 <= rise < 1 and 0 <= decay < 1):
            raise TrainingError(f"{self.name}: rise = {rise}, decay = {decay} (allowed 0 to below 1).")
        self.kernel = Filter(((rise, 0.0), (rise, decay)), (1.0, 1.0), 1)
        super().__init__(net, feedback=feedback)
        self.filtered = self.kernel.trace()

    def after(self, layer: Layer) -> Filter:
        return self.kernel

    def top_error(self, output: Tensor, target: Tensor, weight: float) -> Tensor:
        error = self.filtered(output - target)
        self.count(weight * error.square().sum() / (2 * len(error)))
        return error * (weight / len(error))

    def back(self, error: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.feedback.errors(self.network, error, dict.fromkeys(self.posts), target)

    def reset(self) -> None:
        super().reset()
        self.filtered.reset()
