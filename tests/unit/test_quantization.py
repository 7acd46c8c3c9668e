"""Integers from scale and calibration, and what cannot be represented."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import DataError, QuantizationError, UnsupportedNodeError
from seamount.quantization import calibrate

ONES = torch.ones(4, 2, 6, dtype=torch.uint8)


def small(weight: float = 0.5, beta: float = 0.9, **options) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(6, 3, bias=False), sm.nn.LIF(beta, **options))
    with torch.no_grad():
        net[0].weight.copy_(torch.linspace(-1, 1, 18).reshape(3, 6) * weight)
    return net


def test_integers_follow_the_recipe():
    qnet = sm.quantize(small(), weight_bits=4, calibration=ONES)
    graph = sm.lower(qnet)
    scale = 0.5 / 7
    codes = np.round(np.linspace(-1, 1, 18).reshape(3, 6) * 0.5 / scale)
    np.testing.assert_array_equal(graph["0"].weight, codes * 2**5)
    lsb, k = scale / 2**5, graph["0"].weight_exp
    lif = graph["1"]
    assert lif.vth == round(1.0 * 2**k / lsb)
    assert lif.reset_by == lif.vth << 6
    assert (lif.dv, lif.du) == (round(4096 * 0.1), 4095)
    np.testing.assert_allclose(lif.scale, lsb * 2.0**-k / 64, rtol=1e-6)


def test_dequantized_membrane_is_the_float_one():
    """kappa v of a non-spiking integer readout lies within rounding of the float network's v."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4, bias=False), sm.nn.LI(0.9, 0.5))
    x = (torch.rand(30, 5, 6) < 0.4).to(torch.uint8)
    qnet = sm.quantize(net, calibration=x)
    result = sm.compile(sm.lower(qnet), "reference").run(x)
    want = net(x.float()).detach().numpy()
    got = result.output * result.output_scale
    assert np.abs(got - want).max() < 0.02 * np.abs(want).max()
    np.testing.assert_allclose(qnet(x).detach().numpy(), got, rtol=1e-5, atol=1e-7)


def test_bias_keeps_its_value():
    net = small(bias=torch.tensor([0.02, -0.3, 0.11]))
    lif = sm.lower(sm.quantize(net, calibration=ONES))["1"]
    np.testing.assert_allclose(lif.bias * lif.scale, [0.02, -0.3, 0.11], rtol=0.01)


def test_a_linear_bias_before_lif_is_the_populations():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 3), sm.nn.LIF(0.9))
    lif = sm.lower(sm.quantize(net, calibration=ONES))["1"]
    np.testing.assert_allclose(lif.bias * lif.scale, net[0].bias.detach().numpy(), rtol=0.01, atol=1e-3)


def test_connections_of_one_population_share_a_scale_up_to_powers_of_two():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.big, self.little, self.lif = nn.Linear(6, 3, bias=False), nn.Linear(6, 3, bias=False), sm.nn.LIF(0.9)
            with torch.no_grad():
                self.little.weight.mul_(1 / 50)

        def forward(self, x):
            return self.lif(self.big(x) + self.little(x))

    torch.manual_seed(0)
    net = Two()
    graph = sm.lower(sm.quantize(net, calibration=ONES))
    kappa = graph["lif"].scale
    for name in ("big", "little"):
        node = graph[name]
        got = node.weight * 2.0**node.weight_exp * 64 * kappa
        want = getattr(net, name).weight.detach().numpy()
        assert np.abs(got - want).max() < np.abs(want).max() / 100
    assert graph["little"].weight_exp < graph["big"].weight_exp


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_zero_channel_has_a_possible_threshold(per_channel):
    net = small()
    with torch.no_grad():
        net[0].weight[1] = 0
    graph = sm.lower(sm.quantize(net, per_channel=per_channel, calibration=ONES))
    assert graph["1"].vth.max() < 1 << 17
    assert not graph["0"].weight[1].any()
    sm.verify(graph, ["reference", "loihi2"], ONES).check()


def test_weight_exponent_does_not_change_in_training():
    torch.manual_seed(0)
    qnet = sm.quantize(small(), calibration=ONES)
    before = sm.lower(qnet)["0"].weight_exp
    with torch.no_grad():
        qnet[0].weight.mul_(1.7)
    assert sm.lower(qnet)["0"].weight_exp == before
    calibrate(qnet, ONES)
    sm.verify(sm.lower(qnet), ["reference", qnet], ONES).check()


def test_the_given_network_is_left_as_it_is():
    net = small()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sm.quantize(net, calibration=ONES)
    assert type(net[0]) is nn.Linear
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_nan_weights_are_named():
    net = small()
    with torch.no_grad():
        net[0].weight[0, :2] = float("nan")
    with pytest.raises(QuantizationError, match=r"0.weight: holds 2 NaN or infinite of 18 values"):
        sm.quantize(net, calibration=ONES)
    with pytest.raises(sm.SeamountError, match=r"0.weight: holds 2 NaN"):
        sm.lower(net)


def test_nan_in_a_quantized_network_is_named_when_lowering():
    qnet = sm.quantize(small(), calibration=ONES)
    with torch.no_grad():
        qnet[0].weight[0, 0] = float("inf")
    with pytest.raises(sm.SeamountError, match=r"0.weight: holds 1 NaN or infinite"):
        sm.lower(qnet)


def test_a_threshold_out_of_proportion_is_refused():
    with pytest.raises(QuantizationError, match=r"1: its vth asks for weight_exp -\d+ \(allowed -8..7\)"):
        sm.quantize(small(weight=1e-4, vth=1e3), calibration=ONES)


def test_a_threshold_that_outgrows_its_mantissa_is_refused():
    qnet = sm.quantize(small(), calibration=ONES)
    with torch.no_grad():
        qnet[1].neuron.vth.mul_(1000)
    with pytest.raises(QuantizationError, match=r"1: vth \(used \d+, limit 131071"):
        sm.lower(qnet)


def test_a_bias_on_a_connection_into_cuba_is_refused():
    net = nn.Sequential(nn.Linear(6, 3), sm.nn.CubaLIF(0.5, 0.9))
    for go in (lambda: sm.quantize(net, calibration=ONES), lambda: sm.lower(net)):
        with pytest.raises(UnsupportedNodeError, match=r"0: its bias would pass through the current of 1"):
            go()


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_out_of_range(bits):
    with pytest.raises(QuantizationError, match=rf"weight_bits = {bits} \(allowed 2..8\)"):
        sm.quantize(small(), weight_bits=bits, calibration=ONES)


def test_quantizing_twice_is_refused():
    qnet = sm.quantize(small(), calibration=ONES)
    with pytest.raises(QuantizationError, match="is quantized already"):
        sm.quantize(qnet, calibration=ONES)


def test_calibration_without_time_is_refused():
    with pytest.raises(DataError, match=r"calibration: has shape \[2, 6\] \(allowed \[T, B, \.\.\.\]\)"):
        sm.quantize(small(), calibration=torch.ones(2, 6))
