"""Docstrings for the pages: formulas, tables and examples in the form that Markdown reads."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

from griffe import Extension, Object

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::((?: .*)?(?:\n(?:\1 +.*|\s*))*)(?=\n|\Z)", re.MULTILINE)
ROLE = re.compile(r":(?:func|class|meth|mod):`([^`]+)`")
RULE = re.compile(r"^ *=+(?: +=+)+$")
HEADING = re.compile(r"^( *)Example:$", re.MULTILINE)


class Docstrings(Extension):
    """Rewrites every docstring before it is read."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for every object that was found."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """A docstring with formulas between dollars, tables of bars, and examples under a known heading."""
    text = BLOCK.sub(lambda m: f"\n{m[1]}$$ {' '.join(dedent(m[2]).split())} $$\n", text)
    text = INLINE.sub(lambda m: f"${' '.join(m[1].split())}$", text)
    return HEADING.sub(r"\1Examples:", _tables(ROLE.sub(r"`\1`", text)))


def _tables(text: str) -> str:
    """Tables ruled by equals signs, as tables with bars; a row without a first cell goes on with the last."""
    out: list[str] = []
    spans: list[tuple[int, int]] = []
    rows: list[list[str]] = []
    rules = 0
    for line in [*text.splitlines()]:
        if RULE.match(line):
            rules = rules % 3 + 1
            if rules == 1:
                spans = [m.span() for m in re.finditer("=+", line)]
                spans[-1] = (spans[-1][0], 10_000)
                rows = []
            if rules == 3:
                lines = [f"| {' | '.join(row)} |" for row in rows]
                out += ["", lines[0], "|" + " --- |" * len(spans), *lines[1:], ""]
            continue
        if rules % 3 == 0:
            out.append(line)
            continue
        cells = [line[a:b].strip() for a, b in spans]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{one} {two}".strip() for one, two in zip(rows[-1], cells, strict=True)]
    return "\n".join(out)
