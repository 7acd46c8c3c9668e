"""snnTorch's neurons as seamount's: what their delayed resets mean here."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from seamount.errors import UnsupportedNodeError
from seamount.nn.lif import LIF, CubaLIF
from seamount.nn.neuron import Neuron
from seamount.nn.refractory import RefractoryLIF


def from_snntorch(cell: nn.Module, **options: Any) -> Neuron:
    r"""The neuron that fires as a snnTorch neuron does, whose reset by default takes effect one step late.

    | snnTorch 1.0 | reset | `reset_delay` | here |
    |---|---|---|---|
    | `Leaky`, `Synaptic` | `"subtract"` | True | `"subtract"`, `reset_by = threshold / beta` |
    | | `"subtract"` | False | refused: while v stays above the threshold it is subtracted twice |
    | `Leaky` | `"zero"` | either | `"zero"` |
    | `Synaptic` | `"zero"` | True | `"zero"`, `refractory = 1`: v is cleared after it has heard its input |
    | | `"zero"` | False | `"zero"` |
    | both | `"none"` | either | `"none"` |

    Spikes agree; v differs by the reset of the last step, which snnTorch has yet to make.

    Args:
        cell: `snntorch.Leaky` or `snntorch.Synaptic`.
        options: `surrogate` (which snnTorch's `spike_grad` is not turned into) and `detach_reset`, as in Neuron.

    Raises:
        UnsupportedNodeError: what does not map, by name.

    Example:
        `sm.nn.from_snntorch(snntorch.Leaky(beta=0.8))` is `sm.nn.LIF(0.8, reset="subtract", reset_by=1.25)`.
    """
    kind = type(cell).__name__
    if kind not in ("Leaky", "Synaptic"):
        raise UnsupportedNodeError(f"snntorch.{kind}: has no counterpart (allowed: Leaky, Synaptic).")
    given: Any = cell
    beta, threshold, reset = given.beta.detach().clamp(0, 1), given.threshold.detach(), given.reset_mechanism
    alpha = given.alpha.detach().clamp(0, 1) if kind == "Synaptic" else None
    late = reset == "subtract" and given.reset_delay
    learn = [name for name in ("alpha", "beta", "threshold")
             if isinstance(getattr(given, name, None), nn.Parameter)]  # fmt: skip
    for bad, what in (
        (reset == "subtract" and not given.reset_delay, "reset_mechanism='subtract' with reset_delay=False"),
        (late and bool((beta == 0).any()), "beta = 0 with a delayed reset by subtraction"),
        (late and bool({"beta", "threshold"} & set(learn)), "learn_beta or learn_threshold with a delayed subtraction"),
        (bool(given.inhibition), "inhibition"),
        (bool(given.state_quant), "state_quant"),
        (bool((torch.as_tensor(given.graded_spikes_factor) != 1).any()), "graded_spikes_factor"),
    ):
        if bad:
            raise UnsupportedNodeError(f"snntorch.{kind}: {what} does not map.")
    common: dict[str, Any] = {"reset": reset, "learn": [{"threshold": "vth"}.get(n, n) for n in learn], **options}
    if late:
        common["reset_by"] = threshold / beta
    if alpha is None:
        return LIF(beta, threshold, **common)
    if reset == "zero" and given.reset_delay:
        return RefractoryLIF(beta, threshold, alpha=alpha, refractory=1, **common)
    return CubaLIF(alpha, beta, threshold, **common)
