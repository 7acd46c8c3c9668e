"""Each neuron against the library that has it: spike for spike in float64, under the conventions that are stated.

| library | its convention | here |
|---|---|---|
| snnTorch | the reset takes effect one step late | `sm.nn.from_snntorch` |
| SpikingJelly | fires at `v >= vth` | the largest number below vth |
| | `v += (x - v) / tau` | `beta = 1 - 1 / tau`, input `x / tau` |
| | `OTTTLIFNode` has no trace of the network's input | gradients of the first connection are not compared |
| | its OTTT learns the first connection from the input, not from a trace of it | that one is not compared |
| | `RAFNode` fires at `v >= vth` and resets v | its u and v, never reset, fire by the rule of Loihi 2 |
| Norse | Euler: `v += dt / tau_mem (i - v)`, `i -= dt / tau_syn i` | `beta = 1 - dt / tau_mem`, `alpha = 1 - dt / tau_syn`, input `x dt / tau_mem` |
| | LSNN hears the current of the last step | input one step later |
| | LSNN's threshold decays before it is compared | `adaptation = rho jump / (1 - rho)` |

`uv run --group bench pytest tests/unit/test_peers.py` brings the libraries.
"""  # noqa: E501

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import UnsupportedNodeError
from seamount_models import online

T, B, N = 150, 6, 40
DOUBLE = torch.float64


