"""VGG, VGG-F and normaliser-free ResNets: small ones to every target, large ones as published."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seamount as sm
from seamount.passes.schedule import schedule
from seamount.topology import trace
from seamount_models import networks, recipes, training
from seamount_models.datasets import cifar10
from seamount_models.training.activity import ActivityWarning, Health

LIF, LI = sm.nn.LIF(beta=0.5), sm.nn.LI(beta=0.5)


def various(shape: tuple[int, ...]) -> sm.nn.LIF:
    """A time constant for each channel, or each neuron."""
    return sm.nn.LIF(tau=networks.spread(0.5, 4.0, shape), learn="beta")


SMALL = {
    "vgg": lambda: networks.vgg((3, 8, 8), 4, LIF, layers="4C3-AP2-6C3-6C3-AP2-8C3-GAP", readout=LI, seed=0),
    "vgg_f": lambda: networks.vgg_f((3, 8, 8), 4, LIF, layers="4C3-AP2-6C3-AP2-8C3-GAP", readout=LI, seed=0),
    "resnet": lambda: networks.resnet((3, 8, 8), 4, LIF, blocks=(2, 1), width=4, readout=LI, seed=0),
    "vgg_f, various": lambda: networks.vgg_f((3, 8, 8), 4, various, layers="4C3-AP2-8C3-GAP-9", seed=0),
    "resnet, various": lambda: networks.resnet((3, 8, 8), 4, various, blocks=(2, 1), width=4, readout=LI, seed=0),
    "large stem": lambda: networks.resnet((1, 64, 64), 2, LIF, blocks=(1,), width=3, readout=LI, seed=0),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_small_one_trains_and_reaches_the_chip(name):
    net, batch = SMALL[name](), 3
    shape = (1, 64, 64) if name == "large stem" else (3, 8, 8)
    torch.manual_seed(0)
    x = (torch.rand(9, batch, *shape) < 0.3).to(torch.uint8)
    if name.startswith("vgg_f"):
        assert not net.loop.connection.conv.weight.any()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        net(x.float()).square().mean().backward()
        optimizer.step()
    assert all(p.grad is not None for p in net.parameters())
    qnet = sm.quantize(net, calibration=x)
    graph = sm.lower(qnet)
    report = sm.verify(graph, ["reference", qnet, "onnxruntime", "loihi2"], x).check()
    assert all(0.01 < s.mean() < 0.8 for s in report.results["reference"].spikes.values())
    schedule(graph)


def test_time_constants_are_one_a_channel_behind_a_convolution_and_one_a_neuron_behind_the_rest():
    net: Any = networks.conv((3, 8, 8), "4C3-P2-6C3-9-2", various, seed=0)
    assert [m.beta.shape for m in (net.lif1, net.lif2, net.lif3, net.out)] == [(4, 1, 1), (6, 1, 1), (9,), (2,)]
    tau = (-1 / net.lif2.beta.log()).flatten().sort().values
    torch.testing.assert_close(tau, torch.logspace(math.log10(0.5), math.log10(4), 6))
    block = SMALL["resnet, various"]().stage2[0]
    assert block.lif1.beta.shape == block.lif2.beta.shape == (8, 1, 1)


def test_feedback_that_is_zero_quantizes_to_zero():
    net = SMALL["vgg_f"]()
    x = (torch.rand(6, 2, 3, 8, 8) < 0.3).to(torch.uint8)
    graph = sm.lower(sm.quantize(net, calibration=x))
    (back,) = (c for c in graph.connections if c.name == "loop.connection.conv")
    assert (back.delay, back.spacing, back.kernel) == (3, (4, 4), (6, 6))
    assert not back.weight.any()


def weights(net: nn.Module) -> int:
    """Weights of convolutions and linear layers, without the skips of one weight a channel."""
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear) and getattr(m, "groups", 1) == 1]
    return sum(m.weight.numel() for m in layers)


@pytest.mark.parametrize(
    ("make", "published"),
    [
        (lambda: networks.vgg((3, 32, 32), 10, LIF), 9.2e6),
        (lambda: networks.vgg((3, 32, 32), 100, LIF), 9.3e6),
        (lambda: networks.vgg_f((3, 32, 32), 100, LIF), 9.6e6),
        # torchvision's, without norms and the bias of the last layer
        (lambda: networks.resnet((3, 224, 224), 1000, LIF), 11_689_512 - 9_600 - 1000),
        (lambda: networks.resnet((3, 224, 224), 1000, LIF, blocks=34), 21_797_672 - 17_024 - 1000),
    ],
    ids=["VGG, CIFAR-10", "VGG, CIFAR-100", "VGG-F, CIFAR-100", "ResNet-18", "ResNet-34"],
)
def test_large_ones_have_the_parameters_that_were_published(make, published):
    found = weights(make())
    assert published in (found, round(found, -5))


def test_resnet_34_is_traced_whole():
    topology = trace(networks.resnet((3, 224, 224), 1000, LIF, blocks=34, readout=LI))
    assert len(topology.cells) == 1 + 2 * 16 + 1
    assert [len(cell.wires) for cell in topology.cells] == [1, *16 * [1, 2], 1]


def test_a_deep_one_is_alive_to_the_end():
    torch.manual_seed(0)
    net = networks.resnet((3, 16, 16), 10, LIF, blocks=34, width=8, input_bound=15, seed=0)
    x = torch.randint(0, 16, (1, 2, 3, 16, 16)).float().expand(6, -1, -1, -1, -1)
    with torch.no_grad(), sm.nn.recording(net) as populations:
        net(x)
    rates = [float(p.recorded_spikes.mean()) for p in populations.values()]
    assert len(rates) == 34
    assert all(0.05 < rate < 0.3 for rate in rates)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks.vgg_f((3, 8, 8), 4, LIF, layers="4C3-GAP"), "4C3-GAP has no two convolutions"),
        (lambda: networks.vgg_f((3, 8, 8), 4, LIF, layers="P2-4C3-4C3-GAP"), "no two conv.*, the first in front"),
        (lambda: networks.vgg_f((3, 9, 8), 4, LIF, layers="4C3-P2-4C1-GAP"), r"\(9, 8\) \(allowed: multiples of 2,"),
        (lambda: networks.resnet((3, 8, 8), 4, LIF, blocks=19), r"blocks = 19, width = 64 \(allowed: 18, 34, or"),
        (lambda: networks.resnet((3, 8, 8), 4, LIF, blocks=(1, 0)), r"blocks = \(1, 0\)"),
        (lambda: networks.resnet((3, 10, 8), 4, LIF, blocks=(1, 1, 1)), r"\(allowed: multiples of 4 for 3 stages\)"),
    ],
)
def test_what_is_no_network(make, message):
    with pytest.raises(sm.SeamountError, match=message):
        make()


def write_cifar(folder, monkeypatch, records=24):
    """Files of CIFAR-10's form: stripes that lie (class 0) or stand (class 1), and noise."""
    monkeypatch.setattr(cifar10, "RECORDS", records)
    (folder / cifar10.FOLDER).mkdir()
    rng = np.random.default_rng(0)
    lying = np.tile(np.repeat([[0], [180]], 2, axis=0), (8, 32))
    for file in (*cifar10.FILES["train"], *cifar10.FILES["test"]):
        labels = np.arange(records) % 2
        images = np.where(labels[:, None, None, None], lying.T, lying) + rng.integers(0, 76, (records, 3, 32, 32))
        content = np.concatenate([labels[:, None], images.reshape(records, -1)], 1).astype(np.uint8)
        (folder / cifar10.FOLDER / file).write_bytes(content.tobytes())


