"""Fully connected networks. Children are named, and the names go with them to the chip."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from seamount.errors import SeamountError
from seamount.nn import Linear
from seamount_models.networks.initial import Prototype, initialize, population


def mlp(
    sizes: Sequence[int],
    neuron: Prototype,
    *,
    readout: Prototype | None = None,
    bias: bool = False,
    seed: int | None = None,
) -> nn.Sequential:
    """Fully connected network: `fc1, lif1, fc2, lif2, ..., readout, out`.

    Weights are drawn by `initial.initialize`.

    Args:
        sizes: neurons of input, hidden populations and output.
        neuron: prototype of the populations, of which each gets its own copy; or a function of the shape of
            their parameters, `(N,)`.
        readout: prototype of the last population; default `neuron`.
        bias: give the connections a trained bias, from 0.
        seed: of the weights; default torch's global generator.

    Returns:
        Module from spikes `[T, B, sizes[0]]` to spikes (or v of the readout) `[T, B, sizes[-1]]`.

    Example:
        >>> import torch, seamount as sm
        >>> net = mlp((64, 128, 10), sm.nn.LIF(beta=0.9), seed=0)
        >>> [name for name, _ in net.named_children()]
        ['fc1', 'lif1', 'readout', 'out']
        >>> net(torch.ones(4, 2, 64)).shape
        torch.Size([4, 2, 10])
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise SeamountError(f"mlp: sizes = {tuple(sizes)}. Hint: input, any hidden ones, output; each 1 or more.")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    last = len(sizes) - 1
    for i in range(1, last + 1):
        connection, name = (f"fc{i}", f"lif{i}") if i < last else ("readout", "out")
        linear = cast(nn.Linear, nn.utils.skip_init(Linear, sizes[i - 1], sizes[i], bias=bias))
        cells = population(readout if i == last and readout is not None else neuron, linear)
        initialize(linear, cells, generator)
        layers[connection], layers[name] = linear, cells
    return nn.Sequential(layers)
