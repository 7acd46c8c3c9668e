"""Quantizing a network with Brevitas, so that its forward pass is the integer graph."""

from seamount.quantization.calibration import calibrate
from seamount.quantization.layers import QuantConnection, QuantPopulation
from seamount.quantization.quantize import quantize

__all__ = ["QuantConnection", "QuantPopulation", "calibrate", "quantize"]
