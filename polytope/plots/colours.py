"""The colours of pictures, told apart by colour-blind readers too.

References:
    Okabe, Ito (2008), "Color Universal Design", https://jfly.uni-koeln.de/color/
    Tol (2021), "Colour Schemes", https://personal.sron.nl/~pault/
"""

from __future__ import annotations

from collections.abc import Sequence

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Okabe and Ito's colours for lines and points, those first that are easiest to see on white."""

MUTED = (
    "#88ccee",
    "#cc6677",
    "#ddcc77",
    "#117733",
    "#332288",
    "#aa4499",
    "#44aa99",
    "#999933",
    "#882255",
    "#dddddd",
)
"""Tol's muted colours for areas."""


def class_colours(classes: Sequence[int]) -> dict[int, str]:
    """A colour for each class: Tol's for the classes 0 to 9; of more classes, colours are used again.

    Example:
        >>> class_colours([1, 11])
        {1: '#cc6677', 11: '#cc6677'}
    """
    return {int(k): MUTED[int(k) % len(MUTED)] for k in classes}
