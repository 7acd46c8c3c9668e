"""Populations on another device than the CPU: the loop of tensors on torch's `meta`, which mixes with no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import seamount as sm

NETS = {
    "LIF": lambda: sm.nn.LIF(torch.rand(4), learn="beta"),
    "ALIF": lambda: sm.nn.ALIF(0.9, 0.95, adaptation=1.8, learn="rho"),
    "RefractoryLIF": lambda: sm.nn.RefractoryLIF(0.9, refractory=2),
    "GradedLIF": lambda: sm.nn.GradedLIF(0.9),
    "SigmaDelta": lambda: sm.nn.SigmaDelta(0.5),
    "ResonateAndFire": lambda: sm.nn.ResonateAndFire(0.9, period=5.0),
    "recurrent": lambda: sm.nn.Recurrent(sm.nn.CubaLIF(0.5, 0.9), nn.Linear(4, 4, bias=False)),
    "delayed": lambda: sm.nn.DelayedLinear(4, 4, longest=3),
}


@pytest.mark.parametrize("name", NETS)
def test_networks_stay_on_their_device_forward_and_backward(name):
    net = nn.Sequential(nn.Linear(3, 4), NETS[name](), nn.Linear(4, 2), sm.nn.LI(0.9)).to("meta")
    out = net(torch.ones(5, 2, 3, device="meta"))
    out.sum().backward()
    assert out.is_meta
    assert net[0].weight.grad.is_meta
