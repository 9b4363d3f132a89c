"""The still picture of a window, for print and where scripts do not run, as far as time allows."""

from __future__ import annotations

import sys
from dataclasses import replace
from time import perf_counter

import numpy as np

from polytope.report.clock import Clock
from polytope.report.cost import some_regions
from polytope.report.html import Picture, window_picture
from polytope.report.windows import Window

FEW, SOME = 16, 256
"""Regions that are drawn first, to see what a region costs."""
LOADING = 1.5  # seconds that loading matplotlib may take


def still(window: Window, clock: Clock) -> Picture | None:
    """The picture; ``None`` where it would take longer than is left, which is then kept.

    Arguments:
        window: the regions of a plane.
        clock: its present question pays.
    """
    n, what = len(window.complex), "the still picture for print"
    if clock.left < (0.0 if "matplotlib" in sys.modules else LOADING):
        clock.refuse(what, "the time allowed was used before")
        return None
    if clock.limit is not None and n > SOME:
        expected = _seconds(window)
        if expected > clock.left:
            clock.refuse(what, f"drawing {n:,} regions would take about {expected:,.0f} s")
            return None
    return window_picture(window)


def _seconds(window: Window) -> float:
    """About how long the drawing takes: what one takes anyway, and what each region adds."""
    window_picture(_part(window, FEW))  # loads what is shared
    taken = []
    for regions in (FEW, SOME):
        start = perf_counter()
        window_picture(_part(window, regions))
        taken.append(perf_counter() - start)
    each = max(taken[1] - taken[0], 0.0) / (SOME - FEW)
    return taken[1] + each * (len(window.complex) - SOME)


def _part(window: Window, regions: int) -> Window:
    """The same with some of its regions."""
    which = np.linspace(0, len(window.complex) - 1, regions).astype(np.int64)
    J, c = window.maps
    return replace(
        window,
        complex=some_regions(window.complex, which),
        polygons=[window.polygons[i] for i in which.tolist()],
        maps=(J[which], c[which]),
    )
