"""Parts of a batch in threads: those that torch's own operations run in.

Between two operations torch's threads wait in a busy loop for milliseconds (OpenMP as GCC has it). Threads beside them
would share the cores with that; one more piece of work for the same threads finds them awake.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

Work = Callable[[], None]
_PROCESS = os.getpid()
"""A fork of it has none of torch's threads, and would wait for them."""
_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def in_parts(function: Callable[[int, int], Any], size: int, parts: int | None = None) -> None:
    """Call `function(first, last)` for equal parts of `range(size)`; as many as torch has threads.

    Args:
        function: leaves the interpreter to others while it computes.
        size: of the whole.
        parts: fewer than torch has threads.

    Raises:
        BaseException: what a part raised, when those under way have ended.
    """
    threads = torch.get_num_threads()
    parts = max(1, min(parts or threads, size))
    if parts == 1:
        function(0, size)
        return
    edges = [size * i // parts for i in range(parts + 1)]
    waiting, failed = iter(list(pairwise(edges))), []

    def work() -> None:
        try:
            for first, last in waiting:  # shared: a step of a list's iterator is one of the interpreter's
                function(first, last)
        except BaseException as error:  # an interrupt too, which a foreign caller would swallow
            failed.append(error)

    team = _team() if os.getpid() == _PROCESS else None
    (team or _pool)(work, threads)
    if failed:
        raise failed[0]


@cache
def _team() -> Callable[[Work, int], None] | None:
    """Runs work in each of torch's threads; None where torch has no OpenMP that GCC's programs could call."""
    try:
        # the handle of a library finds what its own dependencies define
        parallel = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None
    parallel.argtypes, parallel.restype = (_Body, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None

    def run(work: Work, threads: int) -> None:
        parallel(_Body(lambda _: work()), None, threads, 0)

    return run


def _pool(work: Work, threads: int) -> None:
    """Run work in threads of Python's own."""
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()
