"""From torch modules to a float graph, and what cannot be lowered."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.errors import LoweringError, UnsupportedNodeError


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), sm.nn.LIF(0.9, reset="zero"))
        self.a, self.b = nn.Linear(5, 4, bias=False), nn.Linear(6, 4, bias=False)
        self.rec = sm.nn.Recurrent(sm.nn.CubaLIF(0.5, 0.9, vth=torch.rand(4) + 0.5), nn.Linear(4, 4, bias=False))
        self.readout, self.li = nn.Linear(4, 3), sm.nn.LI(0.8)

    def forward(self, x):
        return self.li(self.readout(self.rec(self.a(self.block(x)) + self.b(x))))


def test_names_structure_and_parameters():
    graph = sm.lower(Branches())
    assert graph.stage == "float"
    assert [n.name for n in graph.populations] == ["block.2", "rec", "li"]
    assert graph["rec"].inputs == ("a", "b", "rec.connection")
    assert graph["rec.connection"].delay == 1
    assert [type(graph[n]).__name__ for n in ("block.2", "rec", "li")] == ["LIF", "CubaLIF", "LI"]
    assert (graph["block.2"].reset, graph["rec"].reset) == ("zero", "subtract")


def test_the_float_graph_computes_what_torch_does():
    torch.manual_seed(0)
    net = Branches().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    x = (torch.rand(25, 8, 6) < 0.4).to(torch.uint8)
    with sm.nn.recording(net.double()) as populations:
        want = net(x.double())
    result = sm.compile(sm.lower(net), "reference").run(x, record=["v", "spikes"])
    for name in ("block.2", "rec"):
        assert 0.02 < result.spikes[name].mean() < 0.8
        np.testing.assert_array_equal(result.spikes[name], populations[name].recorded_spikes)
    np.testing.assert_allclose(result.output, want.detach(), rtol=1e-9, atol=1e-9)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(3, 3), sm.nn.LIF(0.9)

    def forward(self, x):
        return self.lif(self.fc(x)) if x.sum() > 0 else x


class Twice(Branching):
    def forward(self, x):
        return self.lif(self.fc(self.lif(self.fc(x))))


class Function(Branching):
    def forward(self, x):
        return self.lif(torch.relu(self.fc(x)))


class SpikesAdded(Branching):
    def forward(self, x):
        return self.lif(self.fc(x) + x)


def linear(**options):
    return nn.Linear(3, 3, **options)


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (nn.Sequential(linear(), nn.ReLU(), sm.nn.LIF(0.9)), UnsupportedNodeError, "1: ReLU cannot be lowered"),
        (nn.Sequential(nn.MaxPool1d(2), sm.nn.LIF(0.9)), UnsupportedNodeError, "0: MaxPool1d cannot be lowered"),
        (nn.Sequential(nn.Conv1d(3, 3, 1), sm.nn.LIF(0.9)), LoweringError, "0: a Conv1d does not tell the shape of"),
        (Function(), UnsupportedNodeError, "relu: relu cannot be lowered"),
        (Twice(), UnsupportedNodeError, "fc: is called twice"),
        (Branching(), LoweringError, "Branching: torch.fx cannot trace it"),
        (nn.Sequential(linear()), LoweringError, "output: returns synaptic input"),
        (nn.Sequential(linear(), linear(), sm.nn.LIF(0.9)), LoweringError, "1: reads synaptic input"),
        (nn.Sequential(sm.nn.LIF(0.9)), LoweringError, "0: reads spikes, not the output of a connection"),
        (SpikesAdded(), LoweringError, "reads spikes, not the output of a connection"),
        (nn.Sequential(nn.Identity()), LoweringError, "returns no population"),
        (
            nn.Sequential(linear(), sm.nn.LI(0.9), linear(), sm.nn.LIF(0.9)),
            sm.SeamountError,
            "2: reads 1, a readout that does not spike",
        ),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def test_what_cannot_be_lowered(net, error, message):
    with pytest.raises(error, match=message):
        sm.lower(net)
