"""First weights, with which every population of a network is alive."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seamount.errors import SeamountError
from seamount.nn import Neuron, WSConv2d, WSLinear

INPUT_RATE = 0.2
"""Spikes per step and input that the initialisation expects."""
FLUCTUATION = 1.0
"""Standard deviation of v, in thresholds, that it aims at."""
STANDARDIZED = math.sqrt(2)
"""The same for standardised weights, as a part of it. With beta = 0.5 and vth = 1 their gain is then 2.74, the factor
between the populations of OTTT's code, with which deep networks stay alive."""
SLOWEST = 0.98
"""Retentions above this count as this one: what a longer memory adds does not arrive within a sample."""
RECURRENT = 0.3
"""Standard deviation of recurrent weights, as a part of what it would be for a feed-forward connection."""


Prototype = Neuron | Callable[[tuple[int, ...]], Neuron]
"""What a network makes its populations of: one of which each gets a copy, or a function of the shape that parameters
have: `(N,)`, one a neuron, or behind a convolution `(C, 1, 1)`, one a channel."""


def population(prototype: Prototype, connection: nn.Linear | nn.Conv2d) -> Neuron:
    """A population of its own, which a connection feeds."""
    if isinstance(prototype, Neuron):
        return copy.deepcopy(prototype)
    return prototype((len(connection.weight), *[1] * (connection.weight.ndim - 2)))


def spread(low: float, high: float, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Time constants from low to high, each the same multiple of the one before, in an order drawn from the seed.

    Populations whose neurons remember for different times learn tasks with several time scales better and need less
    tuning (Perez-Nieves et al. 2021, "Neural heterogeneity promotes robust learning").

    Args:
        low, high: above 0, in any unit.
        shape: of a population's parameters, as `(N,)` or `(C, 1, 1)`.
        seed: of the order.

    Returns:
        float32 `[*shape]`.
    """
    if not 0 < low <= high:
        raise SeamountError(f"spread: from {low:g} to {high:g} (allowed: rising, above 0).")
    order = torch.randperm(math.prod(shape), generator=torch.Generator().manual_seed(seed))
    return torch.logspace(math.log10(low), math.log10(high), len(order))[order].reshape(shape)


@torch.no_grad()
def initialize(
    connection: nn.Linear | nn.Conv2d,
    population: Neuron,
    generator: torch.Generator | None = None,
    fluctuation: float = FLUCTUATION,
) -> None:
    """Draw the weights of a connection for the population that it feeds.

    They are normal with mean 0 and the standard deviation at which v fluctuates by about one threshold when inputs fire
    at 0.2 spikes per step (Rossbroich, Gygax and Zenke 2022, "Fluctuation-driven initialization for spiking neural
    network training"):

        sigma_w = vth / sqrt(n rate E),   E = sum_k kernel[k]^2 = (1 + a b) / ((1 - a b) (1 - a^2) (1 - b^2))

    with n inputs of a neuron, a = alpha, b = beta; E of LIF is `1 / (1 - beta^2)`. Standardised weights get the
    gain `sigma_w sqrt(n)`, times STANDARDIZED.

    Args:
        connection, population: from and to.
        generator: of chance; default torch's global one.
        fluctuation: standard deviation of v aimed at, in thresholds.
    """
    fields = population.fields()
    a, b = (min(float(torch.as_tensor(fields.get(name, default)).mean()), SLOWEST)
            for name, default in (("alpha", 0.0), ("beta", 1.0)))  # fmt: skip
    vth = float(torch.as_tensor(fields.get("vth", 1.0)).mean())
    energy = (1 + a * b) / ((1 - a * b) * (1 - a**2) * (1 - b**2))
    inputs = connection.weight[0].numel()
    sigma = fluctuation * vth / math.sqrt(inputs * INPUT_RATE * energy)
    connection.weight.normal_(0, sigma, generator=generator)
    if isinstance(connection, (WSConv2d, WSLinear)):
        connection.gain.fill_(STANDARDIZED * sigma * math.sqrt(inputs))
    if connection.bias is not None:
        connection.bias.zero_()
