"""sm.nn.Linear: the results of nn.Linear, whether it adds events or multiplies, whatever the threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import seamount as sm
from seamount.nn import int8_product
from seamount.nn.events import find
from seamount.nn.linear import EVENT_ACTIVITY, _EventLinear, linear, linear_of_codes
from seamount_models.networks import mlp


def spikes(activity: float, *shape: int, graded: bool = False, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    active = (torch.rand(shape, generator=generator) < activity).float()
    return active * torch.randn(shape, generator=generator) if graded else active


def gradients(function, x: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    tensors = [t.clone().requires_grad_() for t in (x, weight, *([] if bias is None else [bias]))]
    out = function(*tensors, *([None] if bias is None else []))
    g = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return [out.detach(), *torch.autograd.grad(out, tensors, g)]


@pytest.mark.parametrize("activity", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("width", [3, 64, 150])
@pytest.mark.parametrize("with_bias", [False, True])
def test_events_give_what_the_dense_product_gives(activity, width, with_bias):
    x = spikes(activity, 11, 60, width, graded=True)
    weight, bias = torch.randn(70, width), torch.randn(70) if with_bias else None
    events = gradients(_EventLinear.apply, x, weight, bias)
    exact = gradients(
        nn.functional.linear, x.double(), weight.double(), None if bias is None else bias.double()
    )  # fmt: skip
    for got, want in zip(events, exact, strict=True):
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-4)


def test_whole_numbers_are_exact():
    x, weight = spikes(0.1, 20, 40, 300), torch.randint(-128, 128, (90, 300)).float()
    assert torch.equal(_EventLinear.apply(x, weight, None), nn.functional.linear(x.double(), weight.double()).float())


def test_the_number_of_threads_changes_nothing():
    x, weight, bias = spikes(0.05, 30, 40, 200, graded=True), torch.randn(128, 200), torch.randn(128)
    threads = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2, 5):
            torch.set_num_threads(n)
            results.append(gradients(_EventLinear.apply, x, weight, bias)[:3:2])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_events_are_found_where_they_are():
    x = spikes(0.2, 50, 131, graded=True)
    events = find(x)
    for r, row in enumerate(x):
        mine = slice(events.start[r], events.start[r] + events.count[r])
        active = row.nonzero()[:, 0]
        assert events.index[mine].tolist() == active.tolist()
        assert events.value[mine].tolist() == row[active].tolist()


def test_nan_is_not_lost():
    x = spikes(0.05, 100, 8, 128)
    x[3, 1, 7] = float("nan")
    assert bool(linear(x, torch.ones(64, 128)).isnan()[3, 1].all())


@pytest.mark.parametrize(("activity", "events"), [(EVENT_ACTIVITY / 2, True), (EVENT_ACTIVITY * 2, False)])
def test_activity_decides(activity, events):
    x, layer = spikes(activity, 50, 16, 256), sm.nn.Linear(256, 128, bias=False)
    out = layer(x)
    assert ("EventLinear" in type(out.grad_fn).__name__) == events
    torch.testing.assert_close(out, nn.functional.linear(x, layer.weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_left_to_torch(dtype):
    layer = sm.nn.Linear(256, 128, dtype=dtype)
    assert layer(spikes(0.05, 50, 16, 256).to(dtype)).dtype == dtype


def test_a_network_of_them_lowers_as_one_of_torch_s():
    net = mlp((256, 96, 80), sm.nn.LIF(beta=0.9), seed=0)
    assert type(net.fc1) is sm.nn.Linear
    plain = nn.Sequential()
    for name, module in net.named_children():
        if isinstance(module, nn.Linear):
            with torch.no_grad():  # sums of 64ths are exact in any order
                module.weight.copy_((module.weight * 64).round() / 64)
            weight, module = module.weight, nn.Linear(module.in_features, module.out_features, bias=False)
            module.weight = weight
        plain.add_module(name, module)
    ours, others = sm.lower(net).connections, sm.lower(plain).connections
    assert [c.name for c in ours] == [c.name for c in others] == ["fc1", "readout"]
    assert all((a.weight == b.weight).all() for a, b in zip(ours, others, strict=True))
    x = spikes(0.05, 100, 8, 256)
    assert torch.equal(net(x), plain(x))


@pytest.fixture
def by_codes(monkeypatch):
    """Whether the product of int8 matrices ran, wherever it is exact."""
    ran = []
    monkeypatch.setattr(int8_product, "is_faster", lambda: True)
    product = int8_product.product
    monkeypatch.setattr(int8_product, "product", lambda s, q: ran.append(s.shape) or product(s, q))
    if not int8_product.is_exact():
        pytest.skip("this processor has no exact product of int8 matrices")
    ran.clear()
    return ran


def codes(activity: float, unit: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-127, 128, (50, 8, 200), generator=generator).float()
    x *= torch.rand(x.shape, generator=generator) < activity
    return x, torch.randint(-127, 128, (80, 200), generator=generator) * unit


@pytest.mark.parametrize("unit", [1.0, 2.0**-6, 2.0**9])
def test_int8_gives_the_numbers_and_gradients_of_the_dense_product(by_codes, unit):
    x, weight = codes(0.5, unit)
    g = torch.randn(50, 8, 80)
    found = []
    for product in (lambda x, w: linear_of_codes(x, w, unit), torch.nn.functional.linear):
        leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
        out = product(*leaves)
        out.backward(g)
        found.append((out, *(leaf.grad for leaf in leaves)))
    assert by_codes == [(400, 200)]
    assert torch.equal(found[0][0], found[1][0])
    for ours, theirs in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("value", [0.5, 128.0, float("nan")])
def test_what_int8_cannot_hold_is_left_to_float32(by_codes, value):
    x, weight = codes(0.5, 1.0)
    x[3, 2, 1] = value
    torch.testing.assert_close(
        linear_of_codes(x, weight, 1.0), torch.nn.functional.linear(x, weight), rtol=0, atol=0, equal_nan=True
    )
    assert by_codes == []


def test_few_codes_are_added_by_events(by_codes):
    x, weight = codes(0.05, 1.0)
    assert torch.equal(linear_of_codes(x, weight, 1.0), torch.nn.functional.linear(x, weight))
    assert by_codes == []
