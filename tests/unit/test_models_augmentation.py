"""Images moved by a pixel."""

import dataclasses

import pytest
import torch

from seamount.errors import DataError
from seamount_models import datasets
from seamount_models.augmentation import shift_images


def test_every_offset_within_the_range_occurs_and_no_other():
    x = torch.zeros(500, 7 * 5, dtype=torch.uint8)
    x[:, 3 * 5 + 2] = 9
    moved = shift_images(x, (7, 5), 2, seed=0, indices=torch.arange(500))
    assert moved.dtype == torch.uint8
    assert (moved.sum(1) == 9).all()
    places = moved.reshape(500, 7, 5).bool().sum(0)
    assert (places[1:6] > 0).all()
    assert places.sum() == places[1:6].sum()
    # 500 draws over 25 places: 20 each, 5 standard deviations are 22.
    assert places.max() < 42


def test_what_leaves_the_image_is_lost_and_zeros_come_in():
    x = torch.ones(200, 9)
    moved = shift_images(x, (3, 3), 1, seed=1, indices=torch.arange(200)).reshape(200, 3, 3)
    assert set(moved.sum((1, 2)).tolist()) == {4.0, 6.0, 9.0}
    assert (moved[:, 1, 1] == 1).all()


def test_a_sample_moves_alike_in_every_batch():
    split = datasets.load("digits", steps=5).train
    whole = split.spikes(range(50), seed=4, shift=1)
    assert torch.equal(split.spikes([40, 3], seed=4, shift=1), whole[:, [40, 3]])
    assert not torch.equal(whole, split.spikes(range(50), seed=4))


def test_refusals():
    split = datasets.load("digits", steps=5).train
    with pytest.raises(DataError, match=r"digits\.train: shift = 1, but the samples are not images"):
        dataclasses.replace(split, image=None).spikes([0], shift=1)
    with pytest.raises(DataError, match=r"shift_images: x \(1, 64\) as 8 x 8 images, by -1 pixels"):
        split.spikes([0], shift=-1)
    with pytest.raises(DataError, match=r"x \(2, 10\) as 3 x 3 images"):
        shift_images(torch.zeros(2, 10), (3, 3), 1, seed=0, indices=torch.arange(2))
