"""Spiking VGG with scaled weight standardisation, and its form with feedback, VGG-F.

Source: Xiao et al. 2022, "Online training through time for spiking neural networks" (OTTT), sections 4.4 and 5. There
vth = 1, beta = 0.5, T = 6; 9.2 million parameters reach 93.5 % on CIFAR-10, 93.2 % at best by backpropagation through
time; on CIFAR-100 feedback takes 71.1 % to 72.6 %.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

import seamount as sm
from seamount.errors import SeamountError
from seamount_models.networks.convolutional import conv
from seamount_models.networks.initial import Prototype

LAYERS = "64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-GAP"
"""The paper's, all but the last."""


def vgg(
    shape: tuple[int, int, int],
    classes: int,
    neuron: Prototype,
    *,
    layers: str = LAYERS,
    readout: Prototype | None = None,
    input_bound: int = 1,
    seed: int | None = None,
) -> nn.Sequential:
    """Spiking VGG: `conv` with standardised weights.

    The factor that the paper's code puts behind each population, 2.74, is here the first value of the trained gain
    before the next one; behind a mean pool it is larger by what the mean takes from the fluctuation of its inputs.

    Args:
        shape: channels, height and width of the input.
        classes: number of outputs.
        neuron, readout, input_bound, seed: as in `conv`.
        layers: all but the last, as in `conv`.

    Example:
        >>> import torch, seamount as sm
        >>> net = vgg((3, 8, 8), 10, sm.nn.LIF(beta=0.5), layers="8C3-AP2-16C3-GAP", readout=sm.nn.LI(beta=0.5))
        >>> net(torch.zeros(6, 1, 3, 8, 8)).shape
        torch.Size([6, 1, 10])
    """
    line = f"{layers}-{classes}"
    return conv(shape, line, neuron, readout=readout, standardize=True, input_bound=input_bound, seed=seed)


def vgg_f(
    shape: tuple[int, int, int],
    classes: int,
    neuron: Prototype,
    *,
    layers: str = LAYERS,
    delay: int | None = None,
    readout: Prototype | None = None,
    input_bound: int = 1,
    seed: int | None = None,
) -> nn.Sequential:
    """VGG-F: the last convolutional population feeds back to the first, upsampled, through a convolution of 3 x 3.

    The weights of the feedback are 0 at first.

    Args:
        shape, classes, neuron, layers, readout, input_bound, seed: as in `vgg`.
        delay: of the feedback, in steps; 1 in the paper. Default: as many as the loop has connections, the least that a
            chip can do, where each takes a step; samples should then last several times as long.

    Returns:
        Module with children `conv1, loop, pool<n>, flatten, readout, out`; `loop.body` has the other children of `vgg`.

    Example:
        >>> import seamount as sm
        >>> net = vgg_f((3, 8, 8), 10, sm.nn.LIF(beta=0.5), layers="8C3-AP2-16C3-GAP", readout=sm.nn.LI(beta=0.5))
        >>> [name for name, _ in net.loop.body.named_children()], net.loop.delay
        (['lif1', 'pool1', 'conv2', 'lif2'], 2)
    """
    net = vgg(shape, classes, neuron, layers=layers, readout=readout, input_bound=input_bound, seed=seed)
    children = OrderedDict(net.named_children())
    names = list(children)
    convolutions = [m for name, m in children.items() if name.startswith("conv")]
    if len(convolutions) < 2 or names[0] != "conv1":
        raise SeamountError(f"vgg_f: {layers} has no two convolutions between which to feed back, the first in front.")
    first, last = convolutions[0], convolutions[-1]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    end = names.index(f"lif{len(convolutions)}") + 1
    factor = 1
    for name in names[1:end]:
        module = children[name]
        factor *= module.kernel_size[0] if isinstance(module, sm.nn.SumPool2d) else 1
    if any(n % factor for n in shape[1:]):
        raise SeamountError(
            f"vgg_f: a plane of {shape[1:]} (allowed: multiples of {factor}, by which the pools divide)."
        )
    back = sm.nn.Conv2d(last.out_channels, first.out_channels, 3, padding=1, bias=False)
    nn.init.zeros_(back.weight)
    body = nn.Sequential(OrderedDict((name, children[name]) for name in names[1:end]))
    connection = nn.Sequential(OrderedDict(up=sm.nn.Upsample2d(factor), conv=back))
    loop = sm.nn.Feedback(body, connection, len(convolutions) if delay is None else delay)
    return nn.Sequential(OrderedDict(conv1=first, loop=loop, **{name: children[name] for name in names[end:]}))
