"""Neuron models, one file each."""

from seamount.neurons.alif import ALIF, IntALIF
from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF
from seamount.neurons.graded import GradedLIF, IntGradedLIF
from seamount.neurons.li import LI, IntLI
from seamount.neurons.lif import LIF
from seamount.neurons.refractory import IntRefractoryLIF, RefractoryLIF
from seamount.neurons.resonate import IntResonateAndFire, ResonateAndFire
from seamount.neurons.sigma_delta import IntSigmaDelta, SigmaDelta
from seamount.neurons.ternary import IntTernaryLIF, TernaryLIF

__all__ = [
    "ALIF",
    "LI",
    "LIF",
    "CubaLIF",
    "GradedLIF",
    "IntALIF",
    "IntCubaLIF",
    "IntGradedLIF",
    "IntLI",
    "IntRefractoryLIF",
    "IntResonateAndFire",
    "IntSigmaDelta",
    "IntTernaryLIF",
    "RefractoryLIF",
    "ResonateAndFire",
    "SigmaDelta",
    "TernaryLIF",
]