def current(scale: float = 0.5, offset: float = 0.15) -> torch.Tensor:
    """Synaptic input that makes neurons fire in some 5 to 50 % of their steps."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(T, B, N, dtype=DOUBLE, generator=generator) * scale + offset


def fires(cell: sm.nn.Neuron, a: torch.Tensor, **exact) -> torch.Tensor:
    """Spikes of a module in float64; `exact` are parameters that float32 does not hold."""
    cell = cell.double()
    for name, value in exact.items():
        setattr(cell, name, torch.as_tensor(value, dtype=DOUBLE))
    with torch.no_grad():
        return cell(a)


def same(got: torch.Tensor, want: torch.Tensor) -> None:
    rate = (want != 0).double().mean()
    assert 0.03 < rate < 0.7
    assert torch.equal(got, want.to(DOUBLE)), f"{int((got != want).sum())} of {got.numel()} spikes differ"


# What float32 holds exactly, so that both libraries start from the same numbers.
BETA, ALPHA, VTH = (torch.tensor(np.random.default_rng(s).integers(low, high, N) / 64, dtype=DOUBLE)
                    for s, low, high in ((1, 32, 64), (2, 8, 56), (3, 48, 80)))  # fmt: skip


class TestSnnTorch:
    """Leaky and Synaptic, as `from_snntorch` maps them."""

    @pytest.fixture(autouse=True)
    def snntorch(self):
        return pytest.importorskip("snntorch", reason="snnTorch is not installed (uv run --group bench)")

    @staticmethod
    def run(peer, a):
        state, out = (), []
        for x in a:
            s, *state = peer(x, *state)
            out.append(s)
        return torch.stack(out).detach()

    @staticmethod
    def check(peer, a):
        cell, exact = sm.nn.from_snntorch(peer), {}
        if cell.reset == "subtract":
            exact = {"reset_by": peer.threshold / peer.beta}
        same(fires(cell, a, **exact), TestSnnTorch.run(peer, a))

    @pytest.mark.parametrize(
        ("reset", "delay"), [("subtract", True), ("zero", True), ("zero", False), ("none", True), ("none", False)]
    )
    def test_leaky(self, snntorch, reset, delay):
        a = current(offset=0.0 if reset == "none" else 0.15)
        self.check(snntorch.Leaky(BETA, VTH, reset_mechanism=reset, reset_delay=delay), a)

    @pytest.mark.parametrize(
        ("reset", "delay"), [("subtract", True), ("zero", True), ("zero", False), ("none", True), ("none", False)]
    )
    def test_synaptic(self, snntorch, reset, delay):
        a = current(scale=0.4)
        self.check(snntorch.Synaptic(ALPHA, BETA, VTH, reset_mechanism=reset, reset_delay=delay), a)

    def test_what_learns_there_learns_here(self, snntorch):
        cell = sm.nn.from_snntorch(snntorch.Leaky(0.9, learn_beta=True, learn_threshold=True, reset_mechanism="zero"))
        assert {name for name, _ in cell.named_parameters()} == {"beta", "vth"}

    def test_what_does_not_map_is_refused_by_name(self, snntorch):
        with pytest.raises(UnsupportedNodeError, match=r"snntorch.Alpha: has no counterpart"):
            sm.nn.from_snntorch(snntorch.Alpha(alpha=0.9, beta=0.8))
        with pytest.raises(UnsupportedNodeError, match=r"Leaky: inhibition does not map"):
            sm.nn.from_snntorch(snntorch.Leaky(0.9, inhibition=True))

    def test_what_is_refused_differs(self, snntorch):
        """Subtraction without the delay is subtracted again while v stays above the threshold."""
        peer = snntorch.Leaky(BETA, VTH, reset_delay=False)
        with pytest.raises(UnsupportedNodeError, match=r"Leaky: reset_mechanism='subtract' with reset_delay=False"):
            sm.nn.from_snntorch(peer)
        a = current(offset=0.6)
        assert not torch.equal(fires(sm.nn.LIF(BETA, VTH), a), self.run(peer, a))


class TestSpikingJelly:
    @pytest.fixture(autouse=True)
    def neuron(self):
        return pytest.importorskip(
            "spikingjelly.activation_based.neuron", reason="SpikingJelly is not installed (uv run --group bench)"
        )

    @staticmethod
    def run(peer, a):
        with torch.no_grad():
            return torch.stack([peer(x) for x in a])

    @staticmethod
    def lattice(step: float) -> torch.Tensor:
        """Input on which v meets its threshold exactly, again and again, without rounding."""
        return torch.round(current()[:30] / step) * step

    @pytest.mark.parametrize("hard", [True, False])
    def test_if(self, neuron, hard):
        a = self.lattice(0.25)
        want = self.run(neuron.IFNode(v_threshold=1.0, v_reset=0.0 if hard else None), a)
        options = {"reset": "zero"} if hard else {"reset": "subtract", "reset_by": 1.0}
        same(fires(sm.nn.IF(1.0, **options), a, vth=np.nextafter(1.0, 0)), want)
        assert not torch.equal(fires(sm.nn.IF(1.0, **options), a), want)

    @pytest.mark.parametrize("hard", [True, False])
    @pytest.mark.parametrize("decay_input", [True, False])
    def test_lif(self, neuron, hard, decay_input):
        a = self.lattice(0.5) * (2 if decay_input else 1)
        peer = neuron.LIFNode(tau=2.0, decay_input=decay_input, v_threshold=1.0, v_reset=0.0 if hard else None)
        options = {"reset": "zero"} if hard else {"reset": "subtract", "reset_by": 1.0}
        want, a = self.run(peer, a), a / 2 if decay_input else a
        same(fires(sm.nn.LIF(0.5, **options), a, vth=np.nextafter(1.0, 0)), want)
        assert not torch.equal(fires(sm.nn.LIF(0.5, **options), a), want)

    @pytest.mark.parametrize("hard", [True, False])
    def test_ternary(self, neuron, hard):
        a = self.lattice(0.25)
        want = self.run(neuron.TernaryIFNode(v_threshold=1.0, v_reset=0.0 if hard else None), a)
        assert want.min() == -1
        options = {"reset": "zero"} if hard else {"reset": "subtract", "reset_by": 1.0}
        same(fires(sm.nn.TernaryLIF(1.0, **options), a, vth=np.nextafter(1.0, 0)), want)

    def test_resonate_and_fire(self, neuron):
        a, omega, states = current(), 2 * math.pi / 5, []
        peer = neuron.RAFNode(b=math.log(0.9), omega=omega, v_threshold=1e9)
        with torch.no_grad():
            for x in a:
                peer(x)
                states.append((peer.u, peer.v))
        u, v = (torch.stack(values) for values in zip(*states, strict=True))
        before = torch.cat([torch.zeros_like(v[:1]), v[:-1]])
        exact = {"beta": 0.9, "omega": torch.nn.Parameter(torch.tensor(omega, dtype=DOUBLE))}
        same(fires(sm.nn.ResonateAndFire(0.9, 5.0, 0.625), a, **exact), (u > 0.625) & (before < 0) & (v >= 0))

    def test_ottt(self, neuron):
        """The gradient of OTTT-A through standardised convolutions, a pool and a linear layer."""
        from spikingjelly.activation_based import layer, surrogate

        torch.manual_seed(0)
        lif = sm.nn.LIF(0.5, surrogate=sm.nn.ArcTan(2.0))
        net = nn.Sequential(
            *(sm.nn.WSConv2d(2, 8, 3, padding=1, bias=False, gain=3.0), deepcopy(lif), sm.nn.AvgPool2d(2)),
            *(sm.nn.WSConv2d(8, 12, 3, padding=1, bias=False, gain=6.0), deepcopy(lif), sm.nn.Flatten()),
            *(nn.Linear(192, 5, bias=False), deepcopy(lif)),
        ).double()

        def fires():
            options = {"decay_input": False, "v_reset": None, "surrogate_function": surrogate.ATan(2.0)}
            return neuron.OTTTLIFNode(tau=2.0, **options)

        peer = layer.OTTTSequential(
            *(layer.WSConv2d(2, 8, 3, padding=1, bias=False), fires(), layer.AvgPool2d(2)),
            *(layer.WSConv2d(8, 12, 3, padding=1, bias=False), fires(), layer.Flatten(1)),
            *(layer.Linear(192, 5, bias=False), fires()),
        ).double()
        net[6].weight.data.mul_(4)  # type: ignore[union-attr]
        for to, given in zip(peer.parameters(), net.parameters(), strict=True):
            to.data = given.data.reshape(to.shape).clone()
        x, labels = (torch.rand(12, 4, 2, 8, 8) < 0.3).double(), torch.randint(5, (4,))

        want = []
        for step in x:
            out = peer(step)[0]
            nn.functional.cross_entropy(out, labels).backward()
            want.append(out.detach())
        same(online.OTTT(net, "cross_entropy").sample(x, labels.expand(12, -1)), torch.stack(want))
        pairs = list(zip(net.parameters(), peer.parameters(), strict=True))
        for ours, theirs in pairs[2:]:
            assert ours.grad is not None
            assert theirs.grad is not None
            assert ours.grad.abs().max() > 1e-4
            torch.testing.assert_close(ours.grad, theirs.grad.reshape(ours.shape), rtol=1e-10, atol=1e-15)


class TestNorse:
    DT = 1e-3
    MEM, SYN, ADAPT = 1 / 1e-2, 1 / 5e-3, 1 / 50e-3

    @pytest.fixture(autouse=True)
    def functional(self):
        return pytest.importorskip("norse.torch.functional", reason="Norse is not installed (uv run --group bench)")

    @staticmethod
    def number(value: float) -> torch.Tensor:
        return torch.tensor(value, dtype=DOUBLE)

    def lif_parameters(self, **more):
        from norse.torch.functional.lif import LIFParameters

        return LIFParameters(tau_syn_inv=self.number(self.SYN), tau_mem_inv=self.number(self.MEM), **more)

    @property
    def retentions(self):
        return {"beta": 1 - self.DT * self.MEM, "alpha": 1 - self.DT * self.SYN}

    def run(self, step, state, parameters, a):
        out = []
        for x in a:
            z, state = step(x, state, parameters, dt=self.DT)
            out.append(z)
        return torch.stack(out)

    def test_lif(self, functional):
        from norse.torch.functional.lif import LIFFeedForwardState, lif_feed_forward_step

        a, zero = current(2.0, 0.6), torch.zeros(B, N, dtype=DOUBLE)
        want = self.run(lif_feed_forward_step, LIFFeedForwardState(zero, zero), self.lif_parameters(), a)
        cell = sm.nn.CubaLIF(0.5, 0.5, reset="zero")
        same(fires(cell, a * self.DT * self.MEM, **self.retentions), want)

    @pytest.mark.parametrize("steps", [1, 3])
    def test_refractory(self, functional, steps):
        from norse.torch.functional.lif import LIFFeedForwardState
        from norse.torch.functional.lif_refrac import (
            LIFRefracFeedForwardState,
            LIFRefracParameters,
            lif_refrac_feed_forward_step,
        )

        a, zero = current(2.0, 0.9), torch.zeros(B, N, dtype=DOUBLE)
        state = LIFRefracFeedForwardState(LIFFeedForwardState(zero, zero), zero)
        parameters = LIFRefracParameters(self.lif_parameters(), self.number(float(steps)))
        want = self.run(lif_refrac_feed_forward_step, state, parameters, a)
        cell = sm.nn.RefractoryLIF(0.5, alpha=0.5, reset="zero", refractory=steps)
        same(fires(cell, a * self.DT * self.MEM, **self.retentions), want)

    def test_adaptive(self, functional):
        from norse.torch.functional.lsnn import LSNNFeedForwardState, LSNNParameters, lsnn_feed_forward_step

        a, zero, rise = current(2.0, 0.9), torch.zeros(B, N, dtype=DOUBLE), 0.4
        parameters = LSNNParameters(
            tau_syn_inv=self.number(self.SYN), tau_mem_inv=self.number(self.MEM),
            tau_adapt_inv=self.number(self.ADAPT), beta=self.number(rise),
        )  # fmt: skip
        want = self.run(lsnn_feed_forward_step, LSNNFeedForwardState(v=zero, i=zero, b=zero + 1), parameters, a)
        rho = 1 - self.DT * self.ADAPT
        late = torch.cat([torch.zeros_like(a[:1]), a[:-1]]) * self.DT * self.MEM
        exact = {**self.retentions, "rho": rho, "adaptation": rho * rise / (1 - rho)}
        same(fires(sm.nn.ALIF(0.5, 0.5, alpha=0.5, reset="zero"), late, **exact), want)
        assert not torch.equal(fires(sm.nn.CubaLIF(0.5, 0.5, reset="zero"), late, **self.retentions), want)
