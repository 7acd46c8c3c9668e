"""Convolutions of spikes: the results of torch's, whether they add events or multiply, whatever the threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import seamount as sm
from seamount.nn.convolution import _EventConv, conv2d


def spikes(activity: float, *shape: int, graded: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    active = (torch.rand(shape, generator=generator) < activity).float()
    return active * torch.randn(shape, generator=generator) if graded else active


def gradients(function, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> list[Tensor]:
    tensors = [t.clone().requires_grad_() for t in (x, weight, *([] if bias is None else [bias]))]
    out = function(*tensors[:2], tensors[2] if bias is not None else None, padding)
    g = torch.randn(out.shape, generator=torch.Generator().manual_seed(9)).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, tensors, g)]


def dense(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
    return functional.conv2d(x, weight, bias, padding=padding)


@pytest.mark.parametrize("activity", [0.0, 0.05, 1.0])
@pytest.mark.parametrize(("size", "padding"), [((5, 5), (2, 2)), ((3, 4), (0, 0)), ((2, 5), (1, 4)), ((1, 1), (0, 0))])
@pytest.mark.parametrize("with_bias", [False, True])
def test_events_give_what_the_dense_product_gives(activity, size, padding, with_bias):
    torch.manual_seed(0)
    x, weight = spikes(activity, 21, 3, 8, 9, graded=True), torch.randn(7, 3, *size)
    bias = torch.randn(7) if with_bias else None
    events = gradients(_EventConv.apply, x, weight, bias, padding)
    exact = gradients(dense, x.double(), weight.double(), None if bias is None else bias.double(), padding)
    for got, want in zip(events, exact, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-4)


def test_whole_numbers_are_exact():
    x, weight = spikes(0.1, 20, 4, 12, 12), torch.randint(-128, 128, (16, 4, 5, 5)).float()
    assert torch.equal(
        _EventConv.apply(x, weight, None, (2, 2)), dense(x.double(), weight.double(), None, (2, 2)).float()
    )


def test_the_number_of_threads_changes_nothing(monkeypatch):
    x, weight, bias = spikes(0.1, 37, 2, 9, 9, graded=True), torch.randn(8, 2, 3, 3), torch.randn(8)
    results = []
    for n in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n: n)
        results.append(gradients(_EventConv.apply, x, weight, bias, (1, 1))[:3:2])
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(
    ("activity", "options", "events"),
    [
        (0.03, {"padding": 2}, True),
        (0.4, {"padding": 2}, False),
        (0.03, {"stride": 2}, False),
        (0.03, {"dilation": 2}, False),
        (0.03, {"groups": 2}, False),
        (0.03, {"padding": "same"}, False),
        (0.03, {"padding": 2, "padding_mode": "circular"}, False),
    ],
)
def test_activity_and_geometry_decide(activity, options, events):
    x, layer = spikes(activity, 10, 4, 2, 34, 34), sm.nn.Conv2d(2, 16, 5, **options)
    out, plain = layer(x), nn.Conv2d(2, 16, 5, **options)
    plain.load_state_dict(layer.state_dict())
    names, node = [], out.grad_fn
    while node is not None:
        names.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    assert any("EventConv" in name for name in names) == events
    torch.testing.assert_close(out.flatten(0, 1), plain(x.flatten(0, 1)), rtol=1e-5, atol=1e-5)


def test_other_dtypes_are_left_to_torch():
    assert conv2d(spikes(0.05, 40, 2, 34, 34).double(), torch.randn(16, 2, 5, 5).double()).dtype == torch.float64


def test_a_population_sees_the_same_neurons_however_channels_lie():
    torch.manual_seed(0)
    cell = sm.nn.LIF(beta=torch.rand(6, 1, 1), vth=torch.rand(6, 5, 5) + 0.5)
    a = torch.randn(20, 8, 6, 5, 5)
    last = a.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, a.shape[:2])
    results = []
    for x in (a, last):
        x = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = cell(x)
        (g,) = torch.autograd.grad((out * a.cos()).sum(), x)
        results.append((out, g))
    assert results[1][0].stride() == last.stride()
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
