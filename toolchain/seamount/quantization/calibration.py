"""Choosing the weight exponent of each population on data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seamount.errors import DataError, QuantizationError
from seamount.fixed_point import ACT_SHIFT, U_BOUND, U_LIMIT
from seamount.quantization.connection import QuantConnection
from seamount.quantization.population import QuantPopulation

SAMPLES = 512
"""How many samples of a split calibration looks at."""
HEADROOM = 2.0
"""Room left above the largest input seen in calibration, for other data and for training."""
PARAMETER_HEADROOM = 4.0
"""Room left for thresholds, biases and worst-case sums, in units that training may shrink."""
BIAS_ROOM = 0.25
"""A trained bias may grow to this part of the threshold."""


def calibrate(qnet: nn.Module, calibration: Any) -> None:
    """Choose, and store in the network, the weight exponent K of each population: the largest that keeps

        max |sum w s| 2^K / (1 - alpha)   below 2^17 (u must not wrap), as seen on the data, with headroom,
        sum |w| 2^K                       so small that u is wrapped at most once, whatever the input,
        vth 2^K / l, |bias| / kappa       within the target's limits.

    Raises:
        QuantizationError: no exponent of the target fits; says which condition excludes the smallest.
        DataError: the calibration data are not spikes.
    """
    x = spikes_of(calibration)
    populations = [m for m in qnet.modules() if isinstance(m, QuantPopulation)]
    for population in populations:
        population.weight_exp = _largest(population, seen=_worst(population))
        population.observed = 0.0
    training = qnet.training
    qnet.eval()
    with torch.no_grad():
        qnet(x)
    qnet.train(training)
    for population in populations:
        assert population.observed is not None
        seen = population.observed / 2.0**population.weight_exp
        population.observed = None
        population.weight_exp = _largest(population, seen)


def _largest(population: QuantPopulation, seen: float) -> int:
    """Largest K for a largest sum `seen`, in units of w."""
    limits = population.limits
    magnifications = [c.magnification - c.source_exp for c in _others(population)]
    low, high = limits.weight_exp[0] + max(magnifications), limits.weight_exp[1] + min(magnifications)
    l = population.lsb().min()  # noqa: E741
    alpha = float(torch.as_tensor(population.fields().get("alpha", 0.0)).detach().max())
    bias = population.total_bias()
    room = PARAMETER_HEADROOM * float(bias.detach().abs().max())
    ceilings = {
        "synaptic input": _log(U_LIMIT >> ACT_SHIFT, HEADROOM * seen / (1 - min(alpha, 1 - 2**-12))),
        "sum of weights": _log(
            (U_BOUND - U_LIMIT * alpha) / (1 << ACT_SHIFT), PARAMETER_HEADROOM / 2 * _worst(population)
        ),
    }
    node = population.float_node()
    if node.THRESHOLDS:
        vth = max(float(np.abs(getattr(node, field)).max()) for field in node.THRESHOLDS)
        ceilings["vth"] = _log(limits.vth[1], PARAMETER_HEADROOM * vth / l)
        if bias.requires_grad:
            room = max(room, BIAS_ROOM * vth)
    ceilings["bias"] = _log(limits.bias, room / l * (1 << ACT_SHIFT))
    binding = min(ceilings, key=lambda k: ceilings[k])
    exponent = min(high, int(np.floor(ceilings[binding])))
    if exponent < low:
        raise QuantizationError(
            f"{population.name}: its {binding} asks for weight_exp {exponent} (allowed {low}..{high}). "
            "Hint: bring weights, threshold and bias to the same size."
        )
    return exponent


def _worst(population: QuantPopulation) -> float:
    """Largest possible `|sum w s|`, all inputs at their bound, in units of w at K = 0."""
    return sum(c.largest_sum() * 2.0 ** (c.source_exp - c.magnification) for c in _others(population))


def _others(population: QuantPopulation) -> list[QuantConnection]:
    """The connections whose sums grow with K: not those that carry a population's own graded spikes, in units of v."""
    return [c for c in population.connections if c.source is not population]


def _log(limit: float, used: float) -> float:
    return np.log2(limit / max(used, 1e-30))


def spikes_of(calibration: Any) -> Tensor:
    """Spikes `[T, B, ...]`: those given, or of the first samples of a data split.

    Raises:
        DataError: they are not of that form.
    """
    if hasattr(calibration, "spikes"):
        calibration = calibration.spikes(range(min(SAMPLES, len(calibration))))
    x = torch.as_tensor(calibration)
    if x.ndim < 3 or 0 in x.shape:
        raise DataError(f"calibration: has shape {list(x.shape)} (allowed [T, B, ...]).")
    return x
