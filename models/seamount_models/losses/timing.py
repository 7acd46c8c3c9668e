"""Objectives on when output neurons fire first."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from seamount.errors import DataError
from seamount_models.losses.checks import check_labels, targets


def first_spike_times(spikes: Tensor) -> Tensor:
    """The step of each neuron's first spike, differentiable.

        t_f = sum_{t=0}^{T-1} prod_{k=0}^{t} (1 - s[k])        T for a neuron that never fires

    The product counts the steps before the first spike, so on spikes the value is exact, and its derivative is what
    happens to t_f when a spike is added or taken away:

        -dt_f/ds[k] = t_f - k                                  k < t_f: a spike there would be the first
                    = t_f' - t_f                               k = t_f, t_f' the second spike: without the first
                    = 0                                        k > t_f

    From there the gradient goes on through the surrogate. The estimate in use elsewhere (Eshraghian et al., Proc. IEEE
    2023, section III-C; snnTorch's `SpikeTime`) is -1 at the first spike, or at the last step of a silent neuron, and 0
    elsewhere: a late or silent neuron then hears of one step only. Latency-coded digits, 64-64-10, T = 16, 10 epochs,
    two seeds, test accuracy by first spike: 86 and 86 % against 57 and 54 % (cross-entropy), 86 and 84 against 71 and
    71 % (MSE), 80 and 83 against 71 and 71 % (relative MSE).

    Args:
        spikes: float `[T, ...]`, 0 or 1.

    Returns:
        Float `[...]`, 0..T.

    Raises:
        DataError: values other than 0 and 1.

    Example:
        >>> import torch
        >>> first_spike_times(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
        tensor([1., 3.])
    """
    other = (spikes != 0) & (spikes != 1)
    if bool(other.any()):
        raise DataError(
            f"first_spike_times: the output holds {spikes[other][0].item():g} (allowed 0 or 1). "
            "Hint: spike times need a spiking output, not a readout."
        )
    return (1 - spikes).cumprod(0).sum(0)


def spike_time_cross_entropy(spikes: Tensor, labels: Tensor, *, tau: float = 1.0) -> Tensor:
    """Cross-entropy of the softmax over negative first spike times: the earlier, the likelier.

    `L = -log softmax(-t_f / tau)[label]`, mean over the batch. Source: "cross-entropy spike time" of Eshraghian et al.,
    "Training Spiking Neural Networks Using Lessons From Deep Learning" (Proc. IEEE 2023), section III-C.

    Args:
        spikes: output of the network, float `[T, B, C]`, 0 or 1.
        labels: int64 `[B]`, 0..C-1.
        tau: lead, in steps, by which the odds grow by e.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not fit, a label outside 0..C-1, or an output that is not spikes.
    """
    check_labels("spike_time_cross_entropy", spikes, labels)
    return functional.cross_entropy(-first_spike_times(spikes) / tau, labels)


def spike_time_mse(spikes: Tensor, labels: Tensor, *, right: float = 0.0, wrong: float | None = None) -> Tensor:
    """Mean square error of first spike times, in parts of the sample.

    `L = mean over b, c of ((t_f[b, c] - r[b, c]) / T)^2`, `r = right` for the labelled class, else `wrong`. Source:
    "mean square spike time" of the same paper, section III-C.

    Args:
        spikes: output of the network, float `[T, B, C]`, 0 or 1.
        labels: int64 `[B]`, 0..C-1.
        right: step at which the neuron of the label shall fire first.
        wrong: step at which the others shall; default T, never.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not fit, a label outside 0..C-1, or an output that is not spikes.
    """
    check_labels("spike_time_mse", spikes, labels)
    times, steps = first_spike_times(spikes), len(spikes)
    wanted = targets(labels, times, right, steps if wrong is None else wrong)
    return functional.mse_loss(times / steps, wanted / steps)


def spike_time_relative_mse(spikes: Tensor, labels: Tensor, *, margin: float = 4.0) -> Tensor:
    """Mean square of what the other neurons lack of firing `margin` steps after the right one.

    `L = mean over b, c of (max(0, t_f[b, label] + margin - t_f[b, c]) / T)^2`, the labelled class itself left out:
    no time is wanted, only an order. Source: "mean square relative spike time" of the same paper, section III-C.

    Args:
        spikes: output of the network, float `[T, B, C]`, 0 or 1.
        labels: int64 `[B]`, 0..C-1.
        margin: in steps.

    Returns:
        Scalar.

    Raises:
        DataError: shapes that do not fit, a label outside 0..C-1, or an output that is not spikes.
    """
    check_labels("spike_time_relative_mse", spikes, labels)
    times = first_spike_times(spikes)
    lack = (times.gather(1, labels[:, None]) + margin - times).clamp(min=0) / len(spikes)
    return (lack**2 * targets(labels, times, 0.0, 1.0)).mean()
