"""Networks whose state is carried from one forward pass to the next."""

import copy

import pytest
import torch
from torch import nn

import seamount as sm


def network(quantized: bool) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 8, bias=False), sm.nn.CubaLIF(0.6, 0.9, vth=0.4),
        nn.Linear(8, 7, bias=False), sm.nn.Recurrent(sm.nn.LIF(0.9, vth=0.3), nn.Linear(7, 7, bias=False)),
        sm.nn.Delayed(nn.Linear(7, 3, bias=False), 2), sm.nn.LI(0.8),
    )  # fmt: skip
    return sm.quantize(net, calibration=spikes()) if quantized else net  # type: ignore[return-value]


def spikes() -> torch.Tensor:
    return (torch.rand(12, 4, 6, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "quantized"])
@pytest.mark.parametrize("chunk", [1, 5, 12])
def test_chunks_give_what_the_whole_gives(quantized, chunk):
    net, x = network(quantized), spikes()
    whole = net(x)
    assert whole.std() > 0
    with sm.nn.carrying(net):
        parts = torch.cat([net(part) for part in x.split(chunk)])
    assert torch.equal(parts, whole)
    assert torch.equal(net(x), whole), "a state was left behind"


def test_gradients_stop_at_the_seams():
    net, x = network(False), spikes().requires_grad_()
    with sm.nn.carrying(net):
        net(x[:6])
        net(x[6:]).sum().backward()
    assert x.grad is not None
    assert not x.grad[:6].any()
    assert x.grad[6:].any()


def test_a_state_is_forgotten_when_the_block_fails_and_never_saved():
    net = network(False)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError, match="shapes"), sm.nn.carrying(net):
        net(torch.cat([net(spikes()), spikes()], 2))
    assert all(m.carried is None for m in net.modules() if isinstance(m, sm.nn.Neuron | sm.nn.Recurrent))
    assert net.state_dict().keys() == before.keys()


def test_populations_have_the_names_of_the_graph():
    net = network(False)
    assert list(sm.nn.populations(net)) == ["1", "3", "5"]
    assert isinstance(net.get_submodule("3"), sm.nn.Recurrent)
