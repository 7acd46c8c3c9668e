"""Objectives on the membrane potential of a readout: its maximum over time, or its value at each step.

They take what the network returns, so the last population is a readout (`sm.nn.LI`), which returns v. On the spikes of
a spiking output they are defined as well; the cross-entropy of each step then only knows fired from not fired.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from seamount_models.losses.checks import check_labels, targets
from seamount_models.splits import UNLABELLED


def max_membrane_cross_entropy(v: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the softmax over the largest membrane potentials.

    `L = -log softmax(max_t v[t])[label]`, mean over the batch; the gradient goes to the step of the maximum. Source:
    "maximum membrane" of Eshraghian et al. (Proc. IEEE 2023), section III-C; the readout of Zenke and Vogels 2021.

    Args:
        v: output of a readout, float `[T, B, C]`.
        labels: int64 `[B]`, 0..C-1.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not fit, or a label outside 0..C-1.
    """
    check_labels("max_membrane_cross_entropy", v, labels)
    return functional.cross_entropy(v.amax(0), labels)


def max_membrane_mse(v: Tensor, labels: Tensor, *, right: float = 1.0, wrong: float = 0.0) -> Tensor:
    """Mean square error of the largest membrane potentials.

    `L = mean over b, c of (max_t v[t, b, c] - r[b, c])^2`, `r = right` for the labelled class, else `wrong`.

    Args:
        v: output of a readout, float `[T, B, C]`.
        labels: int64 `[B]`, 0..C-1.
        right, wrong: wanted maximum of the labelled class and of the others, in the unit of v.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not fit, or a label outside 0..C-1.
    """
    check_labels("max_membrane_mse", v, labels)
    largest = v.amax(0)
    return functional.mse_loss(largest, targets(labels, largest, right, wrong))


def membrane_cross_entropy(v: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy at each step.

    `L = mean over labelled t, b of -sum_c r_c log softmax(v[t, b])_c`, with `r = 1 - smoothing` for the label, and
    smoothing shared out among all classes (Szegedy et al. 2016, section 7). Source: "cross-entropy membrane" at each
    step, `snntorch.functional.ce_rate_loss` on v; with labels of each step, the loss of Yin, Corradi and Bohte 2021 for
    ECG.

    Args:
        v: output of a readout, float `[T, B, C]`.
        labels: int64 `[B]`, 0..C-1, one for all steps, or `[T, B]`, where -1 is ignored.
        smoothing: 0..1; keeps a network from certainty where labels are uncertain, as at the edges of a wave.

    Returns:
        Scalar; 0 where no step has a label.

    Raises:
        DataError: shapes that do not fit, or a label outside its range.
    """
    check_labels("membrane_cross_entropy", v, labels, per_step=True)
    labels = labels.expand(v.shape[:2])
    total = functional.cross_entropy(
        v.flatten(0, 1), labels.flatten(), ignore_index=UNLABELLED, reduction="sum", label_smoothing=smoothing
    )
    return total / (labels != UNLABELLED).sum().clamp(min=1)


def membrane_mse(v: Tensor, labels: Tensor, *, right: float = 1.0, wrong: float = 0.0) -> Tensor:
    """Mean square error at each step.

    `L = mean over labelled t, b and all c of (v[t, b, c] - r[t, b, c])^2`, `r = right` for the labelled class, else
    `wrong`. Source: "mean square membrane" of Eshraghian et al. (Proc. IEEE 2023), section III-C.

    Args:
        v: output of a readout, float `[T, B, C]`.
        labels: int64 `[B]`, 0..C-1, one for all steps, or `[T, B]`, where -1 is ignored.
        right, wrong: wanted v of the labelled class and of the others.

    Returns:
        Scalar; 0 where no step has a label.

    Raises:
        DataError: shapes that do not fit, or a label outside its range.
    """
    check_labels("membrane_mse", v, labels, per_step=True)
    labels = labels.expand(v.shape[:2])
    labelled = labels != UNLABELLED
    square = ((v - targets(labels, v, right, wrong)) ** 2).mean(-1)
    return (square * labelled).sum() / labelled.sum().clamp(min=1)


def membrane_mix(v: Tensor, labels: Tensor, *, share: float = 0.05) -> Tensor:
    """Cross-entropy and mean square error at each step, `(1 - share) membrane_cross_entropy + share membrane_mse`.

    Source: Deng et al. 2022, "Temporal efficient training of spiking neural network via gradient re-weighting"; the
    published code of OTTT (Xiao et al. 2022) trains on images with a share of 0.05.

    Args:
        v: output of a readout, float `[T, B, C]`.
        labels: int64 `[B]`, 0..C-1, one for all steps, or `[T, B]`, where -1 is ignored.
        share: of the square error, 0..1.

    Returns:
        Scalar; 0 where no step has a label.

    Raises:
        DataError: shapes that do not fit, or a label outside its range.
    """
    check_labels("membrane_mix", v, labels, per_step=True)
    return (1 - share) * membrane_cross_entropy(v, labels) + share * membrane_mse(v, labels)
