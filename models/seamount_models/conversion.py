r"""From a trained ReLU network to a spiking one: integrate-and-fire neurons whose rates are the activations.

A neuron that adds up its input and subtracts its threshold where it fires has, after T steps, fired at the rate

    r = a / vth + (v[0] - v[T]) / (T vth)        a = W x + b, 0 <= a <= vth

so that `vth r` stands for `ReLU(a)`. Every spike therefore counts `vth` in the connections that read it: their weights
are multiplied by the threshold of their source, and v keeps the unit of the network's own activations (threshold
balancing, Diehl et al. 2015, "Fast-classifying, high-accuracy spiking deep networks through weight and threshold
balancing"; first in Cao et al. 2015). A threshold is a percentile of what its ReLU gives on data, as the largest value
makes all others slow (Rueckauer et al. 2017, section 2.2). Each channel has its own, as a strong one makes weak ones
slow too; but where spikes are the network's answer they have to count alike. What is left in v at the end makes rates
too low by half a threshold in the mean; a bias that adds as much over the steps makes up for it (Deng and Gu 2021, Eq.
12).
"""

from __future__ import annotations

import copy
import operator
import warnings
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError
from torch.nn import functional

import seamount as sm
from seamount.errors import DataError, LoweringError, UnsupportedNodeError
from seamount_models.coding import intensities
from seamount_models.encoders import Count, Direct, Rate
from seamount_models.splits import Split
from seamount_models.training.activity import ActivityWarning

SAMPLES = 512
"""How many samples of a split the thresholds are measured on."""
CODINGS = (Rate, Count, Direct)
"""Those whose mean over the steps is the intensity."""
READOUT = "readout"
"""Name of what adds up the outputs of a network that does not end in a ReLU."""

IN_TIME = {
    nn.Linear: sm.nn.Linear,
    nn.Conv1d: sm.nn.Conv1d,
    nn.Conv2d: sm.nn.Conv2d,
    nn.BatchNorm1d: sm.nn.BatchNorm1d,
    nn.BatchNorm2d: sm.nn.BatchNorm2d,
}
"""Modules whose counterpart over `[T, B, ...]` differs in its forward only."""
SYNAPSES = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
RELUS = (functional.relu, torch.relu, "relu")
FLATTENS = (torch.flatten, "flatten")
SUMS = (operator.add, torch.add)
ALLOWED = (
    "nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d, nn.Flatten, dropout, "
    "identities, and additions of connections"
)


class ConversionWarning(ActivityWarning):
    """A ReLU gave nothing on the data, so that there is nothing to set its threshold by."""


def convert(ann: nn.Module, data: Split, *, percentile: float = 99.9, half: bool = True) -> fx.GraphModule:
    """Turn a trained ReLU network into a spiking one of `sm.nn`, which quantizes and lowers as any other.

    Args:
        ann: `torch.fx` can trace it; reads intensities `[B, *shape]` in 0..1. Its norms are used as they are in
            evaluation, dropout vanishes. Where it does not end in a ReLU, a readout `sm.nn.LI(beta=0)` follows.
        data: intensities, on whose first 512 samples the thresholds are set, and their coding and number of steps T.
        percentile: of the activations above 0 of each channel, which becomes its threshold: 100 is the largest.
        half: add `vth / 2T` to v in every step, so that rates are rounded and not cut off.

    Returns:
        Module from network input `[T, B, *shape]`, as `data.spikes` codes it, to spikes (or v) `[T, B, classes]`. ReLUs
        that are modules give their names to the populations.

    Raises:
        UnsupportedNodeError: a module or function without a counterpart, by name, with what is allowed.
        DataError: the coding does not keep intensities, or the percentile is out of range.

    Warns:
        ConversionWarning: a ReLU gives 0 for all of the data.

    Example:
        >>> import torch
        >>> from seamount_models import datasets
        >>> ann = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
        >>> net = convert(ann, datasets.load("digits", steps=8, coding="direct").train)
        >>> [(name, type(module).__name__) for name, module in net.named_children()]
        [('0', 'Linear'), ('1', 'IF'), ('2', 'Linear'), ('readout', 'LI')]
    """
    if not 0 < percentile <= 100:
        raise DataError(f"convert: percentile = {percentile:g} (allowed above 0, at most 100).")
    if not isinstance(data.encoder, CODINGS):
        allowed = ", ".join(coding.__name__.lower() for coding in CODINGS)
        raise DataError(
            f"{data.name}: the mean of coding {type(data.encoder).__name__} is not the intensity (allowed: {allowed})."
        )
    try:
        traced = fx.symbolic_trace(copy.deepcopy(ann).eval())
    except (TraceError, TypeError, RuntimeError) as error:
        raise LoweringError(f"{type(ann).__name__}: torch.fx cannot trace it: {_line(error)}") from error
    sweep = _Sweep(traced, 1 / data.input.bound, percentile, 2 * data.steps if half else None)
    try:
        with torch.no_grad():
            sweep.run(intensities(data.x[torch.arange(min(SAMPLES, len(data)))]))
    except RuntimeError as error:
        raise DataError(f"{type(ann).__name__}: does not run on {data.name}: {_line(error)}") from error
    return fx.GraphModule(sweep.modules, sweep.spiking, type(ann).__name__).eval()


