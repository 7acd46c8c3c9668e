"""The same LIF networks in other libraries, each in the quickest form its documentation recommends for the CPU.

All of them: `v = beta v + x; s = v > 1; v = (1 - s) v`, connections over all steps at once, populations by the
library's own neuron, gradients through the reset, a surrogate of one division. What differs:

| library | form | differs in |
|---|---|---|
| snnTorch | `Leaky(reset_delay=False)` | nothing |
| SpikingJelly | `LIFNode(step_mode="m")`, one operation over time | `>=`; ATan surrogate, of one division too |
| sinabs | `LIF(spike_fn=SingleSpike, norm_input=False)`, called for each step | `>=`; gradients stop at the reset |
| sinabs sequence | the same, called with the sequence | the same |
| Norse | `LIFBoxCell`, weights times 1 / (1 - beta) | `dt tau_mem_inv = 1 - beta` scales its input; slope 1 |
| torch loop | a loop by hand | no library: what one writes without any |

sinabs' and Norse's own loops over time index the sequence, whose backward pass makes a zero sequence for each step and
is slower than a loop over `unbind`, which they are given here; sinabs' documented form is measured beside it.
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


class EachStep(nn.Sequential):
    """Torch's own modules on all steps and samples as one batch: `[T, B, ...]` -> `[T, B, ...]`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input.flatten(0, 1)).unflatten(0, input.shape[:2])


class Network(nn.Module):
    """Connections and populations in turn.

    Args:
        connections: on `[T, B, ...]`, without bias; weights are scaled in place.
        scale: of the weights.
    """

    def __init__(self, connections: Sequence[nn.Module], scale: float = 1.0) -> None:
        super().__init__()
        self.connections = nn.ModuleList(connections)
        for weight in self.connections.parameters():
            weight.data.mul_(scale)
        self.populations: Sequence[Callable[[Tensor], Tensor]]

    def forward(self, x: Tensor) -> Tensor:
        """Spikes `[T, B, ...]` -> spikes `[T, B, out]`."""
        for connection, population in zip(self.connections, self.populations, strict=True):
            x = population(connection(x))
        return x


class Torch(Network):
    """The loop by hand."""

    def __init__(self, connections: Sequence[nn.Module]) -> None:
        super().__init__(connections)
        self.populations = [self._run for _ in connections]

    @staticmethod
    def _run(a: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(a[0]), []
        for x in a:
            v = BETA * v + x
            s = Spike.apply(v - 1)
            v = v - s * v
            spikes.append(s)
        return torch.stack(spikes)


class SnnTorch(Network):
    """snnTorch."""

    def __init__(self, connections: Sequence[nn.Module]) -> None:
        super().__init__(connections)
        from snntorch import Leaky, surrogate

        self.cells = nn.ModuleList(
            Leaky(BETA, spike_grad=surrogate.fast_sigmoid(SLOPE), reset_mechanism="zero", reset_delay=False)
            for _ in connections
        )
        self.populations = [lambda a, cell=cell: self._run(cell, a) for cell in self.cells]

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(a[0]), []
        for x in a:
            s, v = cell(x, v)
            spikes.append(s)
        return torch.stack(spikes)


class SpikingJelly(Network):
    """SpikingJelly."""

    def __init__(self, connections: Sequence[nn.Module]) -> None:
        super().__init__(connections)
        from spikingjelly.activation_based import functional, neuron, surrogate

        self.populations = nn.ModuleList(
            neuron.LIFNode(
                tau=1 / (1 - BETA), decay_input=False, v_reset=0.0, surrogate_function=surrogate.ATan(), step_mode="m"
            )
            for _ in connections
        )  # type: ignore[assignment]
        self.begin = functional.reset_net

    def forward(self, x: Tensor) -> Tensor:
        self.begin(self)
        return super().forward(x)


class Sinabs(Network):
    """sinabs, step by step."""

    def __init__(self, connections: Sequence[nn.Module]) -> None:
        super().__init__(connections)
        from sinabs import layers
        from sinabs.activation import MembraneReset, SingleSpike

        tau = -1 / torch.log(torch.tensor(BETA))
        self.cells = nn.ModuleList(
            layers.LIF(
                tau, spike_fn=SingleSpike, reset_fn=MembraneReset(), norm_input=False, surrogate_grad_fn=self._slope
            )
            for _ in connections
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


class SinabsSequence(Sinabs):
    """sinabs, as documented."""

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        cell.reset_states()  # type: ignore[operator]
        return cell(a.transpose(0, 1)).transpose(0, 1)


class Norse(Network):
    """Norse."""

    def __init__(self, connections: Sequence[nn.Module]) -> None:
        super().__init__(connections, 1 / (1 - BETA))
        from norse.torch.functional.lif_box import LIFBoxParameters
        from norse.torch.module.lif_box import LIFBoxCell

        parameters = LIFBoxParameters(tau_mem_inv=torch.tensor((1 - BETA) / 1e-3))
        self.cells = nn.ModuleList(LIFBoxCell(parameters) for _ in connections)
        self.populations = [lambda a, cell=cell: self._run(cell, a) for cell in self.cells]

    @staticmethod
    def _run(cell: nn.Module, a: Tensor) -> Tensor:
        state, spikes = None, []
        for x in a.unbind():
            s, state = cell(x, state)
            spikes.append(s)
        return torch.stack(spikes)


LIBRARIES: dict[str, tuple[str, type[Network]]] = {
    "snnTorch": ("snntorch", SnnTorch),
    "SpikingJelly": ("spikingjelly", SpikingJelly),
    "sinabs": ("sinabs", Sinabs),
    "sinabs sequence": ("sinabs", SinabsSequence),
    "Norse": ("norse", Norse),
}
"""By name: what is imported, and the network made of it."""
LOOP = "torch loop"


def installed() -> dict[str, type[Network]]:
    """The networks whose library is here, by name."""
    return {name: kind for name, (module, kind) in LIBRARIES.items() if importlib.util.find_spec(module)}
