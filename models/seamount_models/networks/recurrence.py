"""Recurrent networks: populations that hear their own spikes of the last step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from seamount.errors import SeamountError
from seamount.nn import Linear, Recurrent
from seamount_models.networks.initial import RECURRENT, Prototype, initialize, population


def recurrent(
    sizes: Sequence[int], neuron: Prototype, *, readout: Prototype | None = None, bias: bool = False,
    dropout: float = 0.0, seed: int | None = None,
) -> nn.Sequential:  # fmt: skip
    """Network `fc1, rec1, fc2, rec2, ..., readout, out`; every hidden population is recurrent, all to all.

    Args:
        sizes: neurons of input, hidden populations and output.
        neuron: prototype of the hidden populations, of which each gets its own copy; or a function of the
            shape of their parameters, `(N,)`.
        readout: prototype of the last population; default `neuron`.
        bias: give the connection of the readout a trained bias, from 0.
        dropout: share of the hidden spikes that are lost on their way forward, while training; `drop1, drop2, ...`.
        seed: of the weights; default torch's global generator.

    Returns:
        Module from spikes `[T, B, sizes[0]]` to spikes (or v of the readout) `[T, B, sizes[-1]]`.

    Example:
        >>> import torch, seamount as sm
        >>> net = recurrent((4, 36, 6), sm.nn.LIF(beta=0.9), readout=sm.nn.LI(beta=0.9), seed=0)
        >>> [name for name, _ in net.named_children()]
        ['fc1', 'rec1', 'readout', 'out']
    """
    if len(sizes) < 3 or min(sizes) < 1:
        raise SeamountError(
            f"recurrent: sizes = {tuple(sizes)}. Hint: input, at least one hidden, output; each 1 or more."
        )
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i in range(1, len(sizes) - 1):
        linear = Linear(sizes[i - 1], sizes[i], bias=False)
        loop = nn.Linear(sizes[i], sizes[i], bias=False)
        hidden = population(neuron, linear)
        initialize(linear, hidden, generator)
        initialize(loop, hidden, generator, RECURRENT)
        layers[f"fc{i}"], layers[f"rec{i}"] = linear, Recurrent(hidden, loop)
        if dropout:
            layers[f"drop{i}"] = nn.Dropout(dropout)
    last = Linear(sizes[-2], sizes[-1], bias=bias)
    out = population(readout or neuron, last)
    initialize(last, out, generator)
    layers["readout"], layers["out"] = last, out
    return nn.Sequential(layers)
