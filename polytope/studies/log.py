"""The rows of finished runs: one line of JSON each, whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(file: Path) -> dict[str, Row]:
    """The rows by their ``run``; a last line that was being written when the run was killed is cut off.

    Raises:
        ValueError: a line in the middle is not a row.
    """
    if not file.exists():
        return {}
    text = file.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with file.open("r+b") as opened:
            opened.truncate(whole)
    rows = {}
    for number, line in enumerate(text[:whole].splitlines(), start=1):
        try:
            row = json.loads(line)
            rows[row["run"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file}: line {number} is not a row of a benchmark; remove it.") from error
    return rows


def append_row(file: Path, row: Row) -> None:
    """Add a row in one write, and wait until it is on the disk."""
    line = (json.dumps(row, allow_nan=False) + "\n").encode()
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)
