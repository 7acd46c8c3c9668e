"""Networks by their sizes: what they are made of, and that all of them reach the chip."""

from __future__ import annotations

import pytest
import torch

import seamount as sm
from seamount_models import networks, recipes

LIF = sm.nn.LIF(beta=0.9)


def reaches_the_chip(net: torch.nn.Module, x: torch.Tensor) -> dict[str, float]:
    """Quantize, lower and verify a network; return its rates."""
    qnet = sm.quantize(net, calibration=x)
    report = sm.verify(sm.lower(qnet), ["reference", qnet, "onnxruntime", "loihi2"], x).check()
    return {name: float(s.mean()) for name, s in report.results["reference"].spikes.items()}


def test_conv_from_a_line():
    net = networks.conv((2, 12, 12), "4C5-P2-6C3-P2-20-3", LIF, seed=0)
    assert [n for n, _ in net.named_children()] == [
        "conv1", "lif1", "pool1", "conv2", "lif2", "pool2", "flatten", "fc1", "lif3", "readout", "out",
    ]  # fmt: skip
    x = (torch.rand(12, 3, 2, 12, 12) < 0.2).to(torch.uint8)
    assert net(x.float()).shape == (12, 3, 3)
    rates = reaches_the_chip(net, x)
    assert set(rates) == {"lif1", "lif2", "lif3", "out"}
    assert all(0.005 < rate < 0.8 for rate in rates.values())


def test_conv_with_standardized_weights():
    net = networks.conv((1, 8, 8), "3C3-P2-2", LIF, readout=sm.nn.LI(beta=0.9), standardize=True, seed=0)
    assert isinstance(net.conv1, sm.nn.WSConv2d)
    x = (torch.rand(6, 2, 1, 8, 8) < 0.3).to(torch.uint8)
    reaches_the_chip(net, x)


def test_means_in_the_place_of_sums():
    net = networks.conv((15, 6, 8), "6C3-AP2-4C3-GAP-3", LIF, standardize=True, seed=0)
    sums = networks.conv((15, 6, 8), "6C3-P2-4C3-P3-3", LIF, standardize=True, input_bound=15, seed=0)
    assert [type(net.pool1), type(sums.pool1)] == [sm.nn.AvgPool2d, sm.nn.SumPool2d]
    assert (net.pool2.kernel_size, net.readout.in_features) == ((3, 4), 4)
    assert torch.allclose(net.conv1.gain, 15 * sums.conv1.gain)
    assert torch.allclose(net.conv2.gain, 2 * sums.conv2.gain)
    assert torch.allclose(net.readout.weight, 12**0.5 * sums.readout.weight)
    reaches_the_chip(net, (torch.rand(8, 3, 15, 6, 8) < 0.2).to(torch.uint8))


def test_pools_may_leave_rows_over_before_what_does_not_pad():
    net = networks.conv((2, 11, 12), "4C3-P2-6C1-P2-4C1-P2-3", LIF, seed=0)
    reaches_the_chip(net, (torch.rand(8, 3, 2, 11, 12) < 0.2).to(torch.uint8))


def test_recurrent():
    net = networks.recurrent((6, 12, 9, 3), LIF, readout=sm.nn.LI(beta=0.9), seed=0)
    assert [n for n, _ in net.named_children()] == ["fc1", "rec1", "fc2", "rec2", "readout", "out"]
    rates = reaches_the_chip(net, (torch.rand(20, 4, 6) < 0.3).to(torch.uint8))
    assert all(0.005 < rate < 0.8 for rate in rates.values())


def test_the_seed_decides_the_weights():
    make = [
        lambda s: networks.conv((1, 6, 6), "2C3-4", LIF, seed=s),
        lambda s: networks.recurrent((3, 4, 2), LIF, seed=s),
    ]
    for network in make:
        a, b, c = (torch.cat([p.flatten() for p in network(seed).parameters()]) for seed in (1, 1, 2))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("4C5-Q2-3", r"4C5-Q2-3: 'Q2' is no layer. Allowed: 16C5, P2, AP2, GAP, 128"),
        ("4C4-3", "'4C4' has an even kernel"),
        ("4C5-P2", "'P2' cannot be the last layer"),
        ("10-4C3-3", "'4C3' comes after a fully connected layer"),
        ("4C3-P99-3", r"'P99' does not fit \(input of the layer: \(4, 12, 12\)\)"),
        ("0C3-3", "'0C3' does not fit"),
        ("AP0-3", "'AP0' does not fit"),
        ("20-GAP-3", "'GAP' comes after a fully connected layer"),
        ("", "'' is no layer"),
        ("P5-4C3-3", r"'4C3' pads behind 'P5', which leaves 2 of 12 rows or columns over\. Allowed: pools that divide"),
        ("4C3-P3-AP3-P1-4C3-3", r"'4C3' pads behind 'AP3', which leaves 1 of 4 rows or columns over"),
    ],
)
def test_lines_that_describe_no_network(layers, message):
    with pytest.raises(sm.SeamountError, match=message):
        networks.conv((2, 12, 12), layers, LIF)


def test_a_recurrent_network_needs_a_hidden_population():
    with pytest.raises(sm.SeamountError, match="at least one hidden"):
        networks.recurrent((3, 4), LIF)


def test_dropout_is_for_training_in_floating_point():
    net = networks.recurrent((6, 20, 4), LIF, readout=sm.nn.LI(beta=0.9), bias=True, dropout=0.5, seed=0)
    assert [name for name, _ in net.named_children()] == ["fc1", "rec1", "drop1", "readout", "out"]
    x = (torch.rand(12, 3, 6) < 0.5).to(torch.uint8)
    assert not torch.equal(net(x.float()), net(x.float()))
    qnet = sm.quantize(net, calibration=x).train()  # dropout would scale the spikes that it keeps
    sm.verify(sm.lower(qnet), ["reference", qnet, "loihi2"], x).check()


def test_recipes_name_the_kind_of_network(tmp_path):
    file = tmp_path / "small.toml"
    content = (
        '[data]\nname = "digits"\nsteps = 4\n[network]\n{}\n'
        '[neuron]\nmodel = "LIF"\nbeta = 0.9\n[training]\nepochs = 1\n'
    )
    file.write_text(content.format('kind = "recurrent"\nsizes = [64, 8, 10]\nseed = 0'))
    net, data = recipes.build(recipes.load(str(file)))
    assert isinstance(net.rec1, sm.nn.Recurrent)
    assert net(data.test.spikes(torch.arange(2)).float()).shape == (4, 2, 10)
    file.write_text(content.format('kind = "transformer"\nsizes = [64, 10]'))
    with pytest.raises(sm.SeamountError, match=r"network kind 'transformer' is unknown\. Allowed: mlp"):
        recipes.load(str(file))
    file.write_text(content.format('kind = "conv"\nsizes = [64, 10]'))
    with pytest.raises(sm.SeamountError, match=r"\[network\] needs layers"):
        recipes.load(str(file))
