"""Memory for large results on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def empty(*shape: int, like: Tensor) -> Tensor:
    """An uninitialised tensor in the dtype of `like` and on its device.

    On the CPU it comes from NumPy, which asks the kernel for huge pages where torch does not: the first write to 13 MB
    then costs 1.8 ms instead of 5.3 (Linux on a virtual machine), which is more than what a population computes on it.
    """
    if like.device.type != "cpu" or like.dtype not in (torch.float32, torch.float64):
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(shape, np.float32 if like.dtype == torch.float32 else np.float64))
