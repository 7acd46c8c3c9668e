"""Running a Lava network in a process of its own, so that nothing it does can hang or litter the caller.

Lava runs every Process as an operating system process. One that raises, dies or never returns leaves Lava's runtime
waiting for ever, and blocks of shared memory behind. Here a *leader* (`leader.py`) is forked: it heads its own session,
builds and runs the network, watches every process, and reports in one message. Results come back through memory that
was shared before the fork. Whatever happens, all processes are gone when `run` returns or raises.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from seamount.errors import TargetError
from seamount_targets.lava import leader
from seamount_targets.lava.support import require_lava

if TYPE_CHECKING:
    from lava.magma.core.process.process import AbstractProcess

START_LIMIT = 60.0
"""Seconds that building and starting a network may take."""
GRACE = 20.0
"""Seconds that the leader may need, past the run's own limit, to find out which process is stuck."""
END_LIMIT = 5.0
"""Seconds that the leader may need to end its processes."""
POLL = 0.2
"""Seconds between looks at whether the leader still lives."""


@dataclass(frozen=True)
class Job:
    """One run of a Lava network.

    Attributes:
        build: called in the leader; makes and connects the processes and returns one of them.
        steps: chip steps.
        tag: `"fixed_pt"` or `"floating_pt"`: which of Lava's process models run.
        timeout: seconds the steps may take.
    """

    build: Callable[[], AbstractProcess]
    steps: int
    tag: str
    timeout: float


def run(job: Job) -> float:
    """Run a network to its last step.

    Returns:
        Seconds that the steps took, without the start and the end of processes.

    Raises:
        TargetError: a process raised, died or did not return; names it, with its traceback.
    """
    require_lava()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with receiver, tempfile.TemporaryFile() as file:
        log = file.fileno()
        process = context.Process(target=leader.lead, args=(job, sender, log), name="lava")
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of a fork beside threads; the leader uses none of the caller's.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            sender.close()
            _receive(receiver, process, log, START_LIMIT, "start")
            return _receive(receiver, process, log, job.timeout + GRACE, "end")
        finally:
            sender.close()
            _end(process)


def _receive(receiver: Connection, process, log: int, limit: float, what: str) -> float:
    """The leader's next message; raise TargetError where it is a text, or does not come."""
    deadline = time.monotonic() + limit
    while not receiver.poll(POLL):
        if not process.is_alive() and not receiver.poll():
            raise TargetError(f"lava: the run's first process died (exit code {process.exitcode}).{leader.tail(log)}")
        if time.monotonic() > deadline:
            raise TargetError(f"lava: the run did not {what} within {limit:g} s.{leader.tail(log)}")
    try:
        message = receiver.recv()
    except EOFError:
        process.join(END_LIMIT)
        raise TargetError(
            f"lava: the run's first process died (exit code {process.exitcode}).{leader.tail(log)}"
        ) from None
    if isinstance(message, str):
        raise TargetError(message)
    return message


def _end(process) -> None:
    """Let the leader end and reap its processes, then kill what is left of its session."""
    if process.pid is None:
        return
    process.terminate()
    process.join(END_LIMIT)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    process.close()
