"""The first process of a run: it starts Lava's processes, watches each of them, and ends them."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from seamount_targets.lava.memory import use_anonymous_memory

if TYPE_CHECKING:
    from seamount_targets.lava.runner import Job
    from seamount_targets.lava.runtime import WatchedRuntime

TAIL = 20
"""Last lines of what the processes printed that an error repeats."""
STACK = 8
"""First lines of a stuck process's stack that an error repeats."""
ERROR_LIMIT = 5.0
"""Seconds in which a process that reported an error must deliver its traceback."""
DUMP_LIMIT = 1.0
"""Seconds in which a process must dump its stack when asked to."""


class ProcessFailed(Exception):
    """A process raised, died or is stuck; the text becomes that of a TargetError."""


def lead(job: Job, sender: Connection, log: int) -> None:
    """Run the job; send None once started, seconds when done, or the text of what failed; never return."""
    try:
        _isolate(log)
        try:
            sender.send(_run(job, sender, log))
        except ProcessFailed as failed:
            sender.send(str(failed))
        except Exception as error:
            sender.send(f"lava: cannot start the network: {summary(error)}\n{traceback.format_exc()}")
    finally:
        # Lava's own stop() waits for processes that may be dead; all results are in shared memory by now.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        children = multiprocessing.active_children()
        for child in children:
            child.kill()
        for child in children:
            os.waitpid(child.pid, 0)  # type: ignore[arg-type]
        os._exit(0)


def _isolate(log: int) -> None:
    """Head a session of its own, deaf to Ctrl-C (the caller ends the run), printing to the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout = sys.stderr = open(log, "w", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, log, all_threads=False)
    logging.getLogger().handlers.clear()
    multiprocessing.set_start_method("fork", force=True)
    use_anonymous_memory()


def _run(job: Job, sender: Connection, log: int) -> float:
    from lava.magma.core.run_conditions import RunSteps

    from seamount_targets.lava.runtime import WatchedRuntime
    from seamount_targets.lava.taps import TappedRunConfig

    process = job.build()
    executable = process.compile(TappedRunConfig(select_tag=job.tag))
    runtime = WatchedRuntime(executable, log)
    executable.assign_runtime_to_all_processes(runtime)
    runtime.initialize()
    sender.send(None)

    woken, wake = os.pipe()
    for port in runtime.service_to_runtime:
        port.observer = lambda: os.write(wake, b".")
    start = time.monotonic()
    runtime.start(RunSteps(job.steps, blocking=False))
    _watch(runtime, woken, start + job.timeout, job, log)
    return time.monotonic() - start


def _watch(runtime: WatchedRuntime, woken: int, deadline: float, job: Job, log: int) -> None:
    """Return when all steps are done; raise ProcessFailed for the first process that raises, dies or is stuck."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    reports = {actor._pconn: name for name, actor in runtime.actors}
    ends = {actor.sentinel: (name, actor) for name, actor in runtime.actors}
    reported = ""
    while ready := wait([woken, caller.sentinel, *reports, *ends], max(0.0, deadline - time.monotonic())):
        if caller.sentinel in ready:
            os.killpg(0, signal.SIGKILL)
        for report in [r for r in ready if r in reports]:
            raise ProcessFailed(raised(reports[report], report.recv(), log))  # type: ignore[index,union-attr]
        for end in [e for e in ready if e in ends]:
            raise ProcessFailed(died(*ends[end], log))  # type: ignore[index]
        os.read(woken, 1)
        if runtime.done():
            return
        # The traceback of the process that failed follows on a connection of its own.
        reported = "lava: a process reported an error but not which." + tail(log)
        deadline = min(deadline, time.monotonic() + ERROR_LIMIT)
    raise ProcessFailed(reported or _stuck(runtime, job, log))


def raised(name: str, report: tuple[Exception, str] | None, log: int) -> str:
    """What to say of a process that sent its exception, or that ended by itself (None)."""
    if report is None:
        return f"{name}: its Lava process ended before the last step.{tail(log)}"
    error, trace = report
    return f"{name}: its Lava process raised {summary(error)}\n{trace}"


def died(name: str, actor: multiprocessing.Process, log: int) -> str:
    """What to say of a process that is gone without a word."""
    multiprocessing.Process.join(actor, 1)
    return f"{name}: its Lava process died (exit code {actor.exitcode}).{tail(log)}"


def summary(error: Exception) -> str:
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def tail(log: int) -> str:
    """The last lines that the processes printed, on lines of their own; empty if there are none."""
    size = os.fstat(log).st_size
    lines = os.pread(log, 1 << 14, max(0, size - (1 << 14))).decode(errors="replace").splitlines()
    return "".join("\n" + line for line in lines[-TAIL:])


def _stuck(runtime: WatchedRuntime, job: Job, log: int) -> str:
    """Ask each process for its stack; the one that waits for no message is the one that holds up the others."""
    limit = f"when {job.steps} steps reached their limit of {job.timeout:g} s. Hint: compile(..., timeout=) allows more"
    for name, actor in runtime.actors:
        before, deadline = os.fstat(log).st_size, time.monotonic() + DUMP_LIMIT
        os.kill(actor.pid, signal.SIGUSR1)  # type: ignore[arg-type]
        while os.fstat(log).st_size == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02)
        stack = os.pread(log, 1 << 14, before).decode(errors="replace")
        if "pypychannel.py" not in stack:
            where = "\n".join(stack.splitlines()[:STACK])
            return f"{name}: its Lava process had not returned {limit}.\n{where}"
    return f"lava: every process waited for a message from another {limit}."
