"""Parts of a batch in torch's threads, and in Python's own where torch's cannot be had."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest
import torch

from seamount.nn import threads
from seamount.nn.threads import in_parts


@pytest.fixture(params=["torch", "python"])
def of(request, monkeypatch):
    """Whose threads: torch's, or Python's own."""
    if request.param == "python":
        monkeypatch.setattr(threads, "_team", lambda: None)
    elif threads._team() is None:
        pytest.skip("this torch has no OpenMP of GCC's kind")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="torch's builds for others have another OpenMP")
def test_torch_on_linux_lends_its_threads():
    assert threads._team() is not None


@pytest.mark.parametrize(("size", "parts"), [(0, None), (1, None), (3, None), (100, None), (100, 2), (100, 7)])
def test_parts_cover_the_whole_once(of, size, parts):
    found = np.zeros(size, int)

    def add(first, last):
        found[first:last] += 1

    in_parts(add, size, parts)
    assert (found == 1).all()


def test_parts_run_side_by_side(of):
    """Each waits for the others, so one after the other would never end."""
    meeting = threading.Barrier(3, timeout=30)
    in_parts(lambda first, last: meeting.wait(), 3)
    assert not meeting.broken


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [0, 2])
def test_what_a_part_raises_is_raised_after_the_others(of, error, at):
    meeting, done = threading.Barrier(3, timeout=30), []

    def work(first, last):
        meeting.wait()
        if first == at:
            raise error("here")
        done.append(first)

    with pytest.raises(error, match="here"):
        in_parts(work, 3)
    assert sorted([*done, at]) == [0, 1, 2]


def test_parts_of_parts(of):
    found = np.zeros((6, 6), int)

    def inner(i):
        def add(first, last):
            found[i, first:last] += 1

        return add

    in_parts(lambda first, last: [in_parts(inner(i), 6) for i in range(first, last)], 6)
    assert (found == 1).all()


def test_several_callers_at_once(of):
    """As two data-parallel replicas in one process do."""
    found = np.zeros((4, 1000), int)

    def call(i):
        def add(first, last):
            found[i, first:last] += 1

        for _ in range(20):
            in_parts(add, 1000)

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert (found == 20).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_wait_for_threads_that_it_has_not(of):
    """OpenMP's threads are not forked; a loader's worker that used the parent's would hang."""
    in_parts(lambda first, last: None, 3)
    found = np.zeros(9, int)
    child = os.fork()
    if not child:
        in_parts(lambda first, last: found.__setitem__(slice(first, last), 1), 9)
        os._exit(int((found != 1).any()))
    ended = threading.Timer(30, os.kill, (child, 9))
    ended.start()
    _, status = os.waitpid(child, 0)
    ended.cancel()
    assert status == 0
