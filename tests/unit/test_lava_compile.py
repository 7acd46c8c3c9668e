"""What the lava target does before a run: find Lava, refuse what cannot run, choose processes."""

import dataclasses
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import seamount as sm
from seamount import targets
from seamount.errors import PassError, ResourceError, TargetError
from seamount.passes.schedule import schedule
from seamount.testing import random_graph, random_spikes
from seamount_targets.lava.support import _hashable_dataclasses, require_lava


def graph(**options):
    return random_graph(np.random.default_rng(0), **{"depth": 2, "width": 6, **options})


@pytest.fixture
def without_lava(monkeypatch):
    """A Python in which `import lava` fails."""
    for name in list(sys.modules):
        if name == "lava" or name.startswith(("lava.", "seamount_targets.lava")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lava", None)
    import seamount_targets

    monkeypatch.delattr(seamount_targets, "lava", raising=False)


@pytest.mark.usefixtures("without_lava")
def test_without_lava_the_target_is_listed_and_says_in_one_line_how_to_add_it():
    assert "lava" in targets.names()
    assert targets.find("lava").summary
    with pytest.raises(TargetError) as caught:
        sm.compile(graph(), "lava")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("lava: cannot be imported (")
    assert "Hint: pip install --ignore-requires-python --no-deps lava-nc==0.10.0 && pip install 'numpy<2' " in line


def test_what_only_has_lavas_name_is_refused_by_its_own(tmp_path):
    """A script lava.py that compiles for Lava would import itself for ever."""
    script = (
        "import numpy as np\nimport seamount as sm\nfrom seamount.testing import random_graph\n"
        "sm.compile(random_graph(np.random.default_rng(0)), 'lava')\n"
    )
    path = tmp_path / "lava.py"
    path.write_text(script)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False, timeout=120)
    assert f"TargetError: lava: Python finds {path} under this name. Hint: rename it" in done.stderr


def test_importing_lava_leaves_the_caller_as_it_was():
    pytest.importorskip("lava")
    script = (
        "import dataclasses, multiprocessing, logging\n"
        "before = dataclasses.dataclass, multiprocessing.set_start_method\n"
        "multiprocessing.set_start_method('spawn')\n"
        "from seamount_targets.lava.support import require_lava\n"
        "require_lava()\n"
        "assert (dataclasses.dataclass, multiprocessing.set_start_method) == before\n"
        "assert multiprocessing.get_start_method() == 'spawn'\n"
        "assert logging.getLogger().handlers == []\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_dataclasses_of_lava_are_changed():
    with _hashable_dataclasses():

        @dataclasses.dataclass
        class Ours:
            x: int = 0

        @dataclasses.dataclass(frozen=True)
        class Frozen:
            x: int = 0

    assert Ours.__hash__ is None
    assert hash(Frozen()) == hash(Frozen())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recurrent": 63}, ResourceError, r"^rec1: delay = 63 \(allowed 0\.\.62\)"),
        ({"feedback": 1}, PassError, r"^back: delay 1 is shorter than its path .* Hint: delay=2 would do"),
    ],
)
def test_what_cannot_run_is_refused(options, error, message):
    pytest.importorskip("lava")
    with pytest.raises(error, match=message):
        sm.compile(graph(**options), "lava")


def test_an_odd_weight_is_refused():
    net = graph()
    weight = net.connections[0].weight.copy()
    weight[0, 0] += 1
    with pytest.raises(ResourceError, match=r"^fc1: 1 weights are not multiples of 2"):
        sm.compile(net.with_weight("fc1", weight), "lava")


def test_a_convolution_of_too_many_synapses_is_refused(monkeypatch):
    pytest.importorskip("lava")
    net = graph(conv=2)
    monkeypatch.setattr("seamount_targets.lava.SYNAPSE_LIMIT", 9)
    used = net.synapses(net.connections[0])
    with pytest.raises(ResourceError, match=rf"^conv1: synapses of its convolution \(used {used}, limit 9\)\. Hint: a.*"
                                            r"\nconv2: synapses of its convolution"):  # fmt: skip
        sm.compile(net, "lava")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_time_limit_that_is_none_is_refused(timeout):
    pytest.importorskip("lava")
    with pytest.raises(TargetError, match=r"^lava: timeout = .* s \(allowed: more than 0\)\."):
        sm.compile(graph(), "lava", timeout=timeout)


def test_stock_processes_wherever_they_are_exact():
    """Lava's own code is the witness: ours only for other resets, readouts and delays."""
    pytest.importorskip("lava")
    require_lava()
    from lava.proc.dense.process import Dense
    from lava.proc.lif.process import LIFReset
    from lava.proc.sparse.process import Sparse

    from seamount_targets.lava.network import Network
    from seamount_targets.lava.processes.connections import DelayedDense, DelayedSparse
    from seamount_targets.lava.processes.neurons import LIFSubtract, LIReset

    def kinds(**options):
        net = graph(**options)
        network = Network(net, schedule(net), random_spikes(np.random.default_rng(0), net, 4, 2), frozenset())
        nodes = [*map(network.population, net.populations), *map(network.connection, net.connections)]
        return Counter(type(process) for process in nodes)

    assert kinds(depth=3) == {LIFReset: 3, Dense: 3}
    assert kinds(depth=3, readout=True) == {LIFReset: 2, LIReset: 1, Dense: 3}
    assert kinds(depth=2, reset="subtract") == kinds(depth=2, reset="none") == {LIFSubtract: 2, Dense: 2}
    assert kinds(depth=2, recurrent=1, skip=True) == {LIFReset: 2, Dense: 2, DelayedDense: 3}
    assert kinds(depth=2, conv=2, recurrent=1) == {LIFReset: 2, Sparse: 2, DelayedSparse: 2}
