"""Results of inference take the memory of those that are gone, and of no other."""

from __future__ import annotations

import pytest
import torch

import seamount as sm
from seamount.nn import memory

SHAPE = (1, 2, 512, 512)
"""2 MiB of float32."""


@pytest.fixture(autouse=True)
def nothing_waits():
    memory._waiting.clear()
    yield
    memory._waiting.clear()


def waiting() -> int:
    """Bytes."""
    return sum(size * len(blocks) for size, blocks in memory._waiting.items())


def pool(x: torch.Tensor) -> torch.Tensor:
    return sm.nn.SumPool2d(1)(x[None])[0]


@torch.no_grad()
def test_a_result_takes_the_memory_of_one_that_is_gone():
    first = pool(torch.ones(SHAPE))
    place = first.data_ptr()
    del first
    assert waiting() == 4 * torch.Size(SHAPE).numel()
    second = pool(torch.full(SHAPE, 2.0))
    assert second.data_ptr() == place
    assert torch.equal(second, torch.full(SHAPE, 2.0))


@torch.no_grad()
def test_memory_that_is_still_looked_at_stays():
    part = pool(torch.ones(SHAPE))[0, 0, :3].numpy()
    others = [pool(torch.full(SHAPE, 2.0)) for _ in range(3)]
    assert len({o.data_ptr() for o in others}) == 3
    assert (part == 1).all()


def test_training_keeps_nothing_and_gives_back_what_waits():
    with torch.no_grad():
        pool(torch.ones(SHAPE))
    assert waiting()
    x = torch.ones(SHAPE, requires_grad=True)
    pool(x).sum().backward()
    assert waiting() == 0


@torch.no_grad()
def test_no_more_waits_than_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "SPARE", 5 << 20)
    results = [pool(torch.ones(SHAPE)) for _ in range(4)]
    del results
    assert waiting() == 4 << 20


@torch.no_grad()
def test_populations_and_connections_take_part():
    """A second pass of a network asks for nothing that the first has not left, and gives the same spikes."""
    net = torch.nn.Sequential(sm.nn.Conv2d(2, 32, 3, padding=1, bias=False), sm.nn.LIF(0.9), sm.nn.SumPool2d(2))
    x = (torch.rand(20, 2, 2, 64, 64) < 0.02).float()
    first = net(x).clone()
    left = waiting()
    assert left >= 2 * 4 * 20 * 2 * 32 * 64 * 64
    assert torch.equal(net(x), first)
    assert waiting() == left
