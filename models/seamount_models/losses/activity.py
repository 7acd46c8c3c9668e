"""Regularisation of activity: bounds on how often populations or their neurons fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seamount.errors import DataError

SCOPES = ("neuron", "population")


@dataclass(frozen=True)
class ActivityBounds:
    """A penalty on rates below `lower` or above `upper`.

        r_i = 1/(T B) sum_{t, b} s[t, b, i]                          per "neuron"; its mean over i per "population"
        L = strength * sum over populations of mean_i( max(0, lower - r_i)^2 + max(0, r_i - upper)^2 )

    A lower bound wakes silent neurons: it reaches them through the surrogate. Sources: Zenke and Vogels, "The
    remarkable robustness of surrogate gradient learning" (Neural Computation 2021), "spike regularization"; Eshraghian
    et al. (Proc. IEEE 2023), section III-E, on populations and on neurons.

    Args:
        lower, upper: spikes per step, 0..1.
        per: `"neuron"` bounds each neuron, `"population"` the mean of all.
        strength: factor of the penalty.
        populations: names of those bounded, as in `sm.nn.populations`; default all that spike.

    Raises:
        DataError: bounds outside 0..1 or the wrong way round, an unknown scope, a negative strength.
    """

    lower: float = 0.0
    upper: float = 1.0
    per: str = "neuron"
    strength: float = 1.0
    populations: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.lower <= self.upper <= 1:
            raise DataError(
                f"activity: lower = {self.lower:g}, upper = {self.upper:g} (allowed 0 <= lower <= upper <= 1)."
            )
        if self.per not in SCOPES:
            raise DataError(f"activity: per = {self.per!r} is unknown. Allowed: {', '.join(SCOPES)}.")
        if not self.strength >= 0:
            raise DataError(f"activity: strength = {self.strength:g} (allowed 0 or more).")

    def check(self, names: Sequence[str]) -> None:
        """Raise DataError unless all bounded populations are among `names`."""
        if unknown := [name for name in self.populations or () if name not in names]:
            raise DataError(f"activity: {', '.join(unknown)} is no spiking population. There are: {', '.join(names)}.")

    def __call__(self, spikes: Mapping[str, Tensor], mean: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The penalty of a forward pass.

        Args:
            spikes: population -> spikes with their gradient, float `[T, B, ...]`.
            mean: how rates `[...]` are made of spikes; default their mean over steps and batch. Several processes
                pass one that is the mean over all of them.
        """
        self.check(list(spikes))
        mean = rates if mean is None else mean
        chosen = spikes if self.populations is None else {name: spikes[name] for name in self.populations}
        return self.strength * sum(
            (self._excess(mean(s)) for s in chosen.values()), next(iter(spikes.values())).new_zeros(())
        )

    def _excess(self, rate: Tensor) -> Tensor:
        rate = rate.mean() if self.per == "population" else rate
        return ((self.lower - rate).clamp(min=0) ** 2 + (rate - self.upper).clamp(min=0) ** 2).mean()


def bounds(
    activity: Mapping[str, Any] | ActivityBounds | Sequence[Mapping[str, Any] | ActivityBounds],
) -> list[ActivityBounds]:
    """Return bounds as a list: from themselves, from their arguments as a recipe writes them, or from several of these.

    Raises:
        DataError: arguments that bounds do not have.
    """
    several = [activity] if isinstance(activity, Mapping | ActivityBounds) else list(activity)
    try:
        return [one if isinstance(one, ActivityBounds) else ActivityBounds(**one) for one in several]
    except TypeError as error:
        allowed = ", ".join(ActivityBounds.__dataclass_fields__)
        raise DataError(f"activity: {several} are not bounds. Allowed: {allowed}.") from error


def rates(spikes: Tensor) -> Tensor:
    """Spikes per step of each neuron: `[T, B, ...]` -> `[...]`."""
    return spikes.mean((0, 1))
