r"""What a parameter p has done to a population's spikes s, carried forward by the neuron's partial derivatives.

With the neuron's states y, e = d y / d p, and the response `r' = M r + g s` of whoever reads s (z = r'[out]):

    d s / d p = s_p x + sum_j s_j e_j            s_p, s_j, y_ip, y_ij: the step's partial derivatives by where p acts
    e_i'      = y_ip x + sum_j y_ij e_j          and by the states; x: what p is multiplied with there
    r_i'      = sum_j M_ij r_j + g_i d s / d p

So all that is carried, c = (r, e), goes by one linear system, `c' = b x + A c`, and z is one of c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from seamount.nn.loops import SHARE, compiled, defined
from seamount.nn.threads import in_parts
from seamount_models.online.dynamics import Filter, Row
from seamount_models.online.network import Layer

Now = Callable[[Row], Tensor | None]
"""Of the partial derivatives of a result, the one by p."""
NOTHING = Filter.leak(0.0)
"""The response of who reads spikes within the step and remembers none: z = d s / d p."""
COMPILED = torch.float32, torch.float64
"""What the compiled pass takes, on the CPU."""


class Carried:
    """A population's c, of one of its own parameters or of each weight of a connection.

    Args:
        layer: the population.
        after: response of the next population, where the rule follows the spikes on.
    """

    def __init__(self, layer: Layer, after: Filter | None) -> None:
        self.layer = layer
        self.after = after or NOTHING
        self.states: list[Tensor] = []

    @property
    def value(self) -> Tensor:
        """z."""
        return self.states[self.after.out]

    def update(self, now: Now, spread: Callable[[Tensor], Tensor], x: Tensor) -> None:
        """Take a step.

        Args:
            now: as for all.
            spread: gives a partial derivative the dimensions of z.
            x: as above.
        """
        system = self._system(now)
        self._begin(len(system), spread(self.layer.last.out), x)

        def total(row: Sequence[Tensor | float]) -> Tensor:
            own, *factors = (f if isinstance(f, Tensor) else x.new_full((), f) if f else None for f in row)
            found = torch.zeros_like(self.value)
            for factor, read in zip((own, *factors), (x, *self.states), strict=True):
                if factor is not None:
                    found.addcmul_(read, spread(factor))
            return found

        self.states = [total(row) for row in system]

    def learn(self, now: Now, x: Tensor, error: Tensor) -> Tensor:
        """Take a step of each weight, `z [B, O, P, K]`; returns its gradient, `sum_(b, p) error z`, `[O, K]`.

        On the CPU in one pass, which reads and writes c once; the error is asked for because it is in the same pass.

        Args:
            now: as for all.
            x: what the weights of each position read, `[B, 1, P, K]`.
            error: that arrives at the outputs, `[B, O, P]`.
        """
        flat = self.layer.flat
        if x.device.type != "cpu" or x.dtype not in COMPILED:
            self.update(now, lambda factor: flat(factor)[..., None], x)
            return torch.einsum("bop,bopk->ok", error, self.value)
        system = self._system(now)
        self._begin(len(system), error[..., None], x)
        factors = x.new_zeros(len(system), 1 + len(system), *error.shape)
        for of_row, row in zip(factors, system, strict=True):
            for to, factor in zip(of_row, row, strict=True):
                to[:] = flat(factor) if isinstance(factor, Tensor) else factor
        gradient = x.new_zeros(error.shape[1], x.shape[3])
        arrays = [t.detach().contiguous().numpy() for t in (gradient, error.to(x.dtype), x, factors, *self.states)]
        loop, parts = _pass(len(system), self.after.out), max(1, self.value.numel() // SHARE)
        in_parts(lambda first, last: loop(first, last, *arrays), len(gradient), min(parts, torch.get_num_threads()))
        return gradient

    def reset(self) -> None:
        self.states = []

    def _begin(self, count: int, like: Tensor, x: Tensor) -> None:
        if not self.states:
            self.states = [x.new_zeros(torch.broadcast_shapes(like.shape, x.shape)) for _ in range(count)]

    def _system(self, now: Now) -> list[list[Tensor | float]]:
        """b and the rows of A, `[b_i, A_i0, A_i1 ..]`, without the states that do not reach the output."""
        out, *rows = self.layer.last.partials
        kept = _reaching(out, rows)

        def of(row: Row, gain: float) -> list[Tensor | float]:
            return [0.0 if f is None else f * gain for f in (now(row), *(row[1][k] for k in kept))]

        system = []
        for remembered, gain in zip(self.after.matrix, self.after.gains, strict=True):
            own, *others = of(out, gain)
            system.append([own, *remembered, *others])
        for k in kept:
            own, *others = of(rows[k], 1.0)
            system.append([own, *[0.0] * len(self.after.gains), *others])
        return system


@cache
def _pass(states: int, out: int) -> Any:
    """Compile the pass of `Carried.learn` for so many states, z the one at `out`; a loop over k that fits registers."""
    every = range(states)
    text = [
        f"def loop(first, last, gradient, error, x, factors, {', '.join(f'all_c{i}' for i in every)}):",
        "    for b in range(len(x)):",
        "        for o in range(first, last):",
        "            for p in range(x.shape[2]):",
        "                read, total, g = x[b, 0, p], gradient[o], error[b, o, p]",
        *(f"                c{i} = all_c{i}[b, o, p]" for i in every),
        *(f"                f{i}_{j} = factors[{i}, {j}, b, o, p]" for i in every for j in range(states + 1)),
        "                for k in range(len(read)):",
        *(
            f"                    new{i} = f{i}_0 * read[k]" + "".join(f" + f{i}_{j + 1} * c{j}[k]" for j in every)
            for i in every
        ),
        *(f"                    c{i}[k] = new{i}" for i in every),
        f"                    total[k] += g * new{out}",
    ]
    return compiled()(defined("\n".join(text), {})["loop"])


def _reaching(out: Row, rows: list[Row]) -> list[int]:
    """The states that reach the output."""
    found = {k for k, factor in enumerate(out[1]) if factor is not None}
    while more := {k for i in found for k, factor in enumerate(rows[i][1]) if factor is not None} - found:
        found |= more
    return sorted(found)
