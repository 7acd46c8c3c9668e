"""Networks by their sizes, one file a kind."""

from collections.abc import Callable

from torch import nn

from seamount_models.networks.convolutional import conv
from seamount_models.networks.dense import mlp
from seamount_models.networks.initial import Prototype, initialize, spread
from seamount_models.networks.recurrence import recurrent
from seamount_models.networks.resnet import resnet
from seamount_models.networks.vgg import vgg, vgg_f

__all__ = ["KINDS", "Prototype", "conv", "initialize", "mlp", "recurrent", "resnet", "spread", "vgg", "vgg_f"]

KINDS: dict[str, Callable[..., nn.Sequential]] = {
    "mlp": mlp, "recurrent": recurrent, "conv": conv, "vgg": vgg, "vgg_f": vgg_f, "resnet": resnet,
}  # fmt: skip
"""What a recipe's `[network] kind` names."""
