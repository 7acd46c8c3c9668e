"""What folds into a connection changes nothing: integers exactly, real numbers to rounding."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from seamount.errors import LoweringError
from seamount.ir import Conv, IntConv, IntLinear, Linear
from seamount.nn.connection import standardized
from seamount.passes import fold

POOLS = [((2, 2), (2, 2)), ((2, 3), (2, 3)), ((3, 2), (1, 2)), ((1, 2), (3, 4))]


def pooled(s, kernel, stride):
    return (
        functional.avg_pool2d(torch.as_tensor(s).double(), kernel, stride, divisor_override=1).numpy().astype(s.dtype)
    )


def draw(rng, stage, shape):
    return rng.integers(-100, 100, shape) if stage == "integer" else rng.normal(size=shape)


def same(stage, got, want):
    assert got.shape == want.shape
    np.testing.assert_allclose(
        got, want, rtol=0 if stage == "integer" else 1e-12, atol=0 if stage == "integer" else 1e-9
    )


@pytest.fixture(params=["integer", "float"])
def stage(request):
    return request.param


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
@pytest.mark.parametrize("geometry", [{}, {"stride": (2, 1), "dilation": (1, 2), "groups": 2}])
def test_pool_before_a_convolution(stage, kernel, stride, geometry):
    rng = np.random.default_rng(0)
    weight = draw(rng, stage, (4, 4 // geometry.get("groups", 1), 2, 3))
    conv = (IntConv if stage == "integer" else Conv)(name="c", inputs=("x",), weight=weight, **geometry)
    pool, s = fold.Pool("pool", kernel, stride), rng.integers(-2, 3, (3, 4, 13, 23))
    folded = fold.pool_before(conv, pool, s.shape[1:])
    same(stage, folded.apply(s), conv.apply(pooled(s, kernel, stride)))


@pytest.mark.parametrize(("kernel", "stride"), [POOLS[0], POOLS[1], POOLS[3]])
def test_pool_before_a_convolution_that_pads(stage, kernel, stride):
    rng = np.random.default_rng(1)
    weight = draw(rng, stage, (4, 2, 3, 3))
    conv = (IntConv if stage == "integer" else Conv)(name="c", inputs=("x",), weight=weight, padding=(2, 1), stride=2)
    pool = fold.Pool("pool", kernel, stride)
    s = rng.integers(0, 2, (3, 2, *(q * n + p for p, q, n in zip(kernel, stride, (5, 4), strict=True))))
    folded = fold.pool_before(conv, pool, s.shape[1:])
    same(stage, folded.apply(s), conv.apply(pooled(s, kernel, stride)))


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "message"),
    [
        ((2, 2), (2, 2), (7, 8), r"^pool: its windows leave 1 of 7 values over, which c would find in its padding"),
        ((3, 3), (2, 2), (9, 9), r"^pool: its windows overlap, which c would find in its padding"),
        ((9, 2), (2, 2), (8, 8), r"^pool: windows of \(9, 2\) do not fit a source of shape \(2, 8, 8\)"),
    ],
)
def test_pools_that_do_not_fold_are_refused(kernel, stride, size, message):
    conv = Conv(name="c", inputs=("x",), weight=np.ones((1, 2, 2, 2)), padding=1)
    with pytest.raises(LoweringError, match=message):
        fold.pool_before(conv, fold.Pool("pool", kernel, stride), (2, *size))


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
def test_pool_before_a_linear(stage, kernel, stride):
    rng = np.random.default_rng(2)
    s = rng.integers(-2, 3, (3, 4, 11, 14))
    reads = pooled(s, kernel, stride)
    weight = draw(rng, stage, (5, reads[0].size))
    linear = (IntLinear if stage == "integer" else Linear)(name="fc", inputs=("x",), weight=weight)
    folded = fold.pool_before(linear, fold.Pool("pool", kernel, stride), s.shape[1:])
    same(stage, folded.apply(s), linear.apply(reads))


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
@pytest.mark.parametrize("geometry", [{"padding": 1}, {"stride": (2, 1), "dilation": (1, 2), "padding": (0, 2)}])
def test_pool_after_a_convolution(stage, kernel, stride, geometry):
    rng = np.random.default_rng(3)
    weight = draw(rng, stage, (4, 2, 2, 3))
    conv = (IntConv if stage == "integer" else Conv)(name="c", inputs=("x",), weight=weight, **geometry)
    s = rng.integers(-2, 3, (3, 2, 12, 15))
    folded = fold.pool_after(conv, fold.Pool("pool", kernel, stride))
    same(stage, folded.apply(s), pooled(conv.apply(s), kernel, stride))


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
def test_pool_between_two_populations(kernel, stride):
    s = np.random.default_rng(4).integers(-2, 3, (3, 5, 9, 12))
    node = fold.pool_alone("pool", ("x",), fold.Pool("pool", kernel, stride), channels=5)
    same("integer", node.apply(s.astype(float)), pooled(s, kernel, stride).astype(float))


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_batch_norm(kind):
    rng = np.random.default_rng(5)
    mean, gain, bias = rng.normal(size=(3, 4))
    variance, eps = rng.uniform(0.1, 2, 4), 1e-3
    if kind == "linear":
        node, s, spread = Linear(name="c", inputs=("x",), weight=rng.normal(size=(4, 6))), rng.normal(size=(9, 6)), (4,)
    else:
        node = Conv(name="c", inputs=("x",), weight=rng.normal(size=(4, 2, 3, 3)))
        s, spread = rng.normal(size=(9, 2, 5, 5)), (4, 1, 1)
    tensors = [torch.as_tensor(x) for x in (node.apply(s), mean, variance, gain, bias)]
    want = functional.batch_norm(*tensors, eps=eps).numpy()
    factor, shift = fold.normalization(mean, variance, eps, gain, bias)
    same("float", fold.scale(node, factor).apply(s) + shift.reshape(spread), want)


def test_standardised_weights_have_no_mean_and_variance_of_their_fan_in():
    weight = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 7 + 3
    gain = torch.arange(1.0, 7, dtype=torch.float64)
    flat = standardized(weight, gain, 1e-4).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(6, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(flat.var(1) * flat.shape[1], gain**2)
