"""Convolutional networks from torch to the graph: float within rounding, quantized spike for spike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import GraphError, LoweringError, QuantizationError, UnsupportedNodeError
from seamount.nn import (
    AvgPool2d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Delayed,
    Feedback,
    Flatten,
    SumPool2d,
    Upsample2d,
    WSConv2d,
    WSLinear,
)


def louder(net: nn.Module, gain: float) -> nn.Module:
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d)):
                module.weight.mul_(gain)
    return net


def classic(reset):
    """Pools before and after convolutions, with and without padding; batch norm; a pool between populations."""
    return nn.Sequential(
        Conv2d(2, 4, 3, padding=1, bias=False), BatchNorm2d(4), sm.nn.LIF(0.9, reset=reset), AvgPool2d(2),
        Conv2d(4, 6, 3, padding=1, groups=2), AvgPool2d(2),
        sm.nn.LIF(0.8, reset=reset, bias=torch.full((6, 1, 1), 0.1)), SumPool2d(2),
        sm.nn.LIF(0.5, reset=reset), Flatten(), nn.Linear(6 * 2 * 2, 5), sm.nn.LI(0.9),
    )  # fmt: skip


def standardised(reset):
    """Weight standardisation, thresholds by channel, two pools in a row, a pool before a Linear."""
    vth = torch.tensor([0.8, 1.0, 1.2, 1.4, 0.7, 0.9]).reshape(6, 1, 1)
    return nn.Sequential(
        WSConv2d(2, 6, 3, bias=False, gain=6.0), sm.nn.LIF(0.9, vth, reset=reset), SumPool2d(2), AvgPool2d((2, 3)),
        Flatten(), nn.Dropout(0.2), WSLinear(54, 9, bias=False, gain=6.0), sm.nn.LIF(0.9, reset=reset),
        nn.Linear(9, 5, bias=False), sm.nn.CubaLIF(0.5, 0.9, 0.5, reset=reset),
    )  # fmt: skip


class Residual(nn.Module):
    """Two branches of convolutions that are added, one of them later, and a recurrent convolution."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.first, self.lif1 = Conv2d(2, 4, 3, padding="same", bias=False), sm.nn.LIF(0.9, reset=reset)
        self.main, self.skip = Conv2d(4, 4, 3, stride=2, padding=1), Delayed(Conv2d(4, 4, 1, stride=2, bias=False), 2)
        self.lif2 = sm.nn.Recurrent(sm.nn.LIF(0.8, reset=reset), Conv2d(4, 4, 3, padding=1, bias=False))
        self.pool, self.flat = SumPool2d(2), Flatten()
        self.out, self.li = nn.Linear(4 * 4 * 4, 5, bias=False), sm.nn.LI(0.9, 0.3)

    def forward(self, x):
        s = self.lif1(self.first(x))
        s = self.lif2(self.main(s) + self.skip(s))
        return self.li(self.out(self.flat(self.pool(s))))


