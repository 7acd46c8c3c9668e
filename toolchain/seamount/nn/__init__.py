"""Torch building blocks: neurons, surrogates and connections beside torch's own `nn.Linear`."""

from seamount.nn.connection import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Delayed,
    Flatten,
    SumPool2d,
    WSConv2d,
    WSLinear,
)
from seamount.nn.neuron import LI, LIF, CubaLIF, Neuron, Recurrent, State, carrying, populations, recording
from seamount.nn.surrogate import (
    FastSigmoid,
    Rectangular,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
    Triangular,
)

__all__ = [
    "LI",
    "LIF",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "CubaLIF",
    "Delayed",
    "FastSigmoid",
    "Flatten",
    "Neuron",
    "Rectangular",
    "Recurrent",
    "Sigmoid",
    "State",
    "StraightThrough",
    "SumPool2d",
    "SuperSpike",
    "Surrogate",
    "Triangular",
    "WSConv2d",
    "WSLinear",
    "carrying",
    "populations",
    "recording",
]
