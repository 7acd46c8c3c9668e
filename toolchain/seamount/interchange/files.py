"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from seamount.errors import FileFormatError


def write_whole(path: str | Path, data: bytes) -> None:
    """Write `data` beside `path` and rename it into place, so that no reader ever sees half a file.

    Raises:
        FileFormatError: the file cannot be written; what was there before is still there.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with open(part, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written: {error.strerror}.") from error
