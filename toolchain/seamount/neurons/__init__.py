"""Neuron models, one file each."""

from seamount.neurons.cuba_lif import CubaLIF, IntCubaLIF
from seamount.neurons.li import LI, IntLI
from seamount.neurons.lif import LIF

__all__ = ["LI", "LIF", "CubaLIF", "IntCubaLIF", "IntLI"]
