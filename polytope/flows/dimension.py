r"""Intrinsic dimension of data: from distances to nearest neighbours, and from the spectra of flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from polytope.flows.flow import Flow
from polytope.flows.geometry import jacobian_spectrum
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line_of_estimates

Method = Literal["mle", "two_nn", "jacobian_gap", "noise_slope"]


@dataclass(frozen=True, eq=False)
class Dimension:
    """An estimate of the dimension of the manifold that data lie near.

    Arguments:
        value: over all points.
        local: ``[B]``, at each point; all ``value`` where the method has none.
        method: which one.
    """

    value: float
    local: FloatArray
    method: Method

    __repr__ = one_line_of_estimates


def intrinsic_dimension(
    points: ArrayLike,
    method: Method = "two_nn",
    *,
    neighbours: int = 10,
    flows: Flow | Mapping[float, Flow] | None = None,
) -> Dimension:
    r"""The dimension of the manifold that points lie near. An estimate.

    ================ =====================================================================================
    method           value
    ================ =====================================================================================
    ``mle``          inverse of the mean over points of :math:`\frac1{k-1} \sum_{j<k} \log (T_k / T_j)`, with
                     :math:`T_j` the distance to the j-th neighbour (the local values are its inverses)
    ``two_nn``       slope of the line through the origin fitted to :math:`-\log (1 - F)` against
                     :math:`\log (T_2 / T_1)`, F their distribution, without the largest tenth of ratios
    ``jacobian_gap`` mean place of the largest drop in the sorted log singular values of a flow's Jacobian
    ``noise_slope``  mean number of singular values that do not fall with the width of the noise that flows
                     were fitted with: slope below 1/2 of log value against log width
    ================ =====================================================================================

    Arguments:
        points: data, ``[N, D]``; those that coincide are counted once.
        method: as above.
        neighbours: k of ``mle``, at least 3.
        flows: for ``jacobian_gap`` one flow; for ``noise_slope`` flows by the width of their noise.

    Returns:
        The estimate over all points, and at each point where the method has one.

    Raises:
        ValueError: too few points, numbers that are not finite, or flows missing.

    References:
        Levina, Bickel (2004), "Maximum Likelihood Estimation of Intrinsic Dimension"; the mean of inverses:
        MacKay, Ghahramani (2005), http://www.inference.org.uk/mackay/dimension/;
        Facco, d'Errico, Rodriguez, Laio (2017), "Estimating the intrinsic dimension of datasets by a minimal
        neighborhood information", https://doi.org/10.1038/s41598-017-11873-y;
        Horvat, Pfister (2022), "Intrinsic dimensionality estimation using Normalizing Flows",
        https://openreview.net/forum?id=_qjPFNbxxMV

    Example:
        >>> import numpy as np
        >>> from polytope import flows
        >>> t = np.random.default_rng(0).random((2000, 2))
        >>> plane = t @ [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]
        >>> round(flows.intrinsic_dimension(plane, "two_nn").value)
        2
    """
    rows = np.asarray(points, dtype=float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError("intrinsic_dimension: points must be finite, [N, D].")
    if method == "mle":
        return _mle(rows, neighbours)
    if method == "two_nn":
        return _two_nn(rows)
    if method == "jacobian_gap":
        if not isinstance(flows, Flow):
            raise ValueError("intrinsic_dimension: jacobian_gap needs flows=, a flow fitted to the points.")
        return _jacobian_gap(rows, flows)
    if method == "noise_slope":
        if not isinstance(flows, Mapping) or len(flows) < 2:
            raise ValueError(
                "intrinsic_dimension: noise_slope needs flows=, two or more by the width of noise."
            )
        return _noise_slope(rows, flows)
    raise ValueError(f"intrinsic_dimension: there is no method {method!r}.")


def _distances(rows: FloatArray, k: int) -> FloatArray:
    """Distances to the k nearest other points, ``[N, k]``, of distinct points."""
    distinct = np.unique(rows, axis=0)
    if len(distinct) <= k:
        raise ValueError(
            f"intrinsic_dimension: more than {k} distinct points are needed, not {len(distinct)}."
        )
    found, _ = KDTree(distinct).query(distinct, k + 1)
    return np.asarray(found, dtype=float)[:, 1:]


def _mle(rows: FloatArray, k: int) -> Dimension:
    if k < 3:
        raise ValueError(f"intrinsic_dimension: mle needs at least 3 neighbours, not {k}.")
    T = _distances(rows, k)
    inverse = np.log(T[:, -1:] / T[:, :-1]).mean(axis=1)
    with np.errstate(divide="ignore"):
        local = np.where(inverse > 0, 1 / inverse, np.inf)
    return Dimension(float(1 / inverse.mean()), local, "mle")


def _two_nn(rows: FloatArray, kept: float = 0.9) -> Dimension:
    T = _distances(rows, 2)
    ratio = np.sort(np.log(T[:, 1] / T[:, 0]))
    n = len(ratio)
    used = slice(0, max(int(kept * n), 1))
    rise = -np.log(1 - np.arange(1, n + 1)[used] / (n + 1))
    slope = float(ratio[used] @ rise / (ratio[used] @ ratio[used]))
    return Dimension(slope, np.full(n, slope), "two_nn")


def _jacobian_gap(rows: FloatArray, flow: Flow) -> Dimension:
    drop = -np.diff(np.log(jacobian_spectrum(flow, rows)), axis=1)
    local = 1.0 + drop.argmax(axis=1)
    return Dimension(float(local.mean()), local, "jacobian_gap")


def _noise_slope(rows: FloatArray, flows: Mapping[float, Flow]) -> Dimension:
    widths = np.array(sorted(flows))
    if not widths[0] > 0:
        raise ValueError("intrinsic_dimension: widths of noise must be positive.")
    spectra = np.stack([np.log(jacobian_spectrum(flows[width], rows)) for width in widths])
    place = np.log(widths) - np.log(widths).mean()
    slope = np.tensordot(place, spectra, axes=1) / (place @ place)
    local = (slope < 0.5).sum(axis=1).astype(float)
    return Dimension(float(local.mean()), local, "noise_slope")
