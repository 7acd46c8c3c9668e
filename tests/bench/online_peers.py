"""The networks of `seamount_models.online.memory`, with the same weights, learning online in other libraries.

SpikingJelly
    `OTTTSequential` of `OTTTLIFNode`, `WSConv2d` and `AvgPool2d`, as its `OTTTSpikingVGG` is made. It does less: the
    first connection learns from its input and not from a trace of it, and no leaky readout is behind the VGG.
    In float64 all its spikes are the same; in float32 rounding flips a few, which eight layers spread.
BrainTrace
    `compile(net, rule)`, each step under `jit`, which takes as long as a scan over the steps under one `jit`. Its LIF
    has no reset by subtraction within the step, so that the LIF here is written with its `HiddenState`. Rules: `ottt`;
    `es_d_rtrl`, its own of O(n), where the postsynaptic factor is a trace too; `otpe`, as Approx OTPE, with a sum in
    the place of the average. Dense networks only: `ottt` and `otpe` refuse convolutions.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import seamount as sm
from seamount_models.online.memory import BETA

SLOPE = 25.0


class SpikingJelly:
    """OTTT of SpikingJelly.

    Args:
        net: of `online.memory`.
    """

    def __init__(self, net: nn.Sequential) -> None:
        from spikingjelly.activation_based import functional as sj
        from spikingjelly.activation_based import layer, neuron, surrogate

        def peer(module: nn.Module) -> nn.Module:
            if isinstance(module, sm.nn.WSConv2d):
                sizes = module.in_channels, module.out_channels, module.kernel_size
                conv = layer.WSConv2d(*sizes, padding=module.padding, bias=False, eps=module.eps)
                conv.weight.data, conv.gain.data = module.weight.data, module.gain.data[:, None, None, None]
                return conv
            if isinstance(module, sm.nn.AvgPool2d):
                return layer.AvgPool2d(module.kernel_size)
            if isinstance(module, nn.Flatten):
                return layer.Flatten(1)
            if isinstance(module, nn.Linear):
                linear = layer.Linear(module.in_features, module.out_features, bias=False)
                linear.weight.data = module.weight.data
                return linear
            options = {"decay_input": False, "v_reset": None, "surrogate_function": surrogate.ATan()}
            return neuron.OTTTLIFNode(tau=1 / (1 - BETA), **options)

        self.net = layer.OTTTSequential(*(peer(module) for module in net if not isinstance(module, sm.nn.LI)))
        self.clean = sj.reset_net

    def step(self, x: Tensor, labels: Tensor) -> Tensor:
        out = self.net(x)
        out = out[0] if isinstance(out, list) else out
        functional.cross_entropy(out, labels).backward()
        return out.detach()

    def reset(self) -> None:
        self.clean(self.net)


class BrainTrace:
    """A rule of BrainTrace, on dense networks; gradients add up in `gradients`.

    Args:
        net: of `online.memory`.
        rule: name, with its options.
    """

    def __init__(self, net: nn.Sequential, rule: str, **options: Any) -> None:
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
        import brainstate
        import braintrace
        import jax
        from jax import numpy as jnp

        jax.jit(abs)(0.0)  # the first compilation loads the compiler, as it does Numba's in `online.memory`

        @jax.custom_jvp
        def spike(z):
            return (z > 0).astype(z.dtype)

        @spike.defjvp
        def _(primals, tangents):
            return spike(primals[0]), tangents[0] / (1 + SLOPE * jnp.abs(primals[0])) ** 2

        class Layer(brainstate.nn.Module):
            def __init__(self, weight: Tensor) -> None:
                super().__init__()
                self.w = brainstate.ParamState(jnp.asarray(weight.detach().t().numpy()))

            def init_state(self, batch_size: int, **_: Any) -> None:
                self.v = brainstate.HiddenState(jnp.zeros((batch_size, self.w.value.shape[1])))

            def update(self, x):
                v = self.v.value  # before the reset, so that the step's spikes are a function of it
                left = v - jax.lax.stop_gradient(spike(v - 1))
                self.v.value = BETA * left + braintrace.matmul(x, self.w.value)
                return spike(self.v.value - 1)

        class Net(brainstate.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layers = [Layer(m.weight) for m in net if isinstance(m, nn.Linear)]

            def update(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x

        model = Net()
        self.make = lambda x: braintrace.compile(model, rule, x, batch_size=len(x), **options)
        self.asarray, self.learner = jnp.asarray, None
        weights = model.states(brainstate.ParamState)

        def loss(x, labels):
            out = self.learner(x)
            return -jnp.take_along_axis(jax.nn.log_softmax(out), labels[:, None], 1).mean(), out

        gradient = brainstate.transform.grad(loss, weights, has_aux=True)

        def step(x, labels, before):
            found, out = gradient(x, labels)
            return jax.tree.map(jnp.add, before, found), out

        self.compiled = brainstate.transform.jit(step)
        self.gradients = {k: jnp.zeros_like(w.value) for k, w in weights.items()}

    def step(self, x: Tensor, labels: Tensor) -> Tensor:
        given = self.asarray(x.numpy())
        if self.learner is None:
            self.learner = self.make(given)
        self.gradients, out = self.compiled(given, self.asarray(labels.numpy()), self.gradients)
        return torch.from_numpy(np.array(out))

    def reset(self) -> None:
        if self.learner is not None:
            self.learner.reset_state()


def brain_ottt(net: nn.Sequential) -> BrainTrace:
    return BrainTrace(net, "ottt", leak=BETA)


def brain_es(net: nn.Sequential) -> BrainTrace:
    return BrainTrace(net, "es_d_rtrl", decay_or_rank=BETA)


def brain_otpe(net: nn.Sequential) -> BrainTrace:
    return BrainTrace(net, "otpe", mode="approx", leak=BETA)


PEERS: dict[str, tuple[str, Callable[[nn.Sequential], Any], tuple[str, ...]]] = {
    "SpikingJelly OTTT": ("spikingjelly", SpikingJelly, ("mlp", "vgg")),
    "BrainTrace OTTT": ("braintrace", brain_ottt, ("mlp",)),
    "BrainTrace ES-D-RTRL": ("braintrace", brain_es, ("mlp",)),
    "BrainTrace OTPE": ("braintrace", brain_otpe, ("mlp",)),
}
"""By name: what is imported, what makes a learner of a network, and on which loads."""


def installed(load: str) -> dict[str, Callable[[nn.Sequential], Any]]:
    """The peers whose library is here, for a load."""
    return {k: make for k, (module, make, on) in PEERS.items() if load in on and importlib.util.find_spec(module)}
