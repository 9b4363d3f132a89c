"""Times and memory as people write them: ``90``, ``"90s"``, ``"5m"``; bytes, ``"500MB"``, ``"2GB"``."""

from __future__ import annotations

import re

import numpy as np

Seconds = float | str
"""Seconds as a number, or a text: ``"20s"``, ``"5m"``, ``"1h"``, ``"500ms"``; ``"none"`` is no limit."""
Bytes = int | str
"""Bytes as a whole number, or a text: ``"500MB"``, ``"2GB"``; a MB are 2^20 bytes. ``"none"`` is no limit."""

SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
BYTES = {"kb": 2.0**10, "mb": 2.0**20, "gb": 2.0**30, "tb": 2.0**40}
MOST = 1e9  # seconds: thirty years


def in_seconds(given: Seconds | None, name: str = "max_seconds") -> float | None:
    """A time in seconds; ``None`` for no limit.

    Arguments:
        given: seconds as a number, or a text such as "90", "20s", "5m", "1h" or "none".
        name: of the argument, for the message.

    Raises:
        TypeError: neither a number nor a text.
        ValueError: not a positive time.

    Example:
        >>> in_seconds("5m"), in_seconds(20)
        (300.0, 20.0)
    """
    said = 'a number of seconds is expected, or a text such as "20s", "5m", "1h" or "none"'
    if given is None or isinstance(given, str):
        found = _measured(given, SECONDS)
        if found is not None and not 0 < found < MOST:
            raise ValueError(f"{name} {given!r} must be a positive time: 60s, 5m, 1h, or none.")
        return found
    return _positive(given, name, said)


def in_bytes(given: Bytes | float | None, name: str = "max_memory") -> int | None:
    """Memory in bytes; ``None`` for no limit.

    Arguments:
        given: bytes as a whole number, or a text such as "500MB", "2GB" or "none".
        name: of the argument, for the message.

    Raises:
        TypeError: neither a whole number nor a text.
        ValueError: not a positive amount, or a text without its unit.

    Example:
        >>> in_bytes("500MB"), in_bytes(1000)
        (524288000, 1000)
    """
    said = 'a whole number of bytes is expected, or a text such as "500MB" or "2GB"'
    if given is None or isinstance(given, str):
        found = _measured(given, BYTES)
        if found is not None and not 0 < found < 2.0**60:
            raise ValueError(
                f"{name} {given!r} must be a positive amount with its unit: 500MB, 2GB, or none."
            )
        return None if found is None else max(int(found), 1)
    return whole(given, name, said)


def whole(given: float | None, name: str, said: str) -> int | None:
    """A positive whole number as an ``int``; ``None`` for no limit.

    Arguments:
        given: the number.
        name, said: of the argument, and what it should be, for the message.

    Raises:
        TypeError: not a whole number.
        ValueError: not positive.
    """
    if given is None:
        return None
    found = _positive(given, name, said)
    if not found.is_integer():
        raise TypeError(f"{name}: {said}, not {given!r}.")
    return int(given)


def from_zero(given: object, name: str) -> float:
    """A number from 0 on, and finite.

    Arguments:
        given: the number.
        name: of the argument, for the message.

    Raises:
        TypeError: no number.
        ValueError: negative, infinite or NaN.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise TypeError(f"{name}: a number is expected, such as 0.01, not {given!r}.")
    if not 0 <= given < np.inf:
        raise ValueError(f"{name} must be a finite number from 0 on, not {given}.")
    return float(given)


def threads(given: object) -> int:
    """A number of workers, from 1 on.

    Arguments:
        given: the number.

    Raises:
        TypeError: no whole number.
        ValueError: less than 1.
    """
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise TypeError(f"workers: a whole number from 1 on is expected, not {given!r}.")
    if given < 1:
        raise ValueError(f"workers must be at least 1, not {given}.")
    return int(given)


def time_taken(seconds: float, asked: float | None) -> str:
    """The time that something took, with the time that was asked for where there was a limit."""
    taken = f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2g} s"
    return taken if asked is None else f"{taken} (of {asked:g} s asked)"


def _measured(text: str | None, units: dict[str, float]) -> float | None:
    """A number with its unit; 0 for what cannot be read, ``None`` for no limit."""
    if text is None or text.strip().lower() == "none":
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", text.lower().replace("ib", "b"))
    if match is None or match[2] not in units:
        return 0.0
    try:
        return float(match[1]) * units[match[2]]
    except ValueError:
        return 0.0


def _positive(given: object, name: str, said: str) -> float:
    """A number as it is, where it is positive."""
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise TypeError(f"{name}: {said}, not {given!r}.")
    if not given > 0:
        raise ValueError(f"{name} must be positive, not {given}.")
    try:
        return float(given)
    except OverflowError as error:
        raise ValueError(f"{name}: the number is beyond the range of float64; None is no limit.") from error
