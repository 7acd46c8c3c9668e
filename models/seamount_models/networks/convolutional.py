"""Convolutional networks, written as a line: `16C5-P2-32C3-P2-10`."""

from __future__ import annotations

import math
import re
from collections import OrderedDict

import torch
from torch import nn

import seamount as sm
from seamount.errors import SeamountError
from seamount_models.networks.initial import Prototype, initialize, population

LAYER = re.compile(r"(?P<channels>\d+)C(?P<kernel>\d+)|A?P(?P<pool>\d+)|GAP|(?P<neurons>\d+)")


def conv(
    shape: tuple[int, int, int],
    layers: str,
    neuron: Prototype,
    *,
    readout: Prototype | None = None,
    standardize: bool = False,
    input_bound: int = 1,
    seed: int | None = None,
) -> nn.Sequential:
    """Convolutional network from a line of layers.

    `16C5` is a convolution to 16 channels with a 5 x 5 kernel and a padding that keeps the size, followed by a
    population; `P2` sums spikes over 2 x 2 windows, `AP2` takes their mean, `GAP` that of the whole plane, all without
    neurons, and they fold into the next connection; `128` is a fully connected population; the last number is the
    output. Rows that windows leave over are lost; in front of a convolution that pads there may be none.

    Args:
        shape: channels, height and width of the input.
        layers: joined by `-`.
        neuron: prototype of the populations, of which each gets its own copy; or a function of the shape of their
            parameters: `(C, 1, 1)`, one a channel, or `(N,)`.
        readout: prototype of the last population; default `neuron`.
        standardize: convolutions with scaled weight standardisation (OTTT 2022, section 4.4).
        input_bound: largest value of the input, 1 for spikes; the first weights are that much smaller.
        seed: of the weights; default torch's global generator.

    Returns:
        Module from spikes `[T, B, *shape]` to spikes (or v of the readout) `[T, B, classes]`, with children `conv1,
        lif1, pool1, ..., flatten, fc1, ..., readout, out`.

    Raises:
        SeamountError: a layer that is none of these, or that does not fit what comes before it.

    Example:
        >>> import torch, seamount as sm
        >>> net = conv((2, 34, 34), "16C5-P2-32C3-P2-10", sm.nn.LIF(beta=0.9), seed=0)
        >>> net(torch.zeros(3, 1, 2, 34, 34)).shape
        torch.Size([3, 1, 10])
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    parts = layers.split("-")
    found: OrderedDict[str, nn.Module] = OrderedDict()
    size: tuple[int, ...] = tuple(shape)
    counts: dict[str, int] = dict.fromkeys(("conv", "pool", "fc", "lif"), 0)
    fluctuation, uneven = 1 / input_bound, ""

    def name(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}{counts[kind]}"

    def wrong(part: str, why: str) -> SeamountError:
        return SeamountError(f"{layers}: {part!r} {why} (input of the layer: {size}).")

    for i, part in enumerate(parts):
        match = LAYER.fullmatch(part)
        if match is None:
            raise wrong(part, "is no layer. Allowed: 16C5, P2, AP2, GAP, 128")
        last, got = i == len(parts) - 1, {k: int(v) for k, v in match.groupdict().items() if v is not None}
        if "neurons" not in got and (last or len(size) == 1):
            raise wrong(part, "cannot be the last layer" if last else "comes after a fully connected layer")
        if min(got.values(), default=1) < 1:
            raise wrong(part, "does not fit")
        if part == "GAP" or "pool" in got:
            window = size[1:] if part == "GAP" else (got["pool"],) * 2
            if any(p > n for p, n in zip(window, size[1:], strict=True)):
                raise wrong(part, "does not fit")
            for n, p in zip(size[1:], window, strict=True):
                if n % p:
                    uneven = f"{part!r}, which leaves {n % p} of {n} rows or columns over"
            mean = part[0] != "P"
            found[name("pool")] = (sm.nn.AvgPool2d if mean else sm.nn.SumPool2d)(window)  # type: ignore[arg-type]
            fluctuation *= math.sqrt(math.prod(window)) if mean else 1.0
            size = (size[0], *(n // p for n, p in zip(size[1:], window, strict=True)))
            continue
        if "channels" in got:
            if got["kernel"] % 2 == 0:
                raise wrong(part, "has an even kernel, which no padding centres")
            if uneven and got["kernel"] > 1:
                raise wrong(part, f"pads behind {uneven}. Allowed: pools that divide the plane, or a kernel of 1")
            kind = sm.nn.WSConv2d if standardize else sm.nn.Conv2d
            layer = kind(size[0], got["channels"], got["kernel"], padding=got["kernel"] // 2, bias=False)
            size = (got["channels"], *size[1:])
            found[name("conv")] = layer
        else:
            if len(size) > 1:
                found["flatten"] = sm.nn.Flatten()
            inputs = int(torch.Size(size).numel())
            layer = sm.nn.Linear(inputs, got["neurons"], bias=False)
            size = (got["neurons"],)
            found["readout" if last else name("fc")] = layer
        cells = population(readout if last and readout is not None else neuron, layer)
        initialize(layer, cells, generator, fluctuation)
        fluctuation, uneven = 1.0, ""
        found["out" if last else name("lif")] = cells
    return nn.Sequential(found)
