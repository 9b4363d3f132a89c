"""Which regions an index or a slice means."""

from __future__ import annotations

from operator import index
from typing import SupportsIndex

from polytope.given import described


def chosen(i: SupportsIndex | slice, n: int) -> int | range:
    """A number from 0, or several.

    Arguments:
        i: a whole number, negative ones from the end, or a slice.
        n: how many there are.

    Raises:
        IndexError: there is no such region.
        TypeError: something else is given.
    """
    if isinstance(i, slice):
        return range(n)[i]
    try:
        number = index(i)
    except TypeError as error:
        raise TypeError(
            f"A region is chosen by its number, or several by a slice such as [2:4], not by {described(i)}; "
            "locate(x) gives the numbers of the regions of points."
        ) from error
    if not -n <= number < n:
        raise IndexError(f"There is no region {number}: the complex has {n}.")
    return number % n
