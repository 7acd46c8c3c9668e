r"""From canonical time to chip time: when each population starts, and how long each connection holds its spikes.

On the chip every connection takes one step. A population therefore lags the Input by an offset, in chip steps: its
canonical step `t` happens at chip step `t + offset`. A connection of canonical delay `d` then takes

    latency = offset[dst] - offset[src] + d  >=  1        extra = latency - 1

and the smallest offsets that satisfy this for every connection are the longest paths

    offset[Input] = 0,    offset[dst] = max(0, max_c (offset[src_c] + 1 - d_c)).

`extra` is the length of a balancing delay line, needed where paths of different length meet. Around a loop the offsets
cancel, so that the delays of a loop must add up to at least its number of connections; a loop that is too fast has no
schedule. A self edge of delay 1 needs nothing: latency 1, extra 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamount.errors import PassError, raise_all
from seamount.ir import Connection, Graph


@dataclass(frozen=True)
class Schedule:
    """Chip timing of a graph.

    Attributes:
        offsets: by Input and population, its start in chip steps after the Input.
        extra: by connection, chip steps it takes beyond the one that every connection takes.
        depth: largest offset; `n` samples of `T` steps take `n T + depth` chip steps.
    """

    offsets: dict[str, int]
    extra: dict[str, int]
    depth: int


def schedule(graph: Graph) -> Schedule:
    """Return the chip timing of a graph.

    Raises:
        PassError: naming each connection that closes a loop too fast, and the delay that would do.

    Example:
        >>> import numpy as np
        >>> from seamount.testing import random_graph
        >>> plan = schedule(random_graph(np.random.default_rng(0), depth=3, skip=True, recurrent=1))
        >>> plan.offsets, plan.extra["skip"], plan.extra["rec1"], plan.depth
        ({'input': 0, 'pop1': 1, 'pop2': 2, 'pop3': 3}, 2, 0, 3)
    """
    ends = {c.name: (graph.source(c).name, graph.target(c).name) for c in graph.of_type(Connection)}
    delays = {c.name: c.delay for c in graph.of_type(Connection)}
    names = [graph.input.name, *(p.name for p in graph.populations)]
    found = []
    while True:
        offsets, loop = _longest_paths(names, ends, delays)
        if not loop:
            break
        slow = max(loop, key=lambda name: delays[name])
        needed = delays[slow] + len(loop) - sum(delays[name] for name in loop)
        found.append(
            f"{slow}: delay {delays[slow]} is shorter than its path on the chip, where every connection takes one step "
            f"(used {delays[slow]}, needed {needed} for the loop {', '.join(loop)}). Hint: delay={needed} would do."
        )
        delays[slow] = needed
    raise_all(PassError, found)
    extra = {name: offsets[dst] - offsets[src] + delays[name] - 1 for name, (src, dst) in ends.items()}
    return Schedule(offsets, extra, max(offsets.values()))


def _longest_paths(
    names: list[str], ends: dict[str, tuple[str, str]], delays: dict[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Bellman-Ford: the offsets, and the connections of a loop that is too fast, in order, if there is one."""
    offsets = dict.fromkeys(names, 0)
    via: dict[str, str] = {}
    late = ""
    for _ in names:
        late = ""
        for name, (src, dst) in ends.items():
            if offsets[src] + 1 - delays[name] > offsets[dst]:
                offsets[dst] = offsets[src] + 1 - delays[name]
                via[dst], late = name, dst
        if not late:
            return offsets, []
    for _ in names:
        late = ends[via[late]][0]
    loop, node = [], late
    while not loop or node != late:
        loop.append(via[node])
        node = ends[via[node]][0]
    return offsets, loop[::-1]
