"""Shares, scores and labelled numbers in words: what is less than all never reads as all."""

from __future__ import annotations

from collections.abc import Sequence

from polytope.labelled import Missing, Number, in_words

MOST = 17  # digits that tell float64 numbers apart


def percent(share: float, digits: int = 0) -> str:
    """A share in percent, with more digits where it would read as all or as none, and is not.

    Example:
        >>> percent(0.25), percent(0.9996), percent(1.0), percent(0.0002, 1)
        ('25%', '99.96%', '100%', '0.02%')
    """
    while digits < MOST and (0 < share < 1) and float(f"{share:.{digits + 2}f}") in (0.0, 1.0):
        digits += 1
    return f"{share:.{digits}%}"


def score(value: float) -> str:
    """A score of at most 1 to five digits, and more where it would read as 1, and is not.

    Example:
        >>> score(0.5), score(0.9999996), score(1.0)
        ('0.50000', '0.9999996', '1.00000')
    """
    digits = 5
    while digits < MOST and value < 1 and float(f"{value:.{digits}f}") == 1:
        digits += 1
    return f"{value:.{digits}f}"


def by_seed(numbers: Sequence[Number]) -> str | None:
    """The numbers of all seeds with what they are; ``None`` where none was computed.

    Example:
        >>> from polytope.labelled import Exact
        >>> by_seed([Missing("no region"), Exact(0.5)]), by_seed([Missing("no time")])
        ('not computed, 0.5 (exact)', None)
    """
    labels = dict.fromkeys(n.label for n in numbers if not isinstance(n, Missing))
    return f"{', '.join(map(in_words, numbers))} ({' or '.join(labels)})" if labels else None
