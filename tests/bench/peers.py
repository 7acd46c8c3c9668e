"""The same LIF networks in other libraries, each in the quickest form its documentation recommends for the CPU.

All of them: `v = beta v + x; s = v > 1; v = (1 - s) v`, connections over all steps at once (`nn.Linear` on
`[T, B, N]`), populations by the library's own neuron, gradients through the reset, a surrogate of one division. What
differs:

| library | form | differs in |
|---|---|---|
| snnTorch | `Leaky(reset_delay=False)` | nothing |
| SpikingJelly | `LIFNode(step_mode="m")`, one operation over time | `>=`; ATan surrogate, of one division too |
| sinabs | `LIF(spike_fn=SingleSpike, norm_input=False)`, called for each step | `>=`; gradients stop at the reset |
| Norse | `LIFBoxCell`, weights times 1 / (1 - beta) | `dt tau_mem_inv = 1 - beta` scales its input; slope 1 |
| torch | a loop by hand | no library: what one writes without any |

sinabs' and Norse's own loops over time index the sequence, whose backward pass makes a zero sequence for each step and
is many times slower than a loop over `unbind`, which they are given here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

BETA = 0.9
SLOPE = 25.0


class Spike(torch.autograd.Function):
    """`x > 0`, with the derivative `1 / (1 + 25 |x|)^2`."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        return gradients[0] / (1 + SLOPE * ctx.saved_tensors[0].abs()) ** 2


class _Network(nn.Module):
    """Connections and populations in turn."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.connections = nn.ModuleList(nn.Linear(*reversed(w.shape), bias=False) for w in weights)
        for connection, weight in zip(self.connections, weights, strict=True):
            connection.weight.data.copy_(weight)
        self.populations: Sequence[Callable[[Tensor], Tensor]]

    def forward(self, x: Tensor) -> Tensor:
        """Spikes `[T, B, in]` -> spikes `[T, B, out]`."""
        for connection, population in zip(self.connections, self.populations, strict=True):
            x = population(connection(x))
        return x


class Torch(_Network):
    """The loop by hand."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__(weights)
        self.populations = [self._run for _ in weights]

    @staticmethod
    def _run(a: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(a[0]), []
        for x in a:
            v = BETA * v + x
            s = Spike.apply(v - 1)
            v = v - s * v
            spikes.append(s)
        return torch.stack(spikes)


class SnnTorch(_Network):
    """snnTorch."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__(weights)
        from snntorch import Leaky, surrogate

        self.cells = nn.ModuleList(
            Leaky(BETA, spike_grad=surrogate.fast_sigmoid(SLOPE), reset_mechanism="zero", reset_delay=False)
            for _ in weights
        )
        self.populations = [lambda a, cell=cell: self._run(cell, a) for cell in self.cells]

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(a[0]), []
        for x in a:
            s, v = cell(x, v)
            spikes.append(s)
        return torch.stack(spikes)


class SpikingJelly(_Network):
    """SpikingJelly."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__(weights)
        from spikingjelly.activation_based import functional, neuron, surrogate

        self.populations = nn.ModuleList(
            neuron.LIFNode(
                tau=1 / (1 - BETA), decay_input=False, v_reset=0.0, surrogate_function=surrogate.ATan(), step_mode="m"
            )
            for _ in weights
        )  # type: ignore[assignment]
        self.begin = functional.reset_net

    def forward(self, x: Tensor) -> Tensor:
        self.begin(self)
        return super().forward(x)


class Sinabs(_Network):
    """sinabs."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__(weights)
        from sinabs import layers
        from sinabs.activation import MembraneReset, SingleSpike

        tau = -1 / torch.log(torch.tensor(BETA))
        self.cells = nn.ModuleList(
            layers.LIF(
                tau, spike_fn=SingleSpike, reset_fn=MembraneReset(), norm_input=False, surrogate_grad_fn=self._slope
            )
            for _ in weights
        )
        for p in self.cells.parameters():
            p.requires_grad_(False)
        self.populations = [lambda a, cell=cell: self._run(cell, a) for cell in self.cells]

    @staticmethod
    def _slope(v: Tensor, vth: Tensor) -> Tensor:
        return 1 / (1 + SLOPE * (v - vth).abs()) ** 2

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        cell.reset_states()  # type: ignore[operator]
        return torch.cat([cell(x[:, None]) for x in a.unbind()], 1).transpose(0, 1)


class Norse(_Network):
    """Norse."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__([w / (1 - BETA) for w in weights])
        from norse.torch.functional.lif_box import LIFBoxParameters
        from norse.torch.module.lif_box import LIFBoxCell

        parameters = LIFBoxParameters(tau_mem_inv=torch.tensor((1 - BETA) / 1e-3))
        self.cells = nn.ModuleList(LIFBoxCell(parameters) for _ in weights)
        self.populations = [lambda a, cell=cell: self._run(cell, a) for cell in self.cells]

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        state, spikes = None, []
        for x in a.unbind():
            s, state = cell(x, state)
            spikes.append(s)
        return torch.stack(spikes)


MODULES = {SnnTorch: "snntorch", SpikingJelly: "spikingjelly", Sinabs: "sinabs", Norse: "norse", Torch: "torch"}
NAMES = {SnnTorch: "snnTorch", SpikingJelly: "SpikingJelly", Sinabs: "sinabs", Norse: "Norse", Torch: "torch loop"}


def installed() -> dict[str, type[_Network]]:
    """The networks whose library is here, by name."""
    return {name: kind for kind, name in NAMES.items() if importlib.util.find_spec(MODULES[kind])}
