"""What a rule holds does not grow with T; `seamount study memory`. No test here looks at the time."""

from __future__ import annotations

import gc
import json
import weakref
from collections import deque
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import seamount as sm
from seamount.cli import app
from seamount.errors import SeamountError
from seamount_models import networks, online
from seamount_models.online import memory


class Kept:
    """A tensor that a graph holds for its way back."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def held(rule: Any, x: Tensor, labels: Tensor, steps: int) -> tuple[int, int]:
    """Bytes of the tensors reachable from a rule after some steps, and of those that living graphs hold."""
    kept: weakref.WeakSet[Kept] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Kept:
        found = Kept(tensor)
        kept.add(found)
        return found

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda found: found.tensor):
        for _ in range(steps):
            rule.step(x, labels)
        gc.collect()
        graphs = sum(k.tensor.nbytes for k in kept)
    tensors: dict[int, Tensor] = {}
    seen, waiting = set(), [rule]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or found is None:
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            tensors[id(found)] = found
            waiting += [found.grad] if found.is_leaf else []
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, (list, tuple, set, deque)):
            waiting += found
        elif isinstance(found, nn.Module) or type(found).__module__.startswith("seamount"):
            waiting += vars(found).values()
    return sum(t.nbytes for t in tensors.values()), graphs


def dense(readout: sm.nn.Neuron | None = None) -> nn.Sequential:
    return networks.mlp((12, 10, 8, 4), sm.nn.LIF(0.9), readout=readout, seed=0)


def vgg() -> nn.Sequential:
    return networks.vgg((3, 4, 4), 4, sm.nn.LIF(0.5), layers="4C3-AP2-6C3-GAP", readout=sm.nn.LI(0.5), seed=0)


DENSE = [online.OTTT, online.ApproxOTPE, online.FApproxOTPE, online.DECOLLE, online.OSTL, online.OTPE, online.FOTPE]
CASES = [
    *((rule, dense, (12,)) for rule in DENSE),
    (online.EProp, partial(dense, sm.nn.LI(0.9)), (12,)),
    *((rule, vgg, (3, 4, 4)) for rule in (online.OTTT, online.ApproxOTPE, online.DECOLLE)),
]


@pytest.mark.parametrize(("kind", "net", "shape"), CASES, ids=[f"{c[0].__name__}-{len(c[2])}d" for c in CASES])
def test_what_a_rule_holds_does_not_grow_with_the_number_of_steps(kind, net, shape):
    options = {"feedback": online.Direct()} if kind is online.EProp else {}
    x, labels = torch.ones(2, *shape), torch.tensor([0, 3])
    few, many = (held(kind(net(), **options), x, labels, steps) for steps in (4, 40))
    assert few == many
    assert few[0] >= 2 * sum(p.nbytes for p in net().parameters())  # they and their gradients, at the least


def test_the_count_sees_a_graph_over_time():
    """A rule that keeps something of each step with its graph is found."""

    class Leaking(online.OTTT):
        def learn(self, error, target):
            super().learn(error, target)
            with torch.enable_grad():
                self.sum = getattr(self, "sum", 0) + (self.net[0].weight ** 2).sum()

    x, labels = torch.ones(2, 12), torch.tensor([0, 3])
    few, many = (held(Leaking(dense()), x, labels, steps) for steps in (4, 40))
    assert many[1] == 10 * few[1] > 0


def test_the_study_from_the_command_line(tmp_path, monkeypatch):
    """The measuring itself is tested below; here figures stand in for it."""
    figures = {"OTTT": {10: 50.0, 200: 51.0}, "BPTT": {10: 80.0, 200: None}}
    monkeypatch.setattr(
        memory, "peak", lambda rule, load, steps: figures["OTTT" if rule is online.OTTT else "BPTT"][steps]
    )
    out = tmp_path / "page.html"
    arguments = ["study", "memory", "-o", str(out), "--rule", "OTTT", "--rule", "BPTT", "--json"]
    result = CliRunner().invoke(app, [*arguments, "--steps", "200", "--steps", "10"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [(r["net"], r["rule"], r["steps"], r["mib"], r["of the shortest"]) for r in rows] == [
        ("mlp", "OTTT", 10, 50.0, 1.0), ("mlp", "OTTT", 200, 51.0, 1.02),
        ("mlp", "BPTT", 10, 80.0, 1.0), ("mlp", "BPTT", 200, None, None),
    ]  # fmt: skip
    assert out.read_text().count("<figure>") == 1
    result = CliRunner().invoke(app, [*arguments, "--net", "resnet"])
    assert result.exit_code == 2
    assert "study memory: resnet (allowed mlp, vgg)" in result.stderr


def test_where_nothing_can_be_measured_it_is_said(monkeypatch):
    monkeypatch.setattr(memory.Path, "write_text", lambda *_: (_ for _ in ()).throw(PermissionError("clear_refs")))
    with pytest.raises(SeamountError, match=r"memory: clear_refs. Hint: measured by /proc"):
        memory._count_from_here()


@pytest.mark.slow
def test_a_process_of_its_own_measures():
    load = memory.Load((700,), 20, 64, 0.05, 1.5)
    mib = memory.peak(online.BPTT, load, 20)
    assert mib is not None
    assert mib > 20 * 64 * (700 + 512 + 512) * 4 / 2**20  # at the least the spikes
    assert memory.peak(online.BPTT, load, 10**8) is None  # 18 TB of input
