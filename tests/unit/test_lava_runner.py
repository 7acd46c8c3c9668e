"""Lava runs under a watchdog: whatever a process does, the caller gets an error that names it, soon, and no litter."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import seamount as sm
from seamount.errors import TargetError
from seamount.passes.schedule import schedule
from seamount.testing import random_graph, random_spikes

pytest.importorskip("lava")
from seamount_targets.lava import runner
from seamount_targets.lava.network import Network
from seamount_targets.lava.support import require_lava

FAULTS = Path(__file__).parent / "lava_faults"


@pytest.fixture(autouse=True)
def sessions(monkeypatch):
    """Process ids of the leaders of all runs; afterwards none of their sessions has a process left."""
    seen = []
    end = runner._end
    monkeypatch.setattr(runner, "_end", lambda process: (seen.append(process.pid), end(process)))
    yield seen
    assert seen
    wait_for_the_end(seen)
    assert multiprocessing.active_children() == []


def members(sessions) -> list[str]:
    """Command and state of every process of the given sessions."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        name, rest = text[: text.rindex(")") + 1], text[text.rindex(")") + 1 :].split()
        if int(rest[3]) in sessions:
            found.append(f"{name} {rest[0]}")
    return found


def graph(**options):
    return random_graph(np.random.default_rng(0), depth=2, width=6, **options)


def spikes():
    return random_spikes(np.random.default_rng(1), graph(), 6, 2)


def faulty(monkeypatch, fault: str, timeout: float = 60) -> runner.Job:
    """A run whose connection `fc2` fails."""
    require_lava()
    monkeypatch.syspath_prepend(str(FAULTS))
    from faulty import FaultyDense, Orphan  # type: ignore[import-not-found]

    class FaultyNetwork(Network):
        def connection(self, node):
            if node.name != "fc2":
                return super().connection(node)
            arguments = self.connection_arguments(node)
            return Orphan(**arguments) if fault == "has no model" else FaultyDense(fault=fault, **arguments)

    network = FaultyNetwork(graph(), schedule(graph()), spikes(), frozenset())
    return runner.Job(network.build, network.steps, "fixed_pt", timeout)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", r"^fc2: its Lava process raised ValueError: weights are on fire\nTraceback(.|\n)*faulty\.py"),
        ("raises the unpicklable", r"^fc2: its Lava process died \(exit code 1\)\.(.|\n)*Unpicklable"),
        ("dies", r"^fc2: its Lava process died \(exit code 3\)\."),
        ("leaves", r"^fc2: its Lava process died \(exit code 0\)\."),
        ("raises when built", r"^fc2: its Lava process raised ZeroDivisionError: no such synapse\nTraceback"),
        ("dies when built", r"^fc2: its Lava process died \(exit code 4\)\."),
        ("has no model", r"^lava: cannot start the network: (.|\n)*Orphan"),
    ],
)
def test_a_process_that_fails_is_named(monkeypatch, capfd, fault, message):
    with pytest.raises(TargetError, match=message):
        runner.run(faulty(monkeypatch, fault))
    assert capfd.readouterr() == ("", "")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "never returns",
            r"^fc2: its Lava process had not returned when 14 steps reached their limit of 0\.5 s\. "
            r"Hint: compile\(\.\.\., timeout=\) allows more\.\n(.|\n)*faulty\.py",
        ),
        ("is silent", r"^lava: every process waited for a message from another when 14 steps"),
    ],
)
def test_a_process_that_hangs_is_named(monkeypatch, capfd, fault, message):
    with pytest.raises(TargetError, match=message):
        runner.run(faulty(monkeypatch, fault, timeout=0.5))
    assert capfd.readouterr() == ("", "")


@pytest.mark.timeout(60)
def test_ctrl_c_ends_every_process(monkeypatch):
    job = faulty(monkeypatch, "never returns", timeout=50)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run(job)
    finally:
        signal.signal(signal.SIGINT, before)
    timer.join()


@pytest.mark.timeout(60)
def test_a_leader_that_is_killed_is_reported(monkeypatch, sessions):
    job = faulty(monkeypatch, "never returns", timeout=50)
    started = runner._receive

    def kill_after_start(receiver, process, log, limit, what):
        if what == "end":
            os.kill(process.pid, signal.SIGKILL)
        return started(receiver, process, log, limit, what)

    monkeypatch.setattr(runner, "_receive", kill_after_start)
    with pytest.raises(TargetError, match=r"^lava: the run's first process died \(exit code -9\)\."):
        runner.run(job)
    wait_for_the_end(sessions)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_caller_that_is_killed_takes_its_run_along(sessions):
    script = f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        import pytest
        import test_lava_runner as t
        from seamount_targets.lava import runner
        receive = runner._receive

        def report(receiver, process, log, limit, what):
            if what == "end":
                print(process.pid, flush=True)
            return receive(receiver, process, log, limit, what)

        runner._receive = report
        runner.run(t.faulty(pytest.MonkeyPatch(), "never returns", timeout=50))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        sessions.append(int(caller.stdout.readline()))
        assert members(sessions)
        caller.kill()
    wait_for_the_end(sessions)


def wait_for_the_end(sessions) -> None:
    """Orphans are reaped by the system, which takes its time; dead is enough."""
    for _ in range(100):
        if all(state.endswith(" Z") for state in members(sessions)):
            sessions[:] = [-1]
            return
        time.sleep(0.05)
    pytest.fail(f"still there: {members(sessions)}")


def test_runs_leave_no_memory_no_descriptors_and_no_named_blocks(monkeypatch, sessions):
    def refuse(*_, **__):
        raise AssertionError("a named block outlives a killed process")

    monkeypatch.setattr("multiprocessing.shared_memory.SharedMemory.__init__", refuse)
    program = sm.compile(graph(readout=True), "lava")
    used = []
    for _ in range(5):
        program.run(spikes(), record=("spikes", "v"))
        gc.collect()
        used.append((len(os.listdir("/proc/self/fd")), resident()))
    assert len(set(sessions)) == 5
    assert used[1][0] == used[-1][0]
    assert used[-1][1] - used[1][1] < 4 << 20


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_two_runs_at_once():
    program, results = sm.compile(graph(), "lava"), []
    want = sm.compile(graph(), "reference").run(spikes()).output
    threads = [threading.Thread(target=lambda: results.append(program.run(spikes()).output)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, [want, want])


def test_a_successful_run_is_quiet(capfd, sessions):
    result = sm.compile(graph(), "lava").run(spikes())
    assert capfd.readouterr() == ("", "")
    assert 0 < result.seconds < 60
