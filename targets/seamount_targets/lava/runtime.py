"""Lava's runtime, told to mind its processes; imported only where Lava is."""

from __future__ import annotations

from multiprocessing.connection import wait

from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime

from seamount_targets.lava.leader import ProcessFailed, died, raised, tail


class WatchedRuntime(Runtime):
    """A Runtime that knows which operating system process runs which Lava Process.

    Args:
        executable: what Lava compiled.
        log: descriptor of the file that the processes print to.
    """

    def __init__(self, executable: Executable, log: int) -> None:
        super().__init__(executable, ActorType.MultiProcessing)
        self._log = log

    @property
    def actors(self) -> list[tuple]:
        """`(name, process)` of each process, in the order in which Lava starts them."""
        builders = self._executable.proc_builders.items()
        names = [process.name for process, builder in builders if isinstance(builder, PyProcessBuilder)]
        actors = self._messaging_infrastructure.actors  # type: ignore[union-attr]
        return list(zip([*names, *["runtime service"] * (len(actors) - len(names))], actors, strict=True))

    def _start_ports(self) -> None:
        """Wait for each process to say that it is built: Lava's next action, but that would wait for the dead."""
        super()._start_ports()
        for queue, (name, actor) in zip(self.exception_q, self.actors, strict=True):
            wait([queue._reader, actor.sentinel])
            if not queue._reader.poll():
                raise ProcessFailed(died(name, actor, self._log))
            if error := queue.get():
                raise ProcessFailed(raised(name, (error, error.trace), self._log))
        self.exception_q = []

    def done(self) -> bool:
        """Whether the message that is waiting says that the last step is done; False if it reports an error."""
        (port,) = self.service_to_runtime
        message = port.recv()
        if not enum_equal(message, MGMT_RESPONSE.DONE) and not enum_equal(message, MGMT_RESPONSE.ERROR):
            raise ProcessFailed(f"lava: the run ended before its last step (message {message}).{tail(self._log)}")
        return enum_equal(message, MGMT_RESPONSE.DONE)

    def stop(self) -> None:
        """Nothing: Lava's own stop waits for processes that may be dead. The leader ends them."""
