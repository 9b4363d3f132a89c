"""What a caller gives for a norm: 1, 2 or infinity, as a number or as a text."""

from __future__ import annotations

import numpy as np

NAMES = {"1": 1.0, "2": 2.0, "inf": np.inf, "max": np.inf}


def as_norm(given: object, name: str = "norm") -> float:
    """One of the exponents 1, 2 and infinity.

    Arguments:
        given: the number, or a text: "1", "2", "inf" or "max".
        name: of the argument, for the message.

    Raises:
        ValueError: for anything else.

    Example:
        >>> as_norm("inf"), as_norm(2)
        (inf, 2.0)
    """
    if isinstance(given, str) and given.strip().lower() in NAMES:
        return NAMES[given.strip().lower()]
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not number or given not in (1, 2, np.inf):
        raise ValueError(f'{name} must be 1, 2 or np.inf (or the text "inf"), not {given!r}.')
    return float(given)
