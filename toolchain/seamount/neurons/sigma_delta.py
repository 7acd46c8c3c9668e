r"""Sigma-delta: an activation of summed input that sends its changes, once they are large enough, as graded spikes.

Float:

    v[t] = v[t-1] + sum_c W_c s_c[t]                          the sum of what the sources sent: sigma
    x[t] = f(v[t] + bias) - sent[t-1]                         f: "relu", or "unit", which changes nothing
    s[t] = x[t] where |x[t]| > vth, else 0;    sent[t] = sent[t-1] + s[t]

With cumulative error, e[t] = e[t-1] + x[t] is compared in the place of x, and 0 after a spike. `sent` is what the
readers' sums make of all spikes so far; Lava's `act - residue`. Source: O'Connor and Welling, "Sigma Delta Quantized
Networks" (2017), section 3; Lava's `SigmaDelta`.

Integer (Lava's fixed_pt `SigmaDelta` with `state_exp = shift`, whose `>=` is here `>` of a number less by 1, while its
sums stay within 24 bits):

    v = clip( v + (a << 6) );    x = f( clip(v + (bias_mant << bias_exp)) ) - sent
    s = x >> shift where |x| > (vth << 6), else 0;    sent = sent + x where it fires

As in Lava, `sent` counts what shift cuts off a message as sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numba.extending import register_jitable

from seamount.errors import GraphError
from seamount.fixed_point import ACT_SHIFT, clip
from seamount.neurons.graded import Graded, GradedLIF, IntGraded, finer
from seamount.neurons.quantize import bias, kappa, whole

if TYPE_CHECKING:
    from seamount.ir import Population
    from seamount.limits import Limits

ACTIVATIONS = ("relu", "unit")


@register_jitable
def encode(x, sent, error, vth, relu, cumulative):
    """What is sent of an activation: `(s, sent, error)`; `relu` and `cumulative` are 1 or 0."""
    x = x - relu * (x < 0) * x - sent
    compared = x + cumulative * error
    fires = 1 * (compared > vth) + 1 * (compared < 0 - vth)
    s = fires * x
    return s, sent + s, (1 - cumulative * fires) * (error + cumulative * x)


@register_jitable
def float_step(a, v, sent, error, bias, vth, relu, cumulative):
    """One step in floating point: `(s, v, sent, error)`."""
    v = v + a
    s, sent, error = encode(v + bias, sent, error, vth, relu, cumulative)
    return s, v, sent, error


@register_jitable
def int_step(a, v, sent, error, bias, vth, relu, cumulative, shift):
    """One step in the chip's arithmetic: `(s, v, sent, error)`; vth is `vth << 6`."""
    v = clip(v + (a << ACT_SHIFT))
    s, sent, error = encode(clip(v + bias), sent, error, vth, relu, cumulative)
    return s >> shift, v, sent, error


@dataclass(frozen=True, eq=False, kw_only=True)
class SigmaDelta(Graded):
    """Float sigma-delta population.

    Args:
        shape: of one step of one sample.
        vth: magnitude beyond which a change is sent, float64, () or `shape`.
        bias: of the activation.
        activation: `"relu"` or `"unit"`.
        cumulative: 1 to compare the sum of the changes since the last spike, else 0.
        others: as for Graded.
    """

    vth: np.ndarray
    bias: np.ndarray = 0.0  # type: ignore[assignment]
    activation: str = "relu"
    cumulative: int = 0

    stage: ClassVar[str | None] = "float"
    accumulates: ClassVar[bool] = True
    STATE: ClassVar[tuple[str, ...]] = ("v", "sent", "error")
    ARRAYS: ClassVar[dict[str, type]] = dict.fromkeys(("vth", "bias"), np.float64)
    RANGES: ClassVar[dict[str, tuple[float, float]]] = {"vth": (0, math.inf)}
    THRESHOLDS: ClassVar[tuple[str, ...]] = ("vth",)
    step = staticmethod(float_step)

    @property
    def sent_bits(self) -> int:  # type: ignore[override]
        """Of the magnitude of a change."""
        return sent_bits(self.activation)

    def check(self) -> None:
        super().check()
        check_encoder(self)

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.bias, self.vth, 1.0 * (self.activation == "relu"), 1.0 * self.cumulative)

    def quantize(self, unit: np.ndarray, limits: Limits) -> Population:
        """The integers of this population, and the shift that leaves `bits` of the coarsest neuron's changes.

        Raises:
            QuantizationError: a threshold or bias that the target cannot represent.
        """
        scale = kappa(unit)
        return IntSigmaDelta(
            name=self.name, inputs=self.inputs, shape=self.shape, scale=scale,
            shift=self.sent_bits - self.bits + finer(scale), activation=self.activation, cumulative=self.cumulative,
            vth=whole(self.name, "vth", self.vth, unit, limits.vth[1]), **bias(self.name, self.bias, unit, limits),
        )  # type: ignore[arg-type]  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class IntSigmaDelta(IntGraded):
    """Integer sigma-delta population.

    Args:
        shape: of one step of one sample.
        vth: threshold mantissa; a change is compared with `vth << 6`, int64, () or `shape`.
        bias_mant, bias_exp: bias mantissa and its shift.
        activation, cumulative: as of SigmaDelta.
        others: as for IntGraded.
    """

    vth: np.ndarray
    bias_mant: np.ndarray = 0  # type: ignore[assignment]
    bias_exp: int = 0
    activation: str = "relu"
    cumulative: int = 0

    stage: ClassVar[str | None] = "integer"
    STATE: ClassVar[tuple[str, ...]] = ("v", "sent", "error")
    ARRAYS: ClassVar[dict[str, type]] = {
        **dict.fromkeys(("vth", "shift", "bias_mant"), np.int64),
        "scale": np.float64,
    }
    step = staticmethod(int_step)

    @property
    def sent_bits(self) -> int:  # type: ignore[override]
        """Of the magnitude of a change."""
        return sent_bits(self.activation)

    def check(self) -> None:
        super().check()
        check_encoder(self)

    @property
    def bias(self) -> np.ndarray:
        """`bias_mant << bias_exp`, in units of v."""
        return self.bias_mant << self.bias_exp

    def dequantize(self) -> dict[str, np.ndarray]:
        """What the integers are worth in the float network: the fields of SigmaDelta, float64."""
        assert self.scale is not None
        return {"vth": (self.vth << ACT_SHIFT) * self.scale, "bias": self.bias * self.scale}

    def constants(self) -> tuple[Any, ...]:
        """What `step` takes after the state."""
        return (self.bias, self.vth << ACT_SHIFT, 1 * (self.activation == "relu"), self.cumulative, self.shift)


def sent_bits(activation: str) -> int:
    """Of the difference of two activations of 23 bits: one more where they have a sign."""
    return GradedLIF.sent_bits + (activation == "unit")


def check_encoder(node: SigmaDelta | IntSigmaDelta) -> None:
    if node.activation not in ACTIVATIONS:
        raise GraphError(f"{node.name}: activation {node.activation!r} is unknown. Allowed: {', '.join(ACTIVATIONS)}.")
    if node.cumulative not in (0, 1):
        raise GraphError(f"{node.name}: cumulative = {node.cumulative} (allowed 0, 1).")
