"""What the command line shows while it works and when it is done: bars on stderr, a table on stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from traceback import format_exception
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from polytope.engines.bars import Bar
from polytope.errors import (
    GeometryError,
    IncompleteComplexError,
    InternalError,
    LoadError,
    PolytopeError,
    is_deliberate,
)
from polytope.report.findings import glance
from polytope.report.html import shown
from polytope.report.sections import Report

FAILED, USAGE, REFUSED, STOPPED, DEFECT, INTERRUPTED = 1, 2, 3, 4, 70, 130

REPORT = (
    "This is a defect of polytope {version}, not of your input. Please report it with the lines above, "
    "the command, and, if you can share it, the model file."
)


@contextmanager
def watching(console: Console) -> Iterator[Bar]:
    """A moving line while there is work, and lines that stay for what lasted, whatever happens."""
    watch = Bar(console, moving=True)
    try:
        yield watch
    finally:
        watch.stage("")


def audit_table(report: Report) -> Table:
    """The main numbers of an audit, each with its label and where it holds."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in glance(report):
        table.add_row(*map(safe, (row.title, row.value, row.label, row.place)))
    return table


def safe(text: str) -> str:
    """Text from outside, printable and without rich's markup."""
    return escape(shown(text, longest=2000))


KINDS = (
    (InternalError, DEFECT),
    (LoadError, REFUSED),
    (GeometryError, USAGE),
    (IncompleteComplexError, STOPPED),
    (PolytopeError, FAILED),
)
"""What errors mean, the first that fits."""


@contextmanager
def sentences(interrupted: str = "Interrupted; nothing was written.") -> Iterator[None]:
    """Turn expected errors into a sentence on stderr and an exit code, and defects of ours into reports."""
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        end(INTERRUPTED, interrupted)
    except Exception as error:
        code, message = meaning(error)
        if code == DEFECT:
            defect(error)
        end(code, message)


def meaning(error: Exception) -> tuple[int, str]:
    """The exit code of an error, and what is said of it."""
    if isinstance(error, OSError) and error.errno is not None:  # an answer of the system
        return USAGE, f"{error.filename or 'A file'} cannot be used: {error.strerror}."
    if isinstance(error, MemoryError):
        return STOPPED, "This needs more memory than there is; set --max-regions or ask for less."
    for kind, code in KINDS:
        if isinstance(error, kind):
            return code, str(error)
    wrong = isinstance(error, ValueError | TypeError) and is_deliberate(error)
    return (USAGE if wrong else DEFECT), str(error)


def defect(error: BaseException) -> NoReturn:
    """Report a defect of this library: the traceback, what to do with it, and a code of its own."""
    said = "".join(format_exception(error)) + REPORT.format(version=version("polytope-nn"))
    Console(stderr=True, soft_wrap=True).print(escape(said), highlight=False)
    raise typer.Exit(DEFECT)


def end(code: int, message: str) -> NoReturn:
    """Say why on stderr and leave with a code."""
    lines = [line for line in message.splitlines() if line.strip()]
    Console(stderr=True, soft_wrap=True).print("\n".join(map(safe, lines)), highlight=False)
    raise typer.Exit(code)