class _Sweep(fx.Interpreter):
    """Runs the ReLU network on data, and makes of each of its nodes one of the spiking network.

    Args:
        traced: the ReLU network.
        unit: what a spike, or 1 of a graded input, counts.
        percentile: as of `convert`.
        parts: of the threshold, how many make the bias of one step; None for no bias.

    Attributes:
        spiking, modules: the spiking network, as `fx.GraphModule` takes them.
        made: by node of the ReLU network, what it became.
        units: by node, what one of its spikes counts, `[]` or by channel `[C]`; None where it gives synaptic input.
    """

    def __init__(self, traced: fx.GraphModule, unit: float, percentile: float, parts: int | None) -> None:
        super().__init__(traced)
        self.extra_traceback = False  # which would put its own text before that of an error
        self.percentile, self.parts = percentile, parts
        self.input_unit = torch.tensor(unit)
        self.spiking, self.modules = fx.Graph(), dict[str, nn.Module]()
        self.made: dict[fx.Node, fx.Node] = {}
        self.units: dict[fx.Node, Tensor | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        activations = super().run_node(n)
        self._read(n, activations)
        return activations

    def _read(self, n: fx.Node, activations: Tensor) -> None:
        if n.op == "placeholder":
            if self.made:
                raise LoweringError(f"{n.name}: the network has a second input (allowed 1).")
            self._becomes(n, self.spiking.placeholder(n.name), self.input_unit)
        elif n.op == "output":
            (last,) = n.all_input_nodes
            if self.units[last] is None:
                self._module(n, READOUT, sm.nn.LI(beta=0.0), None)
                last = n
            self.spiking.output(self.made[last])
        elif n.op == "call_module":
            self._converted(n, str(n.target), self.fetch_attr(str(n.target)), activations)
        elif n.target in RELUS:
            self._relu(n, n.name, activations)
        elif n.target in FLATTENS:
            dims = dict(zip(("start_dim", "end_dim"), n.args[1:], strict=False)) | n.kwargs
            self._flatten(n, n.name, dims.get("start_dim", 0), dims.get("end_dim", -1), activations)
        elif n.target in SUMS and len(n.all_input_nodes) == 2:
            for source in n.all_input_nodes:
                self._source(n, n.name, source, spikes=False)
            self._becomes(
                n, self.spiking.call_function(operator.add, tuple(self.made[s] for s in n.all_input_nodes)), None
            )
        elif n.op == "get_attr":
            raise UnsupportedNodeError(f"{n.target}: a tensor used outside a module cannot be converted.")
        else:
            raise _unknown(n.name, getattr(n.target, "__name__", str(n.target)))

    def _converted(self, n: fx.Node, name: str, module: nn.Module, activations: Tensor) -> None:
        (source,) = n.all_input_nodes
        if isinstance(module, nn.ReLU):
            self._relu(n, n.name if name in self.modules else name, activations)
        elif name in self.modules:
            raise UnsupportedNodeError(f"{name}: is called twice; give each call a module of its own.")
        elif isinstance(module, DROPOUTS):
            self._becomes(n, self.made[source], self.units[source])
        elif isinstance(module, nn.Flatten):
            self._flatten(n, name, module.start_dim, module.end_dim, activations)
        elif isinstance(module, nn.AvgPool2d):
            if module.padding or module.ceil_mode or module.divisor_override:
                raise UnsupportedNodeError(f"{name}: pads or rounds up, or has a divisor of its own (allowed: none).")
            self._module(n, name, sm.nn.AvgPool2d(module.kernel_size, module.stride), self.units[source])
        elif type(module) in IN_TIME:
            unit = self._source(n, name, source, spikes=type(module) in SYNAPSES)
            module.__class__ = IN_TIME[type(module)]
            if unit is not None:
                cast(Tensor, module.weight).mul_(_by_input(unit, module))
            self._module(n, name, module, None)
        else:
            raise _unknown(name, type(module).__name__)

    def _relu(self, n: fx.Node, name: str, activations: Tensor) -> None:
        self._source(n, name, n.all_input_nodes[0], spikes=False)
        active = activations[activations > 0].numpy()
        if not active.size:
            warnings.warn(
                f"{name}: gives 0 for all {len(activations)} samples, so its neurons will not fire. "
                "Hint: other data, or a network without it.", ConversionWarning, stacklevel=6,
            )  # fmt: skip
        unit = torch.tensor(np.percentile(active, self.percentile) if active.size else 1.0, dtype=torch.float32)
        if not self._answers(n):
            channels = [c[c > 0].numpy() for c in activations.transpose(0, 1)]
            unit = torch.tensor([np.percentile(c, self.percentile) if c.size else unit for c in channels]).float()
        vth = unit.reshape(unit.shape + (1,) * (activations.ndim - 2)) if unit.ndim else unit
        self._module(n, name, sm.nn.IF(vth, bias=vth / self.parts if self.parts else 0.0), unit)

    def _answers(self, n: fx.Node) -> bool:
        """Whether what the node gives leaves the network without passing a connection."""
        readers = (
            u for u in n.users if u.op != "call_module" or not isinstance(self.fetch_attr(str(u.target)), SYNAPSES)
        )
        return n.op == "output" or any(map(self._answers, readers))

    def _flatten(self, n: fx.Node, name: str, start: Any, end: Any, activations: Tensor) -> None:
        if (start, end) != (1, -1):
            raise UnsupportedNodeError(
                f"{name}: flattens dimensions {start}..{end} (allowed 1..-1, all but the batch)."
            )
        unit = cast(Tensor, self._source(n, name, n.all_input_nodes[0], spikes=True))
        places = activations.shape[1] // unit.numel() if unit.ndim else 1
        self._module(n, name, sm.nn.Flatten(), unit.repeat_interleave(places) if unit.ndim else unit)

    def _source(self, n: fx.Node, name: str, source: fx.Node, spikes: bool) -> Tensor | None:
        """What a spike of the source counts; refuses one of the other kind."""
        unit = self.units[source]
        if (unit is not None) != spikes:
            allowed = "the input or a ReLU, behind pools" if spikes else "a connection, behind norms and pools"
            raise UnsupportedNodeError(
                f"{name}: reads {source.target} (allowed: {allowed}). Hint: connections and ReLUs take turns."
            )
        return unit

    def _module(self, n: fx.Node, name: str, module: nn.Module, unit: Tensor | None) -> None:
        assert name not in self.modules, name
        self.modules[name] = module
        self._becomes(n, self.spiking.call_module(name, (self.made[n.all_input_nodes[0]],)), unit)

    def _becomes(self, n: fx.Node, made: fx.Node, unit: Tensor | None) -> None:
        self.made[n], self.units[n] = made, unit


def _by_input(unit: Tensor, module: nn.Module) -> Tensor:
    """What each of a connection's weights `[out, in / groups, ...]` has to be multiplied by."""
    if not unit.ndim:
        return unit
    weight, groups = cast(Tensor, module.weight), cast(int, getattr(module, "groups", 1))
    rows = unit.reshape(groups, 1, -1).expand(groups, len(weight) // groups, -1).flatten(0, 1)
    return rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))


def _unknown(name: str, what: str) -> UnsupportedNodeError:
    return UnsupportedNodeError(f"{name}: {what} cannot be converted (allowed: {ALLOWED}).")


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
