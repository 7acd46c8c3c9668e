r"""Synaptic delays that learn, one a synapse or one an input.

A synapse of weight w and position p, in units of the longest delay L, holds spikes for a whole number of steps:

    d = round(p L)        out[t, o] = sum_i w[o, i] s[t - d[o, i], i]

Forward there are whole steps only, as on the chip. Backward, the derivative with respect to p is that of the kernel in
whose place they stand (DCLS, Hammouamri, Khalfaoui-Hassani and Masquelier, "Learning delays in spiking neural networks
using dilated convolutions with learnable spacings", ICLR 2024, Eq. 6-8), a Gaussian over all delays k = 0..L:

    out[t, o] = sum_i w[o, i] sum_k G[k, o, i] s[t - k, i]        G[k] = exp(-(k - p L)^2 / 2 width^2) / sum over k

so that a delay feels what it would meet some steps away. A graph gets one connection for each delay that occurs, with
the synapses that have it; their sum is the same, spike for spike.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from seamount.errors import SeamountError
from seamount.nn.connection import Delayed
from seamount.nn.linear import linear
from seamount.nn.neuron import parent_of


class DelayedLinear(nn.Module):
    """`nn.Linear` whose synapses have delays that learn.

    Args:
        in_features, out_features: sizes.
        longest: L, the longest delay in steps; 62 on the built-in targets. Time and memory of training grow with it.
        axonal: one delay for each input instead of each synapse.
        width: of the Gaussian in the backward pass, in steps. A wide one feels farther, a narrow one is truer.
        bias: as of `nn.Linear`; it does not wait.

    Attributes:
        position: delay / L, float `[out, in]` or, axonal, `[in]`; drawn evenly from 0..1, and kept there. In units of
            L, so that a step size that suits weights suits it too.

    Example:
        >>> import torch, seamount as sm
        >>> connection = sm.nn.DelayedLinear(3, 2, longest=10)
        >>> connection(torch.zeros(5, 1, 3)).shape, connection.steps().shape
        (torch.Size([5, 1, 2]), torch.Size([2, 3]))
    """

    carrying = False
    carried: Tensor | None = None

    def __init__(
        self, in_features: int, out_features: int, *, longest: int, axonal: bool = False, width: float = 1.0,
        bias: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if longest < 1 or not width > 0:
            raise SeamountError(f"DelayedLinear: longest = {longest}, width = {width:g} (allowed 1 or more, above 0).")
        self.in_features, self.out_features = in_features, out_features
        self.longest, self.width = longest, width
        reference = nn.Linear(in_features, out_features, bias)
        self.weight, self.bias = reference.weight, reference.bias
        self.position = nn.Parameter(torch.rand(in_features) if axonal else torch.rand(out_features, in_features))

    def steps(self) -> Tensor:
        """The delays, int64 `[out, in]`."""
        return (self.position.detach().clamp(0, 1) * self.longest).round().to(torch.int64).expand(self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes `[T, B, in]` -> synaptic input `[T, B, out]`."""
        under_way = x.new_zeros(self.longest, *x.shape[1:]) if self.carried is None else self.carried
        line = torch.cat([under_way, x])
        if self.carrying:
            self.carried = line[len(x) :].detach()
        with torch.no_grad():
            self.position.clamp_(0, 1)
        parts, steps = [], self.steps()
        learns = torch.is_grad_enabled() and self.position.requires_grad
        gaussian = self._gaussian() if learns else None
        for k in range(self.longest + 1):
            share = (steps == k).to(x.dtype)
            if gaussian is not None:
                share = _Instead.apply(gaussian[k], share)
            elif not share.any():
                continue
            parts.append(linear(line[self.longest - k :][: len(x)], self.weight * share, None))
        out = torch.stack(parts).sum(0)
        return out if self.bias is None else out + self.bias

    def fixed(self) -> nn.Module:
        """The same with delays that are given: a sum of `Delayed` connections, one for each delay that occurs."""
        groups = nn.ModuleDict()
        for k in self.steps().unique().tolist():
            bias = self.bias if not groups else None
            groups[f"delay{k}"] = Delayed(Masked(self.weight, self.steps() == k, bias), k)
        return _Sum(groups)

    def _gaussian(self) -> Tensor:
        """G, `[L + 1, out, in]` or `[L + 1, in]`."""
        place = self.position * self.longest
        lags = torch.arange(self.longest + 1).to(place).reshape(-1, *[1] * place.ndim)
        return (-((lags - place) ** 2) / (2 * self.width**2)).softmax(0)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, longest={self.longest}"


class Masked(nn.Linear):
    """`nn.Linear` with synapses in some places only.

    Args:
        weight: `[out, in]`, of which it gets a copy.
        pattern: bool `[out, in]`, where there is a synapse.
        bias: `[out]`, or None.
    """

    pattern: Tensor

    def __init__(self, weight: Tensor, pattern: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias is not None)
        self.register_buffer("pattern", pattern.clone())
        with torch.no_grad():
            self.weight.copy_(weight * pattern)
            if bias is not None:
                self.bias.copy_(bias)

    def effective_weight(self) -> Tensor:
        """The weight where there are synapses, else 0."""
        return self.weight * self.pattern

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return linear(input, self.effective_weight(), self.bias)


def with_fixed_delays(net: nn.Module) -> nn.Module:
    """A network without delays that learn: a copy in which each is as long as it has become, or the network itself."""
    names = [name for name, module in net.named_modules() if isinstance(module, DelayedLinear)]
    if not names:
        return net
    net = copy.deepcopy(net)
    for name in names:
        module = cast(DelayedLinear, net.get_submodule(name))
        setattr(parent_of(net, name), name.rpartition(".")[2], module.fixed().train(module.training))
    return net


class _Sum(nn.Module):
    """Connections with the same source and target."""

    def __init__(self, groups: nn.ModuleDict) -> None:
        super().__init__()
        for name, group in groups.items():
            self.add_module(name, group)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.children()
        out = first(x)
        for group in rest:
            out = out + group(x)
        return out


class _Instead(torch.autograd.Function):
    """`value` forward; backward, the gradient goes to what it stands for."""

    @staticmethod
    def forward(ctx, shadow: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]
        ctx.shape = shadow.shape
        return value.clone()

    @staticmethod
    def backward(ctx, g: Tensor):  # type: ignore[override]
        return g.sum_to_size(ctx.shape), None
