"""What a notebook shows of regions: a sentence, the numbers, and a small picture of a plane."""

from __future__ import annotations

from html import escape

import numpy as np

from polytope.ir.maps import FloatArray
from polytope.labelled import Bound, in_words
from polytope.regions.outlines import one_outline, outlines
from polytope.regions.region import Regions

SIDE = 240  # pixels
DRAWN = 2000  # regions that are drawn at most: a cell of a notebook should stay small


def regions_page(complex: Regions, words: str) -> str:
    """A sentence and, of a bounded plane, a picture.

    Arguments:
        complex: the regions.
        words: its one-line representation.
    """
    count = (
        f"{complex.lower:,} activation regions: all of them (exact)"
        if complex.complete
        else f"{in_words(Bound(complex.lower, complex.upper))} activation regions (bounds: not complete)"
    )
    picture = _picture(complex) if complex.domain.dim == 2 and complex.domain.is_bounded else ""
    return f"<div><code>{escape(words)}</code><br>{count}</div>{picture}"


def _picture(complex: Regions) -> str:
    """The outlines of some regions, coloured so that neighbours mostly differ."""
    n = min(len(complex), DRAWN)
    if not n:
        return ""
    whole = n == len(complex)
    drawn = outlines(complex) if whole else [one_outline(complex, i) for i in range(n)]
    low, high = complex.domain.bounds
    scale = SIDE / float((high - low).max())
    width, height = ((high - low) * scale).tolist()
    shapes = "".join(_shape(polygon, low, high, scale, _hue(i)) for i, polygon in enumerate(drawn))
    some = "" if whole else f'<div style="font-size:smaller">the first {n:,} of these regions</div>'
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.2f} {height:.2f}" role="img" '
        f'aria-label="the regions in the plane">{shapes}</svg>{some}'
    )


def _shape(polygon: FloatArray, low: FloatArray, high: FloatArray, scale: float, hue: int) -> str:
    x, y = (polygon[:, 0] - low[0]) * scale, (high[1] - polygon[:, 1]) * scale
    points = " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<polygon points="{points}" fill="hsl({hue},45%,70%)" stroke="#fff" stroke-width=".5"/>'


def _hue(i: int) -> int:
    """A colour by the number: the golden angle, so that numbers in a row differ."""
    return int(np.floor(i * 137.508)) % 360
