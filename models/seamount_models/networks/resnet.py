"""Normaliser-free spiking ResNets, made of standardised convolutions.

A block adds to what its second convolution brings to a population what a skip brings from the spikes that entered the
block:

    s' = neuron(conv1(s)),    s_out = neuron(conv2(s') + skip(s))

so that each skip is a connection of its own, and the network lowers as it stands: populations and connections. (Zheng
et al. 2021, "Going deeper with directly-trained larger spiking neural networks", with batch norms.) Others carry the
sum on: of spikes (SEW, Fang et al. 2021), or of synaptic inputs past the populations (MS, Hu et al. 2021; so does the
NF-ResNet-34 of OTTT, Xiao et al. 2022, which reaches 65.2 % on ImageNet). On a chip, where a population hears
populations only, each of these sums is a connection from every earlier block of a stage to every later one.

In the place of norms (Brock et al. 2021, "Characterizing signal propagation to close the performance gap in
unnormalized ResNets"), weights are standardised, the second convolution of a block is RESIDUAL times as strong as one
alone, and the skip is strong enough to pass a spike on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import seamount as sm
from seamount.errors import SeamountError
from seamount_models.networks.initial import FLUCTUATION, Prototype, initialize, population

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Blocks of each stage, by the name of the network (He et al. 2016)."""
RESIDUAL = 0.2
"""Strength of a block beside its skip: alpha of NF-ResNets."""
SKIP = 1.5
"""What a spike brings through a skip, in thresholds."""


class Block(nn.Module):
    """Two populations and a skip: spikes `[T, B, inputs, H, W]` -> `[T, B, outputs, H', W']`.

    Args:
        inputs, outputs: channels.
        stride: of the first convolution, and of the skip.
        neuron: prototype of both populations, as in `conv`.
        generator: of the weights.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, neuron: Prototype, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        plain = stride == 1 and inputs == outputs
        self.conv1 = sm.nn.WSConv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.lif1 = population(neuron, self.conv1)
        self.conv2 = sm.nn.WSConv2d(outputs, outputs, 3, padding=1, bias=False)
        lif2 = population(neuron, self.conv2)
        if plain:
            self.skip = sm.nn.Conv2d(inputs, outputs, 1, groups=outputs, bias=False)
            nn.init.constant_(self.skip.weight, SKIP * float(torch.as_tensor(lif2.fields().get("vth", 1.0)).mean()))
        else:
            self.skip = sm.nn.WSConv2d(inputs, outputs, 1, stride=stride, bias=False)
            initialize(self.skip, lif2, generator)
        self.lif2 = lif2
        initialize(self.conv1, self.lif1, generator)
        initialize(self.conv2, lif2, generator, RESIDUAL * FLUCTUATION)

    def forward(self, s: Tensor) -> Tensor:
        return self.lif2(self.conv2(self.lif1(self.conv1(s))) + self.skip(s))


def resnet(
    shape: tuple[int, int, int],
    classes: int,
    neuron: Prototype,
    *,
    blocks: int | Sequence[int] = 18,
    width: int = 64,
    readout: Prototype | None = None,
    input_bound: int = 1,
    seed: int | None = None,
) -> nn.Sequential:
    """Normaliser-free spiking ResNet.

    From 64 pixels on, it begins as the ResNets for ImageNet do, with a convolution of 7 x 7 and stride 2, whose maximum
    pool is here a mean over 2 x 2; below, with one of 3 x 3.

    Args:
        shape: channels, height and width of the input.
        classes: number of outputs.
        neuron: prototype of the populations, as in `conv`.
        blocks: 18, 34, or the number of blocks of each stage; from the second on, a stage halves the plane and has
            twice the channels.
        width: channels of the first stage.
        readout: prototype of the last population; default `neuron`.
        input_bound: as in `conv`.
        seed: of the weights; default torch's global generator.

    Returns:
        Module from spikes `[T, B, *shape]` to spikes (or v of the readout) `[T, B, classes]`, with children `conv1,
        (pool1,) lif1, stage1, ..., pool, flatten, readout, out`; those of `stage1.0` are those of `Block`.

    Raises:
        SeamountError: blocks that are no network, or a plane that is too small for the stages.

    Example:
        >>> import torch, seamount as sm
        >>> net = resnet((3, 16, 16), 10, sm.nn.LIF(beta=0.5), blocks=(1, 1), width=4, readout=sm.nn.LI(beta=0.5))
        >>> net(torch.zeros(6, 1, 3, 16, 16)).shape
        torch.Size([6, 1, 10])
    """
    numbers = BLOCKS.get(blocks, ()) if isinstance(blocks, int) else tuple(blocks)
    if not numbers or min(*numbers, width) < 1:
        known = ", ".join(map(str, BLOCKS))
        raise SeamountError(f"resnet: blocks = {blocks}, width = {width} (allowed: {known}, or 1 or more of each).")
    large = min(shape[1:]) >= 64
    reduced = (4 if large else 1) << len(numbers) - 1
    if any(n % reduced for n in shape[1:]):
        raise SeamountError(
            f"resnet: a plane of {shape[1:]} (allowed: multiples of {reduced} for {len(numbers)} stages)."
        )
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    children: OrderedDict[str, nn.Module] = OrderedDict()
    kernel = 7 if large else 3
    stem = sm.nn.WSConv2d(shape[0], width, kernel, stride=2 if large else 1, padding=kernel // 2, bias=False)
    lif1 = population(neuron, stem)
    initialize(stem, lif1, generator, (2 if large else 1) * FLUCTUATION / input_bound)
    children["conv1"] = stem
    if large:
        children["pool1"] = sm.nn.AvgPool2d(2)
    children["lif1"] = lif1
    channels = width
    for i, number in enumerate(numbers):
        stage = []
        for k in range(number):
            inputs, channels = channels, width << i
            stage.append(Block(inputs, channels, 2 if i and not k else 1, neuron, generator))
        children[f"stage{i + 1}"] = nn.Sequential(*stage)
    plane = shape[1] // reduced, shape[2] // reduced
    last = sm.nn.Linear(channels, classes, bias=False)
    out = population(readout or neuron, last)
    initialize(last, out, generator, (plane[0] * plane[1]) ** 0.5 * FLUCTUATION)
    children |= {"pool": sm.nn.AvgPool2d(plane), "flatten": sm.nn.Flatten(), "readout": last, "out": out}
    return nn.Sequential(children)
