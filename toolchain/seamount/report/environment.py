"""What someone needs to repeat a run: command, seed, versions, machine."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path


def environment(seed: int | None = None) -> dict[str, str]:
    """Return command line, seed, time, machine and the versions of seamount and of everything it depends on.

    Example:
        >>> environment(seed=7)["seed"]
        '7'
    """
    known = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": "" if seed is None else str(seed),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    return {key: value for key, value in known.items() if value} | versions()


def versions() -> dict[str, str]:
    """Return the installed versions of seamount and of its direct dependencies, by distribution."""
    try:
        required = metadata.requires("seamount") or []
    except metadata.PackageNotFoundError:
        return {}
    names = ["seamount", *sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in required})]
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
