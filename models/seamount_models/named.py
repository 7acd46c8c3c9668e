"""What a recipe calls by name, with settings: `"count_mse"`, or `{"name": "count_mse", "right": 0.5}`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from seamount.errors import DataError


def chosen(
    what: str, given: str | Mapping[str, Any], known: Mapping[str, Callable], positional: int
) -> tuple[str, dict[str, Any]]:
    """Take apart a name and its settings.

    Args:
        what: the kind of thing, for errors.
        given: the name, or a mapping with its `name` and settings.
        known: what there is.
        positional: how many parameters of it, the first, are no settings.

    Returns:
        The name, and the settings that were given.

    Raises:
        DataError: an unknown name, or a setting that it does not have.
    """
    settings: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = settings.pop("name", None)
    if not isinstance(name, str) or name not in known:
        raise DataError(f"{what} {name!r} is unknown. Allowed: {', '.join(known)}.")
    allowed = list(inspect.signature(known[name]).parameters)[positional:]
    if unknown := [key for key in settings if key not in allowed]:
        raise DataError(f"{what} {name}: has no setting {unknown[0]!r}. Allowed: {', '.join(allowed) or 'none'}.")
    return name, settings