class Dense(nn.Module):
    """Convolutions and a Linear that read concatenations, one of them with the input, pooled, and a norm behind."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        self.conv1, self.lif1 = Conv2d(2, 3, 3, padding=1, bias=False), sm.nn.LIF(0.9, reset=reset)
        self.conv2, self.lif2 = Conv2d(5, 4, 3, padding=1), sm.nn.LIF(0.9, reset=reset)
        self.norm, self.pool, self.flat = BatchNorm2d(4), AvgPool2d(2), Flatten()
        self.out, self.li = nn.Linear(9 * 8 * 8, 5), sm.nn.LI(0.9)

    def forward(self, x):
        a = self.lif1(self.conv1(x))
        b = self.lif2(self.norm(self.conv2(torch.cat([a, x], 2))))
        return self.li(self.out(self.flat(self.pool(torch.cat((x, a, b), dim=2)))))


class Feeding(nn.Module):
    """Feedback through an upsampling; upsampling in front of a convolution and between populations."""

    def __init__(self, reset: str) -> None:
        super().__init__()
        lif = [sm.nn.LIF(0.8, reset=reset) for _ in range(4)]
        back = nn.Sequential(Upsample2d(2), Conv2d(6, 4, 3, padding=1, bias=False))
        self.conv1 = Conv2d(2, 4, 3, padding=1, bias=False)
        self.loop = Feedback(nn.Sequential(lif[0], Conv2d(4, 6, 2, stride=2, bias=False), lif[1]), back, 2)
        self.on = nn.Sequential(AvgPool2d(4), Conv2d(6, 6, 1, bias=False), lif[2])
        self.up = nn.Sequential(Upsample2d((3, 2)), Conv2d(6, 4, 3, padding=1, groups=2), lif[3])
        self.more = nn.Sequential(Upsample2d((1, 2)), sm.nn.LIF(0.5, 0.5, reset=reset))
        self.flat, self.out, self.li = Flatten(), nn.Linear(4 * 6 * 8, 5), sm.nn.LI(0.9)

    def forward(self, x):
        return self.li(self.out(self.flat(self.more(self.up(self.on(self.loop(self.conv1(x))))))))


NETWORKS = {
    "feeding": Feeding,
    "concatenating": Dense,
    "classic": classic,
    "standardised": standardised,
    "residual": Residual,
}


def made(name: str, reset: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    net = louder(NETWORKS[name](reset), 4.0)
    x = (torch.rand(8, 4, 2, *((16, 16) if name != "standardised" else (14, 20))) < 0.3).to(torch.uint8)
    net.train()
    for _ in range(2):
        net(x.float())  # statistics of the norms
    return net.eval(), x


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_graph_is_the_network(name):
    net, x = made(name, "subtract")
    graph = sm.lower(net, input_shape=x.shape[2:])
    with sm.nn.recording(net) as populations, torch.no_grad():
        net(x.float())
    result = sm.compile(graph, "reference").run(x, record=["spikes", "v"])
    for node, population in populations.items():
        np.testing.assert_allclose(result.v[node], population.recorded_v, rtol=1e-4, atol=1e-5)
    for node, spikes in result.spikes.items():
        np.testing.assert_array_equal(spikes, populations[node].recorded_spikes)
        assert 0.005 < spikes.mean() < 0.8


@pytest.mark.parametrize(
    ("bits", "per_channel", "reset"),
    [
        (8, False, "zero"),
        (4, True, "subtract"),
        pytest.param(8, True, "subtract", marks=pytest.mark.slow),
        pytest.param(4, True, "zero", marks=pytest.mark.slow),
        pytest.param(2, False, "subtract", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_quantized_networks_are_their_graphs_before_and_after_training(name, bits, per_channel, reset):
    net, x = made(name, reset)
    qnet = sm.quantize(net, weight_bits=bits, per_channel=per_channel, calibration=x)
    optimizer = torch.optim.Adam([p for p in qnet.parameters() if p.requires_grad], lr=1e-2)
    before = sm.lower(qnet)
    sm.verify(before, ["reference", qnet], x).check()
    for _ in range(2):
        loss = (qnet(x.float()).mean(0) - torch.rand(4, 5)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = sm.lower(qnet)
    sm.verify(after, ["reference", qnet], x).check()
    assert any((before[c.name].weight != c.weight).any() for c in after.connections)
    assert max(s.mean() for s in sm.compile(after, "reference").run(x, ["spikes"]).spikes.values()) > 0.01


@pytest.mark.parametrize("name", ["classic", "feeding"])
def test_every_target_runs_what_torch_trained(name):
    net, x = made(name, "subtract")
    qnet = sm.quantize(net, calibration=x)
    sm.verify(sm.lower(qnet), ["reference", "onnxruntime", "loihi2", qnet], x).check()


def test_eight_bits_stay_near_the_float_network():
    net, x = made("classic", "subtract")
    qnet = sm.quantize(net, calibration=x)
    want, got = net(x.float()).detach(), qnet(x.float()).detach()
    assert np.corrcoef(got.flatten(), want.flatten())[0, 1] > 0.95


def test_one_dimension():
    torch.manual_seed(1)
    net = nn.Sequential(
        Conv1d(3, 8, 5, stride=2, padding=2), sm.nn.LIF(0.9, 0.3), Flatten(), nn.Linear(80, 4), sm.nn.LI(0.9)
    )
    x = (torch.rand(10, 3, 3, 20) < 0.3).to(torch.uint8)
    qnet = sm.quantize(net, calibration=x)
    sm.verify(sm.lower(qnet), ["reference", "onnxruntime", "loihi2", qnet], x).check()


def test_a_delay_is_that_of_the_graph():
    torch.manual_seed(1)
    net = nn.Sequential(Delayed(nn.Linear(6, 4, bias=False), 3), sm.nn.LIF(0.9, 0.2))
    assert sm.lower(net)["0.connection"].delay == 3
    x = (torch.rand(10, 3, 6) < 0.4).to(torch.uint8)
    got = sm.compile(sm.lower(net), "reference").run(x).output
    np.testing.assert_array_equal(got, net(x.float()).detach())
    assert not got[:3].any()
    assert got.any()


def test_sequences_equal_their_steps():
    x = torch.rand(5, 3, 2, 8, 8)
    norm = BatchNorm2d(2).eval()
    norm.running_mean.uniform_()
    for module in (Conv2d(2, 3, 3), WSConv2d(2, 3, 3), SumPool2d((2, 3), 2), AvgPool2d(3), norm):
        torch.testing.assert_close(module(x), torch.stack([module(s) for s in x]))
    with pytest.raises(
        sm.SeamountError, match=r"input has shape \[2, 8\] \(allowed \[T, B, \.\.\.\] with 3 dimensions"
    ):
        AvgPool2d(3)(x[0, 0, :, 0])


lif = sm.nn.LIF(0.9)
REFUSED = [
    ((Conv2d(2, 3, 3), lif), LoweringError, r"^0: a Conv2d does not tell the shape of the network's input\. Hint: sm"),
    ((Conv2d(4, 3, 3), lif), GraphError, r"^0: reads a source of shape \(2, 9, 9\) \(allowed \(4, height, width\)\)"),
    ((Conv2d(2, 3, 3), lif, nn.Linear(7, 2), sm.nn.LI(0.9)), GraphError, r"^2: weight \[out, in\] = \[2, 7\] reads"),
    ((Conv2d(2, 3, 3, padding=1, padding_mode="circular"), lif), UnsupportedNodeError, r"^0: padding_mode 'circular'"),
    ((Conv2d(2, 3, 2, padding="same"), lif), UnsupportedNodeError, r"^0: padding 'same' with an even kernel \(2, 2\)"),
    ((SumPool2d(2), Conv2d(2, 3, 3, padding=1), lif), LoweringError, r"^0: its windows leave 1 of 9 values over, wh"),
    ((SumPool2d(10), Conv2d(2, 3, 3), lif), LoweringError, r"^0: windows of \(10, 10\) do not fit a source of shape"),
    ((Conv2d(2, 3, 3), lif, SumPool2d(2)), LoweringError, r"^2: ends the network"),
    ((Conv2d(2, 3, 3), Flatten(), lif), LoweringError, r"^1: reads synaptic input"),
    ((Conv2d(2, 3, 3), lif, nn.Flatten(), nn.Linear(147, 2), sm.nn.LI(0.9)), UnsupportedNodeError, r"^2: flattens"),
    ((Conv2d(2, 3, 3), BatchNorm2d(3, track_running_stats=False), lif), UnsupportedNodeError, r"^1: keeps no stat"),
    ((Conv2d(2, 3, 3), BatchNorm2d(2), lif), LoweringError, r"^1: normalises 2 channels of 0 \(has 3\)"),
    ((Conv2d(2, 3, 3), Upsample2d(2), lif), UnsupportedNodeError, r"^1: upsamples synaptic input"),
    ((Upsample2d(2), Conv2d(2, 3, 3, stride=2), lif), LoweringError, r"^0: upsamples what 1 reads \(allowed: a conv"),
    ((Upsample2d(2), Flatten(), nn.Linear(648, 3), lif), LoweringError, r"^0: upsamples what 2 reads"),
    ((Upsample2d(2), SumPool2d(2), Conv2d(2, 3, 3), lif), UnsupportedNodeError, r"^1: a pool beside 0, which ups"),
    ((nn.Linear(162, 3), SumPool2d(2), lif), UnsupportedNodeError, r"^1: pools what 0 delivers"),
    ((Conv2d(2, 3, 3), nn.MaxPool2d(2), lif), UnsupportedNodeError, r"^1: MaxPool2d cannot be lowered"),
    ((Conv2d(2, 3, 3), sm.nn.CubaLIF(0.5, 0.9)), UnsupportedNodeError, r"^0: its bias would pass through the current"),
    ((Conv2d(2, 3, 3, bias=False), BatchNorm2d(3), sm.nn.CubaLIF(0.5, 0.9)), UnsupportedNodeError, r"^0: its bias"),
]  # fmt: skip


@pytest.mark.parametrize(("modules", "error", "message"), REFUSED, ids=lambda p: p if isinstance(p, str) else "")
def test_what_cannot_be_lowered(modules, error, message):
    shape = None if "does not tell" in message else (2, 9, 9)
    with pytest.raises(error, match=message):
        sm.lower(nn.Sequential(*modules), input_shape=shape)


class Shared(nn.Module):
    """A convolution whose output two populations add."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.lif1, self.lif2 = Conv2d(2, 2, 1), Conv2d(2, 2, 1), sm.nn.LIF(0.9), sm.nn.LIF(0.9)

    def forward(self, x):
        a = self.a(x)
        return self.lif2(self.b(self.lif1(a)) + a)


