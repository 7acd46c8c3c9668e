"""Chip descriptions: what a `<target>.toml` beside this file says."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from seamount.errors import TargetError
from seamount.limits import Limits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A chip.

    Args:
        name: of the target.
        summary: one line for `seamount targets`.
        limits: what its integers hold.
        cores: neuro cores on one chip.
        neurons_per_core: neurons that one core holds.
    """

    name: str
    summary: str
    limits: Limits
    cores: int
    neurons_per_core: int


def load(name: str, folder: Path = FOLDER) -> Chip:
    """Read `<folder>/<name>.toml`.

    Raises:
        TargetError: the file is not a chip description; says what is wrong with it.

    Example:
        >>> load("loihi2").cores
        128
    """
    path = folder / f"{name}.toml"
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TargetError(f"{name}: {path.name} cannot be read: {error}.") from error
    known = {"limits": {f.name for f in fields(Limits)}, "chip": {"cores", "neurons_per_core"}}
    unknown = [f"{s}.{key}" for s, allowed in known.items() for key in sorted(set(text.get(s, {})) - allowed)]
    missing = [f"chip.{key}" for key in sorted(known["chip"] - set(text.get("chip", {})))]
    missing += [key for key in ("summary",) if key not in text]
    if unknown or missing:
        raise TargetError(
            f"{name}: {path.name} has unknown keys ({', '.join(unknown) or 'none'}) "
            f"and lacks keys ({', '.join(missing) or 'none'})."
        )
    limits: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in text.get("limits", {}).items()
    }
    return Chip(name=name, summary=text["summary"], limits=Limits(**limits), **text["chip"])
