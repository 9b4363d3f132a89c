"""Regions as a table, one row each, and as GeoJSON polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from polytope.ir.maps import FloatArray
from polytope.regions.outlines import outlines
from polytope.regions.region import Regions

if TYPE_CHECKING:
    from pandas import DataFrame

TOGETHER = 256  # regions whose outputs are computed at once


def to_pandas(complex: Regions) -> DataFrame:
    """A table of one row a region, numbered as in the complex.

    ============== ======================================================================================
    ``x0``, ...    a point strictly inside
    ``label``      the class there: the greatest output's place, or 1 where the only one is positive; an
                   estimate in float64
    ``on``         how many units are on another piece than their first
    ``neighbours`` how many of these regions share a facet with it
    ``volume``     where the domain is bounded; as of ``volumes``
    ``y0``, ...    the outputs at the point, in float64
    ============== ======================================================================================

    ``attrs["complete"]`` says whether these are all regions of the domain.

    Arguments:
        complex: the regions.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas.") from error
    table = pd.DataFrame(columns(complex))
    table.index.name = "region"
    table.attrs["complete"] = complex.complete
    return table


def columns(complex: Regions) -> dict[str, Any]:
    """The columns of the table.

    Arguments:
        complex: the regions.
    """
    points, outputs = complex.interior_points, _outputs(complex)
    labels = (outputs[:, 0] > 0).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    found: dict[str, Any] = {f"x{i}": points[:, i] for i in range(points.shape[1])}
    found["label"] = labels
    found["on"] = (complex.patterns != 0).sum(axis=1)
    found["neighbours"] = np.diff(complex.adjacency_matrix().indptr)
    if complex.domain.is_bounded:
        found["volume"] = complex.volumes()
    return found | {f"y{i}": outputs[:, i] for i in range(outputs.shape[1])}


def _outputs(complex: Regions) -> FloatArray:
    """The network's values at the interior points, ``[R, out]``."""
    points = complex.interior_points
    parts = [complex.network(points[i : i + TOGETHER]) for i in range(0, len(points), TOGETHER)]
    return np.concatenate([*parts, np.zeros((0, complex.network.output_dim))])


def to_geojson(complex: Regions) -> dict[str, Any]:
    """The regions of a bounded plane as a GeoJSON ``FeatureCollection`` of polygons.

    Rings are closed and counterclockwise, in the coordinates of the domain; ``properties`` are the columns of
    ``to_pandas``, ``id`` the region's number. ``complete`` says whether these are all regions of the domain.

    Arguments:
        complex: the regions.

    Raises:
        ValueError: the domain is not two-dimensional.
        UnboundedDomainError: the domain is unbounded.
    """
    rings = [[*polygon.tolist(), polygon[0].tolist()] for polygon in outlines(complex)]
    table = {name: np.asarray(column).tolist() for name, column in columns(complex).items()}
    features = [
        {
            "type": "Feature",
            "id": i,
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {name: column[i] for name, column in table.items()},
        }
        for i, ring in enumerate(rings)
    ]
    return {"type": "FeatureCollection", "features": features, "complete": complex.complete}
