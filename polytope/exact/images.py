"""The image of a polytope under an affine map, in rationals: its dimension and its vertices."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from polytope.exact.dyadic import Dyadic
from polytope.exact.polytope import Corner, independent

Point = tuple[Fraction, ...]


def image_of_corners(corners: Sequence[Corner], function: Dyadic) -> tuple[int, list[Point]]:
    """The dimension of the image of a polytope with interior, and points whose convex hull it is.

    Arguments:
        corners: the polytope's vertices.
        function: ``[out, d + 1]``, an affine map.

    Returns:
        The dimension, at most two of them with the image's vertices and no other points: the one, both ends,
        or all in order around it. In more dimensions some points may lie inside.
    """
    rows = function.integers.tolist()
    free = independent([row[:-1] for row in rows])
    seen = dict.fromkeys(_mapped(corner, rows, function.exponent) for corner in corners)
    points = list(seen)
    if len(free) == 0:
        return 0, points[:1]
    if len(free) == 1:
        return 1, [min(points), max(points)]
    if len(free) == 2:
        return 2, hull_in_plane(points, (free[0], free[1]))
    return len(free), sorted(points)


def _mapped(corner: Corner, rows: Sequence[Sequence[int]], exponent: int) -> Point:
    below = corner.denominator << exponent
    values = (sum(map(int.__mul__, row, (*corner.numerators, corner.denominator))) for row in rows)
    return tuple(Fraction(value, below) for value in values)


def hull_in_plane(points: Sequence[Point], axes: tuple[int, int]) -> list[Point]:
    """The vertices of the convex hull of points of a plane, in order around it.

    Arguments:
        points: not all on a line, as their coordinates ``axes`` show them.
        axes: two coordinates that tell points of the plane apart; the order is counter-clockwise in them.

    References: Andrew (1979), "Another efficient algorithm for convex hulls in two dimensions"

    Example:
        >>> square = [tuple(map(Fraction, p)) for p in ((0, 0), (2, 0), (1, 1), (2, 2), (0, 2), (1, 0))]
        >>> [tuple(map(int, p)) for p in hull_in_plane(square, (0, 1))]
        [(0, 0), (2, 0), (2, 2), (0, 2)]
    """
    i, j = axes
    ordered = sorted(points, key=lambda p: (p[i], p[j]))
    chains = []
    for line in (ordered, ordered[::-1]):
        chain: list[Point] = []
        for p in line:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p, axes) <= 0:
                chain.pop()
            chain.append(p)
        chains.append(chain[:-1])
    return chains[0] + chains[1]


def _turn(a: Point, b: Point, c: Point, axes: tuple[int, int]) -> Fraction:
    i, j = axes
    return (b[i] - a[i]) * (c[j] - a[j]) - (b[j] - a[j]) * (c[i] - a[i])
