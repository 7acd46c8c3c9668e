"""Memory that a run's processes share, and that vanishes with them.

Lava asks multiprocessing for named blocks in /dev/shm, which outlive processes that are killed. All processes of a run
are forked, so anonymous mappings serve as well: the kernel frees them with the last process, however it ends.
"""

from __future__ import annotations

import mmap
from types import SimpleNamespace

import numpy as np


def shared_zeros(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Zeros that processes forked from now on write to and the caller reads."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(-1, max(size, 1)), dtype, int(np.prod(shape))).reshape(shape)


class _Block:
    """What Lava's ports use of `multiprocessing.shared_memory.SharedMemory`."""

    def __init__(self, size: int) -> None:
        self.buf = memoryview(mmap.mmap(-1, max(size, 1)))

    def close(self) -> None:
        """Nothing: the mapping goes with its last process."""


class _Manager:
    """What Lava uses of `multiprocessing.managers.SharedMemoryManager`, without its server process."""

    SharedMemory = _Block

    def start(self) -> None: ...

    def shutdown(self) -> None: ...


def use_anonymous_memory() -> None:
    """Make Lava, in this process, allocate its channels as anonymous memory."""
    from lava.magma.runtime.message_infrastructure import shared_memory_manager

    shared_memory_manager.managers = SimpleNamespace(SharedMemoryManager=_Manager)
