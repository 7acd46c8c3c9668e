"""Torch building blocks: neurons, surrogates and connections beside torch's own `nn.Linear`."""

from seamount.nn.alif import ALIF
from seamount.nn.connection import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Delayed,
    Flatten,
    SumPool2d,
    Upsample2d,
    WSConv2d,
    WSLinear,
)
from seamount.nn.delay import DelayedLinear
from seamount.nn.feedback import Feedback
from seamount.nn.graded import GradedLIF, SigmaDelta
from seamount.nn.lif import IF, LI, LIF, CubaLIF, retention
from seamount.nn.linear import Linear
from seamount.nn.neuron import Neuron, Recurrent, State, carrying, populations, recording
from seamount.nn.one_to_one import OneToOne
from seamount.nn.refractory import RefractoryLIF
from seamount.nn.resonate import ResonateAndFire
from seamount.nn.snntorch import from_snntorch
from seamount.nn.surrogate import (
    ArcTan,
    Exponential,
    FastSigmoid,
    Gaussian,
    MultiGaussian,
    Rectangular,
    Sigmoid,
    StraightThrough,
    SuperSpike,
    Surrogate,
    Triangular,
    TruncatedQuadratic,
)
from seamount.nn.ternary import TernaryLIF

__all__ = [
    "ALIF",
    "IF",
    "LI",
    "LIF",
    "ArcTan",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "CubaLIF",
    "Delayed",
    "DelayedLinear",
    "Exponential",
    "FastSigmoid",
    "Feedback",
    "Flatten",
    "Gaussian",
    "GradedLIF",
    "Linear",
    "MultiGaussian",
    "Neuron",
    "OneToOne",
    "Rectangular",
    "Recurrent",
    "RefractoryLIF",
    "ResonateAndFire",
    "SigmaDelta",
    "Sigmoid",
    "State",
    "StraightThrough",
    "SumPool2d",
    "SuperSpike",
    "Surrogate",
    "TernaryLIF",
    "Triangular",
    "TruncatedQuadratic",
    "Upsample2d",
    "WSConv2d",
    "WSLinear",
    "carrying",
    "from_snntorch",
    "populations",
    "recording",
    "retention",
]
