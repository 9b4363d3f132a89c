r"""The text of a VNN-LIB property: its words, its nested terms, and the file that it stands in.

The text is cut into words and never evaluated. A property of version 2.0 becomes the terms that version 1.0
has for it (``polytope/properties/vnnlib_networks.py``), so that all others read one language.

References: Demarchi, Guidotti, Pulina, Tacchella (2023), "Supporting Standardization of Neural Networks
Verification with VNNLIB and CoCoNet". Version 2.0: https://www.vnnlib.org
"""

from __future__ import annotations

import gzip
import re
import zlib
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np

from polytope.given import described

Term: TypeAlias = "str | list[Term]"

LARGEST_TEXT = 2**28  # bytes, once unpacked
_WORD = re.compile(r""";[^\n]* | "(?:[^"\\\n]|\\.)*" | [()] | \[[^][()]*\] | [^][\s();"]+ | \S""", re.VERBOSE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DEPTH = 32


def property_text(vnnlib: str | Path) -> str:
    """The text of a property: the text itself, which has parentheses in it, or what a file holds.

    Arguments:
        vnnlib: the text, or the path of a file; a name that ends in ``.gz`` is unpacked.

    Raises:
        ValueError: there is no such file, it cannot be read, is not text, or is too large.
        TypeError: it is neither a path nor a text.
    """
    if not isinstance(vnnlib, str | PathLike):
        raise TypeError(f"vnnlib: the path of a property, or its text, is expected, not {described(vnnlib)}.")
    if isinstance(vnnlib, str) and ("(" in vnnlib or "\n" in vnnlib or not vnnlib.strip()):
        return vnnlib
    file = Path(vnnlib)
    if file.is_dir():
        raise ValueError(f"{str(file)!r} is a directory; a file was expected. Name the file inside it.")
    if not file.is_file():
        raise ValueError(
            f"There is no file {str(file)[:200]!r} that can be read. Check the path, or give the text."
        )
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            content = stream.read(LARGEST_TEXT + 1)
        if len(content) > LARGEST_TEXT:
            raise ValueError(f"{file.name} holds more than {LARGEST_TEXT:,} bytes, too many for a property.")
        return content.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"{file.name} is not a text file that can be read.") from error


def terms_of(text: str) -> list[Term]:
    """Nested lists of words, one for each top-level pair of parentheses.

    What stands in square brackets belongs to the word before it: ``X [0, 1]`` is the word ``X[0,1]``.
    """
    stack: list[list[Term]] = [[]]
    for word in _WORD.findall(text):
        if word[0] == ";":
            continue
        if word == "(":
            stack.append([])
            if len(stack) > _DEPTH:
                raise ValueError(f"The property nests parentheses deeper than {_DEPTH}.")
        elif word == ")":
            if len(stack) == 1:
                raise ValueError("The property closes a parenthesis that was never opened.")
            done = stack.pop()
            stack[-1].append(done)
        elif len(stack) == 1:
            raise ValueError(f"This is not a VNN-LIB property: {word[:40]!r} stands outside parentheses.")
        elif word[0] == "[" and isinstance(before := (stack[-1] or [[]])[-1], str):
            stack[-1][-1] = before + "".join(word.split())
        else:
            stack[-1].append(word)
    if len(stack) > 1:
        raise ValueError("The property is cut short: a parenthesis is never closed.")
    return stack[0]


def head_of(term: Term) -> str:
    """The first word of a list of two or more."""
    return term[0] if isinstance(term, list) and len(term) > 1 and isinstance(term[0], str) else ""


def asserted(term: Term) -> Term:
    """The condition of an assert."""
    if len(term) != 2:
        raise ValueError("An assert in the property does not hold exactly one condition.")
    return term[1]


def finite_number(term: Term) -> float | None:
    """A finite number, also as ``(- 1.5)``."""
    if isinstance(term, list):
        inner = finite_number(term[1]) if head_of(term) == "-" and len(term) == 2 else None
        return None if inner is None else -inner
    if not _NUMBER.fullmatch(term):
        return None
    value = float(term)
    return value if np.isfinite(value) else None


def shown(term: Term) -> str:
    """A term as messages show it."""
    words = term if isinstance(term, str) else f"({head_of(term) or '...'} ...)"
    return repr(words[:40])
