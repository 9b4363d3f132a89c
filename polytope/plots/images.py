"""Pictures of images: two outputs of a network, one polygon a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from numpy.typing import ArrayLike

from polytope.measures.images import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_image(
    found: Image,
    ax: Axes | None = None,
    *,
    values: ArrayLike | None = None,
    label: str = "region",
    cmap: str = "viridis",
) -> Axes:
    """Draw two outputs on all regions: polygons that may overlap, segments and points.

    Arguments:
        found: an image of two outputs; ``image(complex, outputs=(0, 3))`` is the projection to two of many.
        ax: where to draw; a new figure's axes by default.
        values: ``[R]``, one number a region that colours it; its number by default.
        label: what the numbers are; named beside the colour bar.
        cmap: a colour map of matplotlib.

    Returns:
        The axes; ``ax.figure.savefig(path)`` writes the picture.

    Raises:
        ValueError: the image has not two outputs, or there is not one value for each region.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 1.0], [1.0, -1.0]], [0.0, 0.0]), ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])])
        >>> ax = plot_image(pt.image(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1]))))
        >>> [len(drawn.get_paths()) for drawn in ax.collections[:2]]  # a polygon; two segments; the point 0
        [1, 2]
    """
    if len(found.outputs) != 2:
        raise ValueError(f"plot_image draws two outputs; this image has {len(found.outputs)}.")
    colours = np.asarray(range(len(found)) if values is None else values, dtype=float)
    if colours.shape != (len(found),):
        raise ValueError(f"values: one number for each of {len(found)} regions, got {colours.shape}.")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    parts = [np.flatnonzero(found.dimensions == k) for k in (2, 1, 0)]
    shapes = [[found.points[i] for i in part.tolist()] for part in parts]
    ends = (colours.min(), colours.max()) if len(colours) else (0.0, 1.0)
    polygons = PolyCollection(shapes[0], array=colours[parts[0]], cmap=cmap, alpha=0.7, linewidths=0.3)
    for drawn in (polygons, LineCollection(shapes[1], array=colours[parts[1]], cmap=cmap)):
        drawn.set_clim(*ends)
        ax.add_collection(drawn)
    dots = np.concatenate([*shapes[2], np.zeros((0, 2))])
    ax.scatter(
        dots[:, 0], dots[:, 1], c=colours[parts[2]], cmap=cmap, s=9, vmin=ends[0], vmax=ends[1], zorder=2
    )
    ax.autoscale_view()
    ax.set_xlabel(f"output {found.outputs[0]}")
    ax.set_ylabel(f"output {found.outputs[1]}")
    ax.figure.colorbar(polygons, ax=ax, label=label)
    return ax
