r"""The local factors of a rule, as objects: traces of what was read, how the neuron answers, what error arrives.

Two forms of what a weight has done to its neuron, after step t:

    Vector       pre[t] = response(x)[t]                     of the source alone, O(n); spikes taken as constants
    Eligibility  E[t] = d s[t] / d W, by the neuron's own partial derivatives; for each synapse, O(n^2)

and, where a rule follows it on into the next population, that population's response on top:

    Vector       z[t]  = next(pre)[t]
    Eligibility  R[t]  = next(E)[t]
    Average      g[t]  = next(f)[t] / next(1)[t]             in the place of f(z)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seamount.errors import TrainingError
from seamount_models.online.carried import Carried
from seamount_models.online.dynamics import Filter, Trace
from seamount_models.online.network import Layer
from seamount_models.online.synapse import Synapse


@dataclass(frozen=True)
class Local:
    """What a synapse has at hand in a step; live tensors, which the next step overwrites.

    The gradient of the step is `sum_b error post pre`, or `sum_b error eligibility`; a learning rule of a chip reads
    these: `pre` its trace of the source, `post error` its modulator.

    Attributes:
        pre: trace of the source, `[B, in]` (of a convolution `[B, C, H, W]`); None where there is an eligibility.
        eligibility: `[B, O, P, K]`: output channel, position, what its weight reads; None where there is a trace.
        post: f(z) of the neuron, or what takes its place, `[B, ...]`; None for a readout, where it is 1.
        error: gradient of the loss by the neuron's spikes, as the rule sees it, `[B, ...]`.
    """

    pre: Tensor | None
    eligibility: Tensor | None
    post: Tensor | None
    error: Tensor


class Vector:
    """A trace of what a connection reads.

    Args:
        layer: the population that it feeds.
        synapse: the connection.
        after: response of the next population, where the rule follows the spikes on.

    Raises:
        TrainingError: the population has no response of its own.
    """

    partials = False

    def __init__(self, layer: Layer, synapse: Synapse, after: Filter | None) -> None:
        self.synapse = synapse
        own = layer.dynamics.response()
        if isinstance(own, str):
            raise TrainingError(f"{layer.name}: {own}. Hint: a LIF with reset='subtract'.")
        self.chain = [f.trace() for f in (own, after) if f is not None]
        self.bias_chain = [f.trace() for f in (own, after) if f is not None]

    pre: Tensor
    eligibility = None

    def learn(self, error: Tensor, post: Tensor | None) -> None:
        """Take the step, and add its gradient to the parameters' `.grad`."""
        if self.synapse.x is None:
            return
        self.pre = _along(self.chain, self.synapse.x)
        bias = 1.0
        if self.synapse.bias is not None:
            bias = _along(self.bias_chain, torch.ones((), dtype=self.pre.dtype, device=self.pre.device))
        g = error if post is None else error * post
        self.synapse.accumulate(self.pre, g, bias)

    def reset(self) -> None:
        for trace in (*self.chain, *self.bias_chain):
            trace.reset()


class Eligibility:
    """What each weight of a connection has done to its neuron's spikes, `[B, O, P, K]`.

    Args:
        layer, synapse, after: as for Vector.
    """

    partials = True
    pre = None

    def __init__(self, layer: Layer, synapse: Synapse, after: Filter | None) -> None:
        if not synapse.is_linear and synapse.module.groups != 1:
            raise TrainingError(f"{synapse.name}: has {synapse.module.groups} groups (allowed 1).")
        self.layer, self.synapse = layer, synapse
        self.carried = Carried(layer, after)

    @property
    def eligibility(self) -> Tensor:
        return self.carried.value

    def learn(self, error: Tensor, post: Tensor | None) -> None:
        """As Vector's."""
        if self.synapse.x is None:
            return
        gradient = self.carried.learn(lambda row: row[0], self.synapse.patches(), self.layer.flat(error))
        self.synapse.add_each(gradient)

    def reset(self) -> None:
        self.carried.reset()


class Own:
    """What the parameters of a population's own have done to its spikes, `[B, ...]`: bias, retention, threshold.

    Args:
        layer, after: as for Carried.
    """

    def __init__(self, layer: Layer, after: Filter | None) -> None:
        self.layer = layer
        self.carried = [Carried(layer, after) for _ in layer.dynamics.trained]

    def learn(self, error: Tensor) -> None:
        """As Vector's."""
        one = torch.ones_like(self.layer.last.out[:1, ...].flatten()[0])
        for i, carried in enumerate(self.carried):
            carried.update(lambda row, i=i: row[2][i], lambda x: x, one)
        constants = self.layer.dynamics.trained
        gradients = [(error * carried.value).sum(0) for carried in self.carried]
        if constants:
            sizes = zip(gradients, constants, strict=True)
            torch.autograd.backward(constants, [g.sum_to_size(c.shape) for g, c in sizes])

    def reset(self) -> None:
        for carried in self.carried:
            carried.reset()


class Average:
    """What stands in the place of f(z): f(z) itself, or its average under the next population's response.

    Args:
        layer: the population.
        after: the next population's response; None for f(z) of the step.
    """

    def __init__(self, layer: Layer, after: Filter | None) -> None:
        self.layer = layer
        self.sum, self.weight = (None, None) if after is None else (after.trace(), after.trace())

    value: Tensor | None

    def update(self) -> None:
        f = self.layer.last.slope
        if f is None or self.sum is None or self.weight is None:
            self.value = f
        else:
            self.value = self.sum(f) / self.weight(torch.ones((), dtype=f.dtype, device=f.device))

    def reset(self) -> None:
        for trace in (self.sum, self.weight):
            if trace is not None:
                trace.reset()


def _along(chain: list[Trace], x: Tensor) -> Tensor:
    for trace in chain:
        x = trace(x)
    return x
