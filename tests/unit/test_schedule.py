"""Chip timing: offsets, balancing delays, loops that are too fast."""

import numpy as np
import pytest

from seamount.errors import PassError
from seamount.ir import Connection, Graph, Input, IntLinear, Output
from seamount.neurons import IntCubaLIF
from seamount.passes.schedule import schedule
from seamount.testing import random_graph


def graph(*edges: tuple[str, str, str, int]) -> Graph:
    """Populations and connections from `(name, source, target, delay)`; the last target is the output."""
    connections = [
        IntLinear(name=n, inputs=(source,), weight=np.ones((2, 2), int), delay=d) for n, source, _, d in edges
    ]
    inputs: dict[str, list[str]] = {}
    for name, _, target, _ in edges:
        inputs.setdefault(target, []).append(name)
    populations = [
        IntCubaLIF(name=name, inputs=tuple(reads), shape=(2,), du=np.array(0), dv=np.array(0), vth=np.array(1))
        for name, reads in inputs.items()
    ]
    output = Output(name="output", inputs=(edges[-1][2],))
    return Graph([Input(name="input", shape=(2,)), *connections, *populations, output])


CHAIN = (("fc1", "input", "a", 0), ("fc2", "a", "b", 0), ("fc3", "b", "c", 0))


def test_a_chain_starts_one_step_later_each_layer():
    plan = schedule(graph(*CHAIN))
    assert plan.offsets == {"input": 0, "a": 1, "b": 2, "c": 3}
    assert plan.extra == {"fc1": 0, "fc2": 0, "fc3": 0}
    assert plan.depth == 3


def test_a_skip_waits_for_the_longer_path():
    assert schedule(graph(("skip", "input", "c", 0), *CHAIN)).extra["skip"] == 2


def test_a_delay_makes_room_for_a_path():
    plan = schedule(graph(("fc1", "input", "a", 3)))
    assert plan.offsets["a"] == 0
    assert plan.extra["fc1"] == 2


def test_a_self_edge_of_delay_one_needs_nothing():
    plan = schedule(graph(("rec", "b", "b", 1), ("slow", "a", "a", 4), *CHAIN))
    assert plan.extra["rec"] == 0
    assert plan.extra["slow"] == 3


@pytest.mark.parametrize(("delay", "extra"), [(3, 0), (5, 2)])
def test_feedback_at_least_as_slow_as_its_path(delay, extra):
    assert schedule(graph(("back", "c", "a", delay), *CHAIN)).extra["back"] == extra


def test_feedback_faster_than_its_path_names_the_delay_that_would_do():
    with pytest.raises(PassError, match=r"^back: delay 1 .*\(used 1, needed 3 for the loop .*\)\. Hint: delay=3"):
        schedule(graph(("back", "c", "a", 1), *CHAIN))


def test_every_fast_loop_is_named_and_the_hints_work_together():
    loops = (("ab", "b", "a", 1), ("bc", "c", "b", 1))
    with pytest.raises(PassError) as caught:
        schedule(graph(*loops, *CHAIN))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    hints = {line.split(":")[0]: int(line.split("delay=")[1].split()[0]) for line in lines}
    assert hints == {"ab": 2, "bc": 2}
    schedule(graph(*((name, source, target, hints[name]) for name, source, target, _ in loops), *CHAIN))


def test_every_latency_is_at_least_one_step():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net = random_graph(rng, depth=4, skip=True, recurrent=int(rng.integers(0, 4)), feedback=int(rng.integers(4, 7)))
        plan = schedule(net)
        for c in net.of_type(Connection):
            source, target = net.source(c).name, net.target(c).name
            assert plan.extra[c.name] == plan.offsets[target] - plan.offsets[source] + c.delay - 1 >= 0
        assert plan.depth == max(plan.offsets.values())
