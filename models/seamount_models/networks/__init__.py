"""Networks by their sizes, one file a kind."""

from collections.abc import Callable

from torch import nn

from seamount_models.networks.convolutional import conv
from seamount_models.networks.dense import mlp
from seamount_models.networks.initial import Prototype, initialize, spread
from seamount_models.networks.recurrence import recurrent

__all__ = ["KINDS", "Prototype", "conv", "initialize", "mlp", "recurrent", "spread"]

KINDS: dict[str, Callable[..., nn.Sequential]] = {"mlp": mlp, "recurrent": recurrent, "conv": conv}
"""What a recipe's `[network] kind` names."""
