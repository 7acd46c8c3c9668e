"""One weight a neuron, from training to the chip."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import seamount as sm


def test_it_is_a_linear_layer_with_a_diagonal_matrix():
    torch.manual_seed(0)
    layer = sm.nn.OneToOne(5)
    layer.weight.data = torch.randn(5)
    x = torch.rand(7, 2, 5)
    torch.testing.assert_close(layer(x), x @ layer.effective_weight().T)


def test_it_stays_diagonal_through_training_and_runs_on_the_targets():
    torch.manual_seed(0)
    population = sm.nn.Recurrent(sm.nn.LIF(0.8, vth=0.5), sm.nn.OneToOne(16, -0.4))
    net = nn.Sequential(nn.Linear(12, 16, bias=False), population, nn.Linear(16, 3, bias=False), sm.nn.LI(0.9))
    with torch.no_grad():
        net[0].weight.mul_(3)
    assert sm.lower(net)["1.connection"].weight.shape == (16, 16)  # type: ignore[attr-defined]
    x = (torch.rand(20, 4, 12) < 0.4).to(torch.uint8)
    qnet = sm.quantize(net, calibration=x)
    before = sm.lower(qnet)["1.connection"].weight  # type: ignore[attr-defined]
    optimizer = torch.optim.AdamW(qnet.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        qnet(x).square().mean().backward()
        optimizer.step()
    graph = sm.lower(qnet)
    after = graph["1.connection"].weight  # type: ignore[attr-defined]
    assert (np.diag(after) != np.diag(before)).any()
    assert not after[~np.eye(16, dtype=bool)].any()
    sm.verify(graph, ["reference", "onnxruntime", "loihi2", qnet], x).check()
