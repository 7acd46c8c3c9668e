r"""Pair-based spike-timing-dependent plasticity, and the form that a reward gates.

    pair (pre at i, post at j):   dW = + potentiation pre^(j - i)  where j >= i   (within a step, a spike passes on)
                                  dW = - depression  post^(i - j)  where i > j

Every pair counts (all-to-all). `.grad` gets -dW, mean over the batch, so that an optimizer that descends applies it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seamount.errors import TrainingError
from seamount_models.online.dynamics import Filter
from seamount_models.online.network import Layer
from seamount_models.online.rule import Stepwise
from seamount_models.online.synapse import Synapse


class STDP(Stepwise):
    """Pair-based STDP: no loss, no error.

    Args:
        net: the network.
        potentiation, depression: change of a weight by a pair within a step, and by one a step apart over `post`.
        pre, post: retentions of the traces of source and neuron, 0..1.
        only: names of the connections that learn; default all.

    Raises:
        TrainingError: a connection that the network does not have, or a retention outside its range.

    Source: Gerstner et al. 1996; Morrison, Diesmann and Gerstner 2008, "Phenomenological models of synaptic plasticity
    based on spike timing", section 4.1.
    """

    def __init__(
        self, net: nn.Module, *, potentiation: float = 0.01, depression: float = 0.012, pre: float = 0.95,
        post: float = 0.95, only: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        for name, value in {"pre": pre, "post": post}.items():
            if not 0 <= value <= 1:
                raise TrainingError(f"{self.name}: {name} = {value} (allowed 0..1).")
        super().__init__(net)
        self.potentiation, self.depression, self.post = potentiation, depression, post
        there = {s.name: (layer, s) for layer in self.network.layers for s in layer.synapses}
        if unknown := sorted(set(only or ()) - set(there)):
            raise TrainingError(f"{self.name}: there is no connection {unknown[0]} (there are: {', '.join(there)}).")
        self.pairs = [Pair(*there[name], pre, post) for name in (there if only is None else only)]

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor | None = None, weight: float = 1.0) -> Tensor:
        """One step: run it, and add -dW to the weights' `.grad`.

        Args:
            x: input of this step, `[B, ...]`.
            target: not looked at.
            weight: what the change is multiplied with.

        Returns:
            The output population's spikes, `[B, C]`.
        """
        output = self.network.step(x)
        for pair in self.pairs:
            if pair.update():
                scale = -weight / len(x)
                spikes, before = pair.layer.last.out, pair.before
                pair.synapse.accumulate(pair.trace.value, spikes * (scale * self.potentiation), 0.0)
                assert pair.synapse.x is not None
                pair.synapse.accumulate(pair.synapse.x, before * (-scale * self.depression), 0.0)
        return output

    def reset(self) -> None:
        """Begin a sample: clean states and traces."""
        super().reset()
        for pair in self.pairs:
            pair.reset()


class RewardSTDP(STDP):
    """Reward-modulated STDP: pairs leave an eligibility in each synapse, and a reward makes it a change.

        c[t] = eligibility c[t-1] + dW[t] of STDP,     change = reward[t] c[t]

    Args:
        net, potentiation, depression, pre, post, only: as for STDP.
        eligibility: retention of c, 0..1.

    Source: Izhikevich 2007, "Solving the distal reward problem through linkage of STDP and dopamine signaling".
    """

    def __init__(self, net: nn.Module, *, eligibility: float = 0.98, **options) -> None:
        super().__init__(net, **options)
        if not 0 <= eligibility <= 1:
            raise TrainingError(f"{self.name}: eligibility = {eligibility} (allowed 0..1).")
        self.retention = eligibility

    @torch.no_grad()
    def step(self, x: Tensor, target: Tensor | None = None, weight: float = 1.0) -> Tensor:
        """One step; `target` is the reward of each sample, float `[B]`, None for none. All else as for STDP."""
        output = self.network.step(x)
        for pair in self.pairs:
            if pair.update():
                c = pair.remember(self.potentiation, self.depression, self.retention)
                if target is not None:
                    shape = pair.layer.flat(pair.layer.last.out).shape
                    reward = (target.to(c) * (-weight / len(x)))[:, None, None].expand(shape)
                    pair.synapse.accumulate_each(c, reward)
        return output


class Pair:
    """The traces of a connection.

    Attributes:
        trace: of what the connection reads, this step included.
        before: trace of the neurons' spikes, this step not included, `[B, ...]`.
    """

    def __init__(self, layer: Layer, synapse: Synapse, pre: float, post: float) -> None:
        self.layer, self.synapse, self.retention = layer, synapse, post
        self.trace, self.spikes = Filter.leak(pre).trace(), Filter.leak(post).trace()
        self.read = Filter.leak(pre).trace()
        self.before = torch.empty(0)
        self.eligibility: Tensor | None = None

    def update(self) -> bool:
        """Take the step that the network has made; False where nothing can have arrived yet."""
        if self.synapse.x is None:
            return False
        spikes = self.layer.last.out
        self.before = self.spikes.value * self.retention if self.spikes.states else torch.zeros_like(spikes)
        self.spikes(spikes)
        self.trace(self.synapse.x)
        return True

    def remember(self, potentiation: float, depression: float, retention: float) -> Tensor:
        """The eligibility of each synapse, `[B, O, P, K]`."""
        x = self.synapse.patches()
        if self.synapse.bias is not None:
            x = torch.cat([x[..., :-1], torch.zeros_like(x[..., -1:])], -1)  # no pair of spikes changes a bias
        spikes, before = (self.layer.flat(v)[..., None] for v in (self.layer.last.out, self.before))
        if self.eligibility is None:
            self.eligibility = x.new_zeros(*spikes.shape[:3], x.shape[3])
        self.eligibility.mul_(retention)
        self.eligibility.addcmul_(spikes, self.read(x), value=potentiation)
        return self.eligibility.addcmul_(before, x, value=-depression)

    def reset(self) -> None:
        for trace in (self.trace, self.spikes, self.read):
            trace.reset()
        self.eligibility = None
