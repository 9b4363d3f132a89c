"""Pictures of the dual graph, and of counts next to the published bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from polytope.ir.maps import FloatArray
from polytope.labelled import log10
from polytope.measures.counting import RegionBounds
from polytope.plots.colours import SERIES
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import RegionCount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 2000
"""Nodes above which edges and nodes are drawn thin, and as pixels also in vector files."""

BOUNDS = {
    "raghu": ("Raghu et al.", "s"),
    "montufar": ("Zaslavsky, Montufar", "D"),
    "serra": ("Serra et al.", "^"),
    "hinz": ("Hinz, van de Geer", "x"),
    "lower": ("some weights reach", "_"),
}


def plot_dual_graph(complex: RegionComplex, ax: Axes | None = None, *, cmap: str = "cividis") -> Axes:
    """Draw the graph of regions: a node at each interior point, an edge where two share a facet.

    Nodes are coloured by their number of neighbours. Beyond two dimensions the interior points are projected
    on the two axes along which they vary most.

    Arguments:
        complex: regions; of a partial complex the edges found are drawn.
        ax: where to draw; a new figure's axes by default.
        cmap: a colour map of matplotlib.

    Raises:
        ValueError: the domain has one dimension only, or no region was found.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> ax = plot_dual_graph(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1])))
        >>> len(ax.collections[0].get_segments()), len(ax.collections[1].get_offsets())
        (4, 4)
    """
    require_regions(complex, "plot_dual_graph")
    if complex.domain.dim < 2 or not len(complex):
        raise ValueError("plot_dual_graph needs at least two dimensions and one region.")
    nodes, names = _places(complex.interior_points)
    pairs = complex.neighbours
    degrees = np.bincount(pairs.ravel(), minlength=len(complex))
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    many = len(complex) > MANY
    width = 0.6 if not many else 0.15
    lines = LineCollection(list(nodes[pairs]), colors="0.6", linewidths=width, rasterized=many)
    ax.add_collection(lines)
    size = float(np.clip(4000 / len(complex), 0.3, 40))
    drawn = ax.scatter(
        nodes[:, 0], nodes[:, 1], c=degrees, s=size, cmap=cmap, zorder=2, linewidths=0, rasterized=many
    )
    ax.set_aspect("equal")
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.figure.colorbar(drawn, ax=ax, label="neighbours")
    return ax


def _places(points: FloatArray) -> tuple[FloatArray, tuple[str, str]]:
    """Points of a plane, or projected on the plane along which they vary most; and the axes' names."""
    if points.shape[1] == 2:
        return points, ("first coordinate", "second coordinate")
    middle = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(middle, full_matrices=False)
    flat = np.zeros((len(points), 2))
    own = middle @ axes[:2].T
    flat[:, : own.shape[1]] = own
    return flat, ("first principal axis of the interior points", "second principal axis")


def plot_region_bounds(
    counts: Mapping[str, tuple[RegionCount | RegionComplex | int, RegionBounds]], ax: Axes | None = None
) -> Axes:
    """Draw counts of regions next to the published bounds for their architectures, on a logarithmic scale.

    A count that a budget stopped is drawn as the interval that is proved. Bounds hold for the whole input
    space, and the lower one for the best weights: a given network in a given domain may have fewer regions.
    The bound 2^N is left out.

    Arguments:
        counts: by the name of a network: its count or complex, and the bounds of its architecture.
        ax: where to draw; a new figure's axes by default.

    Raises:
        ValueError: there is no network.

    Example:
        >>> import polytope as pt
        >>> ax = plot_region_bounds({"2-8-8": (150, pt.region_bounds(widths=[2, 8, 8]))})
        >>> [text.get_text() for text in ax.get_legend().get_texts()][:2]
        ['counted', 'Raghu et al.']
    """
    if not counts:
        raise ValueError("plot_region_bounds: give at least one network.")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ends = [(c, c) if isinstance(c, int) else (c.lower, c.upper) for c, _ in counts.values()]
    low, high = (np.array([log10(max(end[side], 1)) for end in ends]) for side in range(2))
    places = np.arange(len(ends))
    open_ends = np.flatnonzero(high > low)
    if len(open_ends):
        ax.vlines(open_ends, low[open_ends], high[open_ends], color=SERIES[0], lw=3, label="proved interval")
    ax.plot(places, low, "o", color=SERIES[0], ms=7, label="counted", zorder=3)
    shift = np.linspace(-0.2, 0.2, len(BOUNDS))
    for number, (field, (name, marker)) in enumerate(BOUNDS.items()):
        known = [(i, getattr(bounds, field)) for i, (_, bounds) in enumerate(counts.values())]
        given = [(i + shift[number], log10(value)) for i, value in known if value is not None]
        if given:
            colour = "black" if field == "lower" else SERIES[1 + number]
            ax.plot(*zip(*given, strict=True), marker, color=colour, label=name, ms=6)
    ax.set_xticks(places, list(counts), rotation=90 if len(counts) > 5 else 0)
    ax.set_xlim(-0.6, len(counts) - 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(lambda exponent, _: f"$10^{{{exponent:.0f}}}$")
    ax.set_ylabel("regions")
    ax.grid(axis="y", alpha=0.3)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False, fontsize="small")
    return ax