class Joins(nn.Module):
    """An nn.Linear of two populations, concatenated."""

    def __init__(self, inputs: int, dim: int = 2) -> None:
        super().__init__()
        self.a, self.lif, self.fc, self.li, self.dim = nn.Linear(4, 3), lif, nn.Linear(inputs, 2), sm.nn.LI(0.9), dim

    def forward(self, x):
        return self.li(self.fc(torch.cat([self.lif(self.a(x)), x], self.dim)))


def test_concatenations_that_do_not_fit_are_refused():
    assert sm.lower(Joins(7))["li"].inputs == ("fc.0", "fc.1")
    with pytest.raises(LoweringError, match=r"^fc: reads a concatenation of 7 channels or inputs \(allowed 6\)"):
        sm.lower(Joins(6))
    with pytest.raises(UnsupportedNodeError, match=r"^cat: concatenates along dimension 0 \(allowed 2, the channels\)"):
        sm.lower(Joins(3, dim=0))


def test_a_connection_feeds_one_population():
    with pytest.raises(
        UnsupportedNodeError, match=r"^a: what it delivers goes to several populations, the last .* lif2"
    ):
        sm.lower(Shared(), input_shape=(2, 9, 9))


def test_windows_that_overlap_before_a_connection_are_refused():
    net = nn.Sequential(SumPool2d(3, 2), Conv2d(2, 3, 2), sm.nn.LIF(0.9))
    sm.lower(net, input_shape=(2, 9, 9))
    x = torch.zeros(5, 2, 2, 9, 9, dtype=torch.uint8)
    with pytest.raises(QuantizationError, match=r"^0: its windows of \(3, 3\), \(2, 2\) apart, overlap before 1"):
        sm.quantize(net, calibration=x)


def test_calibration_of_another_shape_is_refused():
    net = nn.Sequential(Conv2d(2, 3, 3), sm.nn.LIF(0.9))
    with pytest.raises(GraphError, match=r"^0: reads a source of shape \(162,\) \(allowed \(2, height, width\)\)"):
        sm.quantize(net, calibration=torch.zeros(5, 2, 162, dtype=torch.uint8))
