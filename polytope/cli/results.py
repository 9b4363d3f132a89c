"""How commands end: sentences or one JSON object on stdout, and an exit code."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

import typer
from rich.console import Console

from polytope.cli.terminal import STOPPED, safe
from polytope.ir import Network
from polytope.labelled import LARGEST_WRITTEN, interval, log10, plural
from polytope.report.scope import Scope


def import_facts(network: Network) -> dict[str, Any]:
    """The import error, ``None`` if it was not computed, and what the model was compared with or why not."""
    compared = network.import_error is not None
    note = network.import_note if compared else f"not computed: {network.import_note}"
    return {"import_error": network.import_error, "import_note": note}


class Counted(Protocol):
    """A count of regions, or an interval that holds it."""

    @property
    def complete(self) -> bool:
        """Whether all are known."""

    @property
    def lower(self) -> int:
        """How many were found."""

    @property
    def upper(self) -> int:
        """How many there can be."""

    @property
    def stopped_by(self) -> str | None:
        """The limit that ended the search, if one did."""


def count_facts(found: Counted) -> dict[str, Any]:
    """A count for machines; ``regions`` is the number found."""
    return {
        "regions": found.lower,
        "label": "exact" if found.complete else "lower bound",
        "complete": found.complete,
        "lower": found.lower,
        "upper": None if found.upper > LARGEST_WRITTEN else found.upper,
        "log10_upper": log10(found.upper),
        "stopped_by": found.stopped_by,
    }


def count_words(found: Counted) -> str:
    """A count for people."""
    why = f"was ended by the limit of {found.stopped_by}" if found.stopped_by else "was not complete"
    label = "exact" if found.complete else f"a bound: the search {why}"
    return f"{plural(interval(found.lower, found.upper), 'activation region')} ({label})"


def by_default(scope: Scope) -> str:
    """What is said behind a domain that nobody chose."""
    return " (chosen by default)" if scope.chosen_by == "default" else ""


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def say(text: str) -> None:
    """One line on stdout, whatever text from outside it holds."""
    Console(soft_wrap=True).print(safe(text), highlight=False)


def finish(*, complete: bool) -> None:
    """End with the code that says whether a budget stopped the work."""
    if not complete:
        raise typer.Exit(STOPPED)
