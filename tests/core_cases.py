"""Arrays for the core, and how tests spoil them."""

from __future__ import annotations

import ast


def arguments(function: ast.FunctionDef) -> tuple[list[str], list[str]]:
    """The names that a function takes, and those that it takes by name only."""
    taken = function.args
    return [a.arg for a in taken.posonlyargs + taken.args], [a.arg for a in taken.kwonlyargs]
