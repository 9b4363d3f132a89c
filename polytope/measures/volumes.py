"""Volumes of regions: with proved bounds up to six dimensions, estimates with confidence intervals above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from polytope.errors import UnboundedDomainError
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.labelled import Label
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex

MOST_PROVED = 6  # dimensions up to which volumes are computed from vertices
NARROW = 1e-8  # widths of intervals, relative to the volume, that count as rounding
BATCH = 1 << 14


@dataclass(frozen=True, eq=False)
class Volumes:
    """The volume of every region, in their order.

    Arguments:
        values: ``[R]``.
        lower, upper: ``[R]``, the ends of an interval that holds the volume of a region: proved, or of an
            estimate with the probability ``confidence``, each region by itself.
        label: "exact" where all intervals are proved, and none is wider than 1e-8 of its volume; "bound"
            where all are proved; else "estimate".
        confidence: 1 where proved.
        samples: points that an estimate rests on.
    """

    values: FloatArray
    lower: FloatArray
    upper: FloatArray
    label: Label
    confidence: float
    samples: int

    __repr__ = one_line


def region_volumes(
    complex: RegionComplex,
    *,
    samples: int = 100_000,
    confidence: float = 0.99,
    rng: np.random.Generator | None = None,
) -> Volumes:
    r"""Volumes of the regions, by their vertices for d <= 6 and by random points above.

    By vertices: sums of float64 determinants whose rounding, and that of the vertices, is bounded; where the
    bound is above a 256th of a volume, rational ones. ``Region.volume`` is rational for every region.
    Above, n uniform points of the domain's bounding box fall into a region k times: its volume is estimated
    by k / n times the box's, between the Clopper-Pearson bounds of the binomial proportion.

    Arguments:
        complex: regions, all or some; those of an unbounded domain have no volume.
        samples: n, for d > 6.
        confidence: of each interval.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        ValueError: no samples, or a confidence outside (0, 1).
        UnboundedDomainError: a region (above six dimensions: the domain) is unbounded.

    References: Clopper, Pearson (1934), "The Use of Confidence or Fiducial Limits Illustrated in the Case of
        the Binomial", https://doi.org/10.1093/biomet/26.4.404

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0]], [-0.5]), ([[1.0]], [0.0])])
        >>> found = region_volumes(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        >>> sorted(found.values.tolist()), found.label
        ([0.5, 1.5], 'exact')
    """
    require_regions(complex, "region_volumes")
    if samples < 1 or not 0 < confidence < 1:
        raise ValueError("region_volumes: samples must be positive, and confidence lie between 0 and 1.")
    if complex.domain.dim <= MOST_PROVED:
        values, errors = complex.proved_volumes()
        lower = np.maximum(np.nextafter(values - errors, -np.inf), 0.0)
        upper = np.nextafter(values + errors, np.inf)
        narrow = bool((upper - lower <= NARROW * values).all())
        return Volumes(values, lower, upper, "exact" if narrow else "bound", 1.0, 0)
    box = complex.domain.bounds if complex.domain.is_bounded else None
    if box is None:
        raise UnboundedDomainError("Volumes are estimated in bounded domains; intersect this one with a box.")
    hits = _hits(complex, box, samples, np.random.default_rng(0 if rng is None else rng))
    size = float(np.prod(box[1] - box[0]))
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(hits, samples - hits + 1, tail), 0.0)
        high = np.where(hits < samples, betaincinv(hits + 1, samples - hits, 1 - tail), 1.0)
    return Volumes(hits / samples * size, low * size, high * size, "estimate", confidence, samples)


def _hits(complex: RegionComplex, box: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """How many of n uniform points of the box fall into each region."""
    number = {pattern.tobytes(): i for i, pattern in enumerate(complex.patterns)}
    hits = np.zeros(len(complex))
    for start in range(0, n, BATCH):
        x = box[0] + (box[1] - box[0]) * rng.random((min(BATCH, n - start), box.shape[1]))
        x = x[complex.domain.contains(x)]
        for pattern in complex.network.pattern(x):
            i = number.get(pattern.tobytes(), -1)
            if i >= 0:
                hits[i] += 1
    return hits
