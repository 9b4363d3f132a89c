"""Refusals made presentable: short, printable, and of one kind whatever went wrong inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from polytope.errors import CorruptFileError, LoadError, UnsupportedOpError

_LONGEST = 1000


@contextmanager
def presentable(prefix: str = "") -> Iterator[None]:
    """Names and numbers from a hostile file may be endless or unprintable: cut and mask them in messages.

    Numbers out of range are compared, or refused, as what they are; numpy says nothing about them.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except LoadError as error:
        raise type(error)(_bounded(str(error), prefix)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        text = "The file is corrupt: it holds a name that is no text, or nests too deeply."
        raise CorruptFileError(_bounded(text, prefix)) from error
    except MemoryError as error:
        raise UnsupportedOpError(_bounded("The model needs more memory than there is.", prefix)) from error


def _bounded(text: str, prefix: str) -> str:
    """The message behind the file's name, without what a terminal would obey."""
    text = text if not prefix or text.startswith(prefix) else f"{prefix}: {text}"
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text[: 4 * _LONGEST])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
