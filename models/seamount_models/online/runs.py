"""What a long study has measured, kept in a file: an interruption costs the run under way and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from seamount.errors import FileFormatError

Row = dict[str, Any]


class Runs:
    """Rows of finished runs, by what each run was made with.

    The file has one line of JSON a run, `{"run": {...}, "rows": [...]}`, and grows as runs finish. A line that an
    interruption cut short is dropped.

    Args:
        path: of the file; None keeps nothing.

    Raises:
        FileFormatError: a line that is something else.

    Example:
        >>> Runs(None).rows({"rule": "OTTT", "seed": 0}, lambda: [{"batch": 1, "accuracy": 0.5}])
        [{'batch': 1, 'accuracy': 0.5}]
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, list[Row]] = {}
        if path is None or not path.exists():
            return
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                found = json.loads(line)
                self.known[_name(found["run"])] = [dict(row) for row in found["rows"]]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise FileFormatError(f"{path}: line {number} is no run of a study. Hint: another file.") from error
        with path.open("r+b") as file:
            file.truncate(len(whole))

    def rows(self, run: Row, measure: Callable[[], Iterable[Row]]) -> list[Row]:
        """The rows of a run: from the file, or measured now and added to it.

        Args:
            run: what it is made with; two runs of the same are one.
            measure: gives its rows; values that JSON has.
        """
        name = _name(run)
        if name not in self.known:
            line = json.dumps({"run": run, "rows": list(measure())})
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            self.known[name] = json.loads(line)["rows"]
        return self.known[name]


def _name(run: Row) -> str:
    return json.dumps(run, sort_keys=True)
