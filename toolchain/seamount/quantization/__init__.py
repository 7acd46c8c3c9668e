"""Quantizing a network with Brevitas, so that its forward pass is the integer graph."""

import logging

# Brevitas imports this module, which warns wherever CUDA's compiler is installed and no GPU is.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)

from seamount.quantization.calibration import calibrate  # noqa: E402
from seamount.quantization.connection import QuantConnection  # noqa: E402
from seamount.quantization.population import QuantPopulation  # noqa: E402
from seamount.quantization.quantize import quantize  # noqa: E402

__all__ = ["QuantConnection", "QuantPopulation", "calibrate", "quantize"]
