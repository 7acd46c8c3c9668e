"""Changes that leave a sample's class alone, for training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seamount.errors import DataError
from seamount_models.coding import sample_keys


def shift_offsets(pixels: int, *, seed: int, indices: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Draw for each sample by how many rows down and columns to the right it moves: int64 `[B]`, `-pixels..pixels`.

    Raises:
        DataError: pixels is not positive.
    """
    if pixels < 1:
        raise DataError(f"shift_offsets: by {pixels} pixels (allowed 1 or more).")
    keys = sample_keys(seed, indices)
    span = np.uint64(2 * pixels + 1)
    down, right = (pixels - (bits % span).astype(np.int64) for bits in (keys >> np.uint64(32), keys >> np.uint64(3)))
    return down, right


def shift_images(x: Tensor, image: tuple[int, int], pixels: int, *, seed: int, indices: Tensor) -> Tensor:
    """Move each image by up to `pixels` rows and columns; what comes in at the border is 0.

    Row and column offsets are uniform in `-pixels..pixels` and depend on the seed and the sample's index only.

    Args:
        x: intensities `[B, height * width]`, any dtype.
        image: height and width.
        pixels: 1 or more.
        seed: of the draw, 0..2^63-1.
        indices: int64 `[B]`, what tells the samples apart.

    Returns:
        As x.

    Raises:
        DataError: x does not hold images of that size, or pixels is not positive.
    """
    height, width = image
    if x.ndim != 2 or x.shape[1] != height * width or pixels < 1:
        raise DataError(f"shift_images: x {tuple(x.shape)} as {height} x {width} images, by {pixels} pixels.")
    down, right = shift_offsets(pixels, seed=seed, indices=indices)
    top, left = (torch.from_numpy(pixels - offset)[:, None] for offset in (down, right))
    padded = functional.pad(x.reshape(-1, height, width), (pixels,) * 4)
    rows, columns = (top + torch.arange(height))[:, :, None], (left + torch.arange(width))[:, None, :]
    return padded[torch.arange(len(x))[:, None, None], rows, columns].reshape(x.shape)
