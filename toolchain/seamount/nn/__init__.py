"""Torch building blocks: neurons and surrogates. Connections are torch's own `nn.Linear`."""

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
    "CubaLIF",
    "FastSigmoid",
    "Neuron",
    "Rectangular",
    "Recurrent",
    "Sigmoid",
    "State",
    "StraightThrough",
    "SuperSpike",
    "Surrogate",
    "Triangular",
    "carrying",
    "populations",
    "recording",
]
