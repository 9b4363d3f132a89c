"""Markdown pages whose code runs: Python in one namespace, commands of ``polytope``, and what they print."""

from __future__ import annotations

import doctest
import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from polytope.__main__ import app

ROOT = Path(__file__).parents[1]
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page as pairs of language and code."""
    return re.findall(
        r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )


def run_page(page: Path, folder: Path) -> int:
    """Run the code of a page, which is the working directory's business; the number of blocks that ran.

    A block of ``text`` is what the block before it prints, but for ``...`` and white space.
    """
    (folder / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = {"__name__": "page"}
    printed, ran = "", 0
    for language, code in blocks(page):
        if language == "python":
            with redirect_stdout(io.StringIO()) as out:
                exec(compile(code, str(page), "exec"), names)
            printed, ran = out.getvalue(), ran + 1
        elif language == "sh":
            commands = [
                line for line in code.replace("\\\n", " ").splitlines() if line.startswith("polytope ")
            ]
            printed, ran = "".join(map(run_command, commands)), ran + bool(commands)
        elif language == "text":
            alike = doctest.OutputChecker().check_output(code, printed, LENIENT)
            assert alike, f"{page.name} says\n{code}\nbut printed was\n{printed}"
    return ran


def run_command(line: str) -> str:
    """What a command prints."""
    words = shlex.split(line, comments=True)
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, words[1:], prog_name="polytope")
    assert result.exit_code == 0, (line, result.stderr, result.exception)
    return result.stdout
