"""When a command began: a budget holds loading the modules too."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic

import typer


def process_started() -> float:
    """The reading of ``time.monotonic`` when this process began; where the system does not say, now."""
    try:
        words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        up = float(Path("/proc/uptime").read_text().split()[0])
        ran = up - int(words[19]) / os.sysconf("SC_CLK_TCK")  # field 22: ticks from the machine's start
    except (OSError, ValueError, IndexError):
        return monotonic()
    return monotonic() - max(ran, 0.0)


def started(context: typer.Context) -> float:
    """The reading when the command began: of one that a program calls, now."""
    return context.obj if isinstance(context.obj, float) else monotonic()