@pytest.mark.parametrize("name", ["cifar10-vgg", "cifar10-vgg-ottt"])
def test_the_recipes_for_cifar10_learn_and_resume(name, folder, monkeypatch, tmp_path):
    write_cifar(folder, monkeypatch)
    full = recipes.load(name)
    net, data = recipes.build(full)
    assert (weights(net), data.train.steps, data.input.bound) == (weights(networks.vgg((3, 32, 32), 10, LIF)), 6, 15)
    small = tmp_path / "small.toml"
    small.write_text(
        f'base = "{name}"\n[data]\nsteps = 4\n[network]\nlayers = "6C3-AP4-8C3-AP4-GAP"\n'
        "[training]\nepochs = 3\nlr = 0.02\nbatch_size = 12\nthreads = 1\n"
    )
    recipe, options = recipes.load(str(small)), {"progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ActivityWarning)
        whole, data, history = recipes.train(recipe, **options)
        assert training.evaluate(whole, data.test).accuracy > 0.9
        assert history.loss[-1] < 0.7 * history.loss[0]
        with monkeypatch.context() as patched:
            patched.setattr(Health, "check", Interrupt(1))
            with pytest.raises(KeyboardInterrupt):
                recipes.train(recipe, checkpoint=tmp_path / "run.pt", **options)
        assert (tmp_path / "run.pt").exists()
        resumed, _, again = recipes.train(recipe, checkpoint=tmp_path / "run.pt", **options)
    assert again.loss == history.loss
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


class Interrupt:
    """Interrupts the run in that epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, spikes, epoch):
        if epoch == self.epoch:
            raise KeyboardInterrupt
