"""Every error the toolchain raises on purpose.

Messages read `node: what (used N, limit M). Hint.`; where several things are wrong, one error lists them all.
"""

from __future__ import annotations

from collections.abc import Sequence


class SeamountError(Exception):
    """Base of all errors below; `except SeamountError` catches what the toolchain found wrong with its input."""


class GraphError(SeamountError):
    """A graph is malformed: an unknown input, a shape that does not fit, a cycle without delay."""


class LoweringError(SeamountError):
    """A torch module cannot be turned into a graph; names the module."""


class UnsupportedNodeError(LoweringError):
    """A module or a node for which the graph, or the target, has no counterpart."""


class QuantizationError(SeamountError):
    """A parameter has no integer representation within the target's limits."""


class PassError(SeamountError):
    """A compiler pass failed; names the pass."""


class ResourceError(SeamountError):
    """A graph does not fit a target; lists every violation."""


class TargetError(SeamountError):
    """A target is unknown, not installed, or failed while running."""


class DataError(SeamountError):
    """Input spikes, labels or a data file have the wrong shape, dtype, range or content."""


class TrainingError(SeamountError):
    """Training went wrong, as a loss that is not a number; names the epoch and the step."""


class FileFormatError(SeamountError):
    """A file is truncated, foreign or asks for more than it holds; names the file."""


class DivergenceError(SeamountError):
    """Two targets that must agree do not.

    Attributes:
        t: int, first step (canonical time) at which they differ.
        sample: int, position in the batch.
        node: str, the population.
        neuron: int, flat index within the population.
        what: `"spikes"`, `"v"` or `"weights"`.
        got, want: the two values; `want` is the witness that was named first.
    """

    def __init__(
        self, *, witness: str, against: str, what: str, t: int, sample: int, node: str, neuron: int, got, want
    ) -> None:
        self.witness, self.against, self.what = witness, against, what
        self.t, self.sample, self.node, self.neuron = t, sample, node, neuron
        self.got, self.want = got, want
        super().__init__(
            f"{node}: {what} of neuron {neuron} differ first at step {t} of sample {sample}: "
            f"{witness} says {got}, {against} says {want}."
        )


def raise_all(error: type[SeamountError], violations: Sequence[str]) -> None:
    """Raise `error` with every violation on a line of its own; do nothing where there is none."""
    if violations:
        raise error("\n".join(violations))
