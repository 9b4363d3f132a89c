"""What ``polytope plot`` draws: one of the pictures, for the domain that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polytope.cli.options import Colour, Subject
from polytope.engines.budget import Budget
from polytope.geometry import Slice
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.measures.counting import region_bounds
from polytope.plots.complexity import plot_complexity_map
from polytope.plots.files import new_figure
from polytope.plots.graph import plot_dual_graph, plot_region_bounds
from polytope.plots.planar import area, jacobian_norms_in_time, outlines_in_time, some_regions
from polytope.plots.regions import plot_decision_boundary, plot_regions
from polytope.plots.solid import plot_regions_3d
from polytope.regions.complex import RegionComplex
from polytope.report.scope import Scope

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def refuse_dimensions(subject: Subject, d: int) -> None:
    """Raise a ``ValueError`` where a picture does not exist in d dimensions."""
    if subject is Subject.REGIONS and d not in (2, 3):
        raise ValueError(f"Regions are drawn in two or three dimensions, not {d}: choose a --window.")


def draw_complex(
    subject: Subject, complex: RegionComplex, colour: Colour, corners: bool, seconds: float | None = None
) -> tuple[Figure, bool]:
    """A picture of the regions of a domain, and whether time allowed to draw all that was found.

    Arguments:
        subject: any but ``complexity``.
        complex: what was found; a partial one is named so in the title.
        colour: of ``regions``.
        corners: whether (0, 0), (1, 0) and (0, 1) are data points to mark, as in a window through three.
        seconds: after which regions of a plane are no longer coloured, and no longer outlined if it was not
            searched whole.

    Raises:
        ValueError: the picture does not exist in this dimension.
    """
    d = complex.domain.dim
    refuse_dimensions(subject, d)
    solid = d == 3 and subject in (Subject.REGIONS, Subject.BOUNDARY)
    figure = new_figure()
    ax: Any = figure.add_subplot(projection="3d") if solid else figure.add_subplot()
    whole = True
    if subject is Subject.REGIONS and solid:
        values, label = _colours(complex, colour)
        plot_regions_3d(complex, ax, values=values, label=label)
    elif subject is Subject.REGIONS:
        with watched(Budget(None, seconds).look):
            whole = _draw_plane(complex, ax, colour)
    elif subject is Subject.BOUNDARY:
        plot_decision_boundary(complex, ax)
    elif subject is Subject.GRAPH:
        plot_dual_graph(complex, ax)
    else:
        plot_region_bounds({"this domain": (complex, region_bounds(complex.network))}, ax)
    if corners and d == 2 and subject in (Subject.REGIONS, Subject.BOUNDARY):
        _mark(ax)
    if not complex.complete and not ax.get_title():
        ax.set_title(f"{len(complex):,} regions found, not all", fontsize="medium")
    return figure, whole


def _draw_plane(complex: RegionComplex, ax: Any, colour: Colour) -> bool:
    """The regions that time allows to outline and colour; the others as points or grey. Whether all are."""
    polygons = outlines_in_time(complex)
    shown = complex if len(polygons) == len(complex) else some_regions(complex, slice(0, len(polygons)))
    short = []
    if len(shown):
        values, label = _colours(shown, colour, polygons)
        plot_regions(shown, ax, values=values, label=label, polygons=polygons)
        grey = int(np.isnan(values).sum())
        if grey:
            short.append(f"time did not allow to colour {grey:,} (grey)")
    rest = complex.interior_points[len(shown) :]
    if len(rest):
        ax.plot(*rest.T, "k.", ms=3)
        short.append(f"a point in each of the {len(rest):,} that time did not allow to outline")
    (left, bottom), (right, top) = complex.domain.bounds
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    if short or not complex.complete:
        found = f"{len(complex):,} regions" + ("" if complex.complete else " found, not all")
        ax.set_title("; ".join([found, *short]), fontsize="medium", wrap=True)
    return not short


def draw_complexity(network: Network, scope: Scope, radius: float | None) -> Figure:
    """Local complexity over a box of a plane.

    Arguments:
        network: on the whole input space.
        scope: a box of two dimensions, perhaps in a window.
        radius: of the neighbourhoods; by default a fiftieth of the box's shorter side in the input space.

    Raises:
        ValueError: the domain is not such a box.
    """
    if scope.domain.dim != 2 or scope.low is None or scope.high is None:
        raise ValueError("Local complexity is drawn over a box of two dimensions: choose a --window.")
    window = scope.window or Slice(np.zeros(2), np.eye(2))
    sides = np.linalg.norm(window.directions, axis=1) * (scope.high - scope.low)
    figure = new_figure()
    low, high = ((float(end[0]), float(end[1])) for end in (scope.low, scope.high))
    chosen = float(sides.min()) / 50 if radius is None else radius
    ax = plot_complexity_map(network, window, chosen, figure.add_subplot(), low=low, high=high)
    if scope.kind == "window" and scope.chosen_by == "user":
        _mark(ax)
    return figure


def _colours(
    complex: RegionComplex, colour: Colour, polygons: Sequence[FloatArray] | None = None
) -> tuple[FloatArray, str]:
    """A number for each region, NaN where time did not allow one, and what it is."""
    if colour is Colour.JACOBIAN:
        return jacobian_norms_in_time(complex), "norm of the Jacobian (Frobenius)"
    sizes = complex.volumes() if polygons is None else np.array([area(polygon) for polygon in polygons])
    return np.log10(np.maximum(sizes, 1e-300)), "decimal logarithm of the volume"


def _mark(ax: Any) -> None:
    """The three points that a window goes through."""
    ax.plot([0, 1, 0], [0, 0, 1], "o", mfc="white", mec="black", ms=6, zorder=5)
