r"""The point of a polygon nearest to a given one, in rational arithmetic, by the norms 1, 2 and infinity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, isqrt

from flint import fmpq

Corner = tuple[fmpq, fmpq]
Nearest = tuple[fmpq, Corner]  # what ``size`` says of a distance, and the point
Row = Sequence[int]  # row[0] x + row[1] y + row[2] <= 0


def polygon(rows: Sequence[Row], around: Sequence[Corner]) -> list[Corner]:
    """The corners of a convex polygon, where all rows hold, in order; none where it is empty.

    Arguments:
        around: the corners of a convex polygon that holds it, in order.
    """
    kept = list(around)
    for row in rows:
        values = [row[0] * x + row[1] * y + row[2] for x, y in kept]
        if all(value <= 0 for value in values):
            continue
        cut: list[Corner] = []
        for i, (end, value) in enumerate(zip(kept, values, strict=True)):
            before = values[i - 1]
            if (before > 0) != (value > 0) and before and value:
                cut.append(_between(kept[i - 1], end, before / (before - value)))
            if value <= 0:
                cut.append(end)
        kept = cut
    return kept


def nearest(corners: Sequence[Corner], p: Corner, norm: float) -> Nearest:
    """The nearest point of a polygon that does not hold p, and ``size`` of its distance."""
    found = [
        (size((x - p[0], y - p[1]), norm), (x, y))
        for i, end in enumerate(corners)
        for x, y in _candidates(corners[i - 1], end, p, norm)
    ]
    return min(found)


def size(v: Corner, norm: float) -> fmpq:
    """The norm of a vector; for the norm 2 its square."""
    if norm == 2:
        return v[0] * v[0] + v[1] * v[1]
    return max(abs(v[0]), abs(v[1])) if norm == inf else abs(v[0]) + abs(v[1])


def length(size: fmpq, norm: float) -> float:
    """The distance whose ``size`` is given, in float64."""
    p, q = int(size.p), int(size.q)
    if norm != 2:
        return as_float(size)
    shift = max(0, 110 + q.bit_length() - p.bit_length()) // 2
    return isqrt((p << 2 * shift) // q) / (1 << shift)


def corner(x: float, y: float) -> Corner:
    """A float64 point, exactly."""
    return fmpq(*x.as_integer_ratio()), fmpq(*y.as_integer_ratio())


def as_float(value: fmpq) -> float:
    """The nearest float64."""
    return int(value.p) / int(value.q)


def _candidates(a: Corner, b: Corner, p: Corner, norm: float) -> Iterator[Corner]:
    """The ends of a segment, and where the distance from p can turn in between."""
    along, off = (b[0] - a[0], b[1] - a[1]), (a[0] - p[0], a[1] - p[1])
    if norm == 2:
        turns = [(off[0] * along[0] + off[1] * along[1], along[0] ** 2 + along[1] ** 2)]
    else:
        turns = list(zip(off, along, strict=True))
    if norm == inf:  # where the two coordinates are equally far
        turns += [(off[0] - off[1], along[0] - along[1]), (off[0] + off[1], along[0] + along[1])]
    yield a
    yield b
    yield from (_between(a, b, -top / bottom) for top, bottom in turns if bottom and 0 < -top / bottom < 1)


def _between(a: Corner, b: Corner, share: fmpq) -> Corner:
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
