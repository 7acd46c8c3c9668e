r"""A connection as the rules see it: linear in its weight and in its source.

For a fully connected layer a position is the neuron, and P = 1; for a convolution the positions of an output channel
share the weight, and P = H W. With o the output (channel), p the position, k what a weight reads:

    a[b, o, p] = sum_k W[o, k] x[b, p, k] + bias[o]
    back       g_x                    = W^T g, adjoint of the convolution
    gradient   g_W[o, k]              = sum_(b, p) g[b, o, p] trace[b, p, k]
               g_W[o, k]              = sum_(b, p) g[b, o, p] R[b, o, p, k]     from an eligibility of each synapse
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seamount.nn.linear import linear
from seamount.topology import Wire


class Synapse:
    """One connection.

    Args:
        net: the network.
        wire: what `seamount.topology` says of the connection.

    Attributes:
        name: dotted name of its module.
        source: name of the population that it reads, or `"input"`.
        delay: in steps.
        x: what the weight read in this step, `[B, in]` or `[B, C, H, W]`; None where nothing can have arrived yet.
    """

    def __init__(self, net: nn.Module, wire: Wire) -> None:
        self.name, self.source, self.delay = wire.name, wire.source, wire.delay
        self.module = net.get_submodule(wire.module)
        self.before = [net.get_submodule(name) for name in wire.before]
        self.after = [net.get_submodule(name) for name in wire.after]
        self.x: Tensor | None = None
        self._read: tuple[Tensor, Tensor] | None = None
        self._sent: tuple[Tensor, Tensor] | None = None
        self._known: tuple[tuple[int, ...], Tensor] | None = None
        self._by_input: tuple[tuple[int, ...], Tensor] | None = None

    @property
    def bias(self) -> nn.Parameter | None:
        return getattr(self.module, "bias", None)

    @property
    def is_linear(self) -> bool:
        return isinstance(self.module, nn.Linear)

    def weight(self) -> Tensor:
        """What spikes are multiplied with, `[out, ...]`; with its graph where it is made from parameters."""
        if not hasattr(self.module, "effective_weight"):
            return self.module.weight  # type: ignore[return-value]
        if self._known is None or self._known[0] != self._versions():
            with torch.enable_grad():
                self._known = self._versions(), self.module.effective_weight()  # type: ignore[operator]
        return self._known[1]

    def by_input(self) -> Tensor:
        """`weight()` `[out, in]` of a linear layer, the weights of an input together in memory, as events take them."""
        if self._by_input is None or self._by_input[0] != self._versions():
            self._by_input = self._versions(), self.weight().detach().t().contiguous().t()
        return self._by_input[1]

    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes `[B, ...]` -> synaptic input `[B, ...]`."""
        x, self._read = _through(self.before, spikes)
        bias = None if self.bias is None else self.bias.detach()
        self.x = x = x.flatten(1) if self.is_linear else x
        if self.is_linear:
            return linear(x, self.by_input(), bias)
        a, self._sent = _through(self.after, self._convolved(x, self.weight().detach(), bias))
        return a

    def back(self, g: Tensor, weight: Tensor | None = None) -> Tensor:
        """Gradient of the spikes that were read, `[B, ...]`, from that of the synaptic input.

        Args:
            g: `[B, ...]`.
            weight: in the place of its own.
        """
        w = (self.weight() if weight is None else weight).detach()
        if self.is_linear:
            g_x = g @ w
        else:
            assert self.x is not None
            g_x = self._gradients(_adjoint(self._sent, g), self.x, w, (True, False, False))[0]
        if self._read is None:
            return g_x
        return _adjoint(self._read, g_x.reshape(self._read[1].shape))

    def accumulate(self, trace: Tensor, g: Tensor, bias_trace: float | Tensor) -> None:
        """Add the gradient made of a trace of what the weight reads, and of the synaptic input's gradient."""
        if self.is_linear:
            g_bias = None if self.bias is None else g.sum(0) * bias_trace
            return self._add(g_bias, g.t(), trace)
        wanted = (False, True, self.bias is not None)
        g = _adjoint(self._sent, g)
        _, g_weight, g_bias = self._gradients(g, trace, self.weight().detach(), wanted)
        self._add(None if self.bias is None else g_bias * bias_trace, g_weight)

    def accumulate_each(self, eligibility: Tensor, g: Tensor) -> None:
        """Add the gradient made of an eligibility `[B, O, P, K]` and of what arrives at the outputs, `[B, ...]`."""
        self.add_each(torch.einsum("bop,bopk->ok", g.reshape(*g.shape[:2], -1), eligibility))

    def add_each(self, found: Tensor) -> None:
        """Add a gradient `[O, K]`; where there is a bias, it is the last of K."""
        size = self.weight()[0].numel()
        self._add(None if self.bias is None else found[:, size], found[:, :size].reshape(self.weight().shape))

    def add_flat(self, gradient: Tensor) -> None:
        """Add the gradient of all weights, in C order, and then of all biases."""
        size = self.weight().numel()
        self._add(None if self.bias is None else gradient[size:], gradient[:size].reshape(self.weight().shape))

    def carry(self, x: Tensor) -> Tensor:
        """What a change `x [B, ...]` of its source does to the synaptic input, `[B, ...]`; keeps nothing."""
        x, weight = _through(self.before, x)[0], self.weight().detach()
        if self.is_linear:
            return x.flatten(1) @ weight.t()
        return _through(self.after, self._convolved(x, weight, None))[0]

    def patches(self) -> Tensor:
        """What each position reads, `[B, 1, P, K]`; a bias reads 1."""
        assert self.x is not None
        if self.is_linear:
            found = self.x[:, :, None]
        else:
            conv = self.module
            found = functional.unfold(self.x, conv.kernel_size, conv.dilation, conv.padding, conv.stride)  # type: ignore[arg-type]
        if self.bias is not None:
            found = torch.cat([found, torch.ones_like(found[:, :1])], 1)
        if self.after:
            assert self._sent is not None
            found = _through(self.after, found.unflatten(2, self._sent[0].shape[2:]))[0].flatten(2)
        return found.transpose(1, 2)[:, None]

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        c = self.module
        return functional.conv2d(x, weight, bias, c.stride, c.padding, c.dilation, c.groups)  # type: ignore[arg-type]

    def _gradients(self, g: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]) -> list[Tensor]:
        c = self.module
        zero = [0] * len(c.kernel_size)  # type: ignore[arg-type]
        return torch.ops.aten.convolution_backward(
            g, x, weight, [len(weight)], c.stride, c.padding, c.dilation, False, zero, c.groups, wanted
        )

    def _versions(self) -> tuple[int, ...]:
        """Of the parameters: other ones when an optimizer has stepped."""
        return tuple(p._version for p in self.module._parameters.values() if p is not None)

    def _add(self, g_bias: Tensor | None, *g_weight: Tensor) -> None:
        weight = self.weight()
        if isinstance(weight, nn.Parameter):
            add_gradient(weight, *g_weight)
        else:
            weight.backward(_product(*g_weight), retain_graph=True)
        if g_bias is not None and self.bias is not None:
            add_gradient(self.bias, g_bias)


def add_gradient(parameter: nn.Parameter, *factors: Tensor) -> None:
    """Add a gradient, or the product of two matrices without forming it, to `.grad`, where the parameter trains."""
    if not parameter.requires_grad:
        return
    if parameter.grad is None:
        parameter.grad = _product(*factors).clone()
    elif len(factors) == 2:
        parameter.grad.addmm_(*factors)
    else:
        parameter.grad.add_(*factors)


def _product(g: Tensor, *other: Tensor) -> Tensor:
    return g @ other[0] if other else g


def _through(modules: list[nn.Module], x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Through modules without parameters; with their graph of this one step, for the way back."""
    if not modules:
        return x, None
    with torch.enable_grad():
        given = x.detach().requires_grad_()
        found = given
        for module in modules:
            found = module(found)
    return found.detach(), (given, found)


def _adjoint(graph: tuple[Tensor, Tensor] | None, g: Tensor) -> Tensor:
    if graph is None:
        return g
    given, found = graph
    return torch.autograd.grad(found, given, g, retain_graph=True)[0]
