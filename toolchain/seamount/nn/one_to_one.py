"""One weight a neuron: what connects each neuron to itself, or to its fellow in a population of the same size."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneToOne(nn.Linear):
    """Each output hears one input: `out[i] = weight[i] s[i]`; in graphs a diagonal matrix.

    Args:
        size: N, of both populations.
        weight: first value of all weights, which train.

    Attributes:
        pattern: bool `[N, N]`, where its matrix may be other than 0.

    Example:
        >>> import torch, seamount as sm
        >>> population = sm.nn.Recurrent(sm.nn.LIF(beta=0.9), sm.nn.OneToOne(3, -0.5))
        >>> population(torch.full((4, 1, 3), 1.2))[:, 0, 0]
        tensor([1., 0., 1., 1.])
    """

    def __init__(self, size: int, weight: float = 0.0) -> None:
        super().__init__(size, size, bias=False)
        self.weight = nn.Parameter(torch.full((size,), float(weight)))

    @property
    def pattern(self) -> Tensor:
        return torch.eye(self.in_features, dtype=torch.bool)

    def effective_weight(self) -> Tensor:
        """The weights as a matrix `[N, N]`."""
        return torch.diag(self.weight)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Spikes `[.., N]` -> synaptic input `[.., N]`."""
        return input * self.weight
