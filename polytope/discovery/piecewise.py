"""Pieces of a law: rational affine maps to which the regions that rows visit round, and the law they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polytope.discovery.asking import amount
from polytope.discovery.candidates import Candidate, Findings, share_of, supremum
from polytope.discovery.laws import Law, lattice_law
from polytope.discovery.rounding import asked, near, no_prediction
from polytope.discovery.shares import percent
from polytope.discovery.studies import Study
from polytope.discovery.suprema import on_domain
from polytope.discovery.visited import Affine, Visited
from polytope.engines.amounts import Seconds
from polytope.ir.maps import FloatArray
from polytope.labelled import nearest

Owners = list[Affine | None]  # what each region rounds to


def pieces(
    study: Study,
    *,
    max_denominator: int = 1,
    tolerance: float = 0.1,
    least_share: float = 0.02,
    max_seconds: Seconds | None = 2.0,
) -> Findings:
    """The pieces of a piecewise law: affine maps to which regions of most seeds round, largest share first.

    The law that they make together is a maximum of minima of them, as the rows order them.

    Arguments:
        study: networks and their table.
        max_denominator: of the rational numbers that are candidates.
        tolerance: how far each slope of a region may be from the number that it is rounded to; its constant
            is rounded to the nearest such number, however far.
        least_share: of the rows, which a piece must have in most seeds.
        max_seconds: for the supremum on the domain of each network; 0 leaves it out.

    Raises:
        TypeError: it is no study, or an amount is no number.
        ValueError: the denominator is less than 1, the tolerance or the share is not positive, the share is 1
            or more, or the time is negative.
        EmptyDomainError: a column is constant, and the table has no domain.
    """
    max_denominator = asked(study, "pieces", max_denominator, tolerance, max_seconds)
    if amount(least_share, "pieces: least_share") >= 1:
        raise ValueError("pieces: least_share lies between 0 and 1.")
    if not study.predicts:
        return Findings((), None, no_prediction(study))
    table, outputs = study.table, study.outputs()
    visited = [Visited.of(network, table.X, table.where) for network in study.networks]
    owners = [
        _owners(one, table.X, values, max_denominator, tolerance)
        for one, values in zip(visited, outputs, strict=True)
    ]
    shares = {
        affine: np.array(
            [share_of(one, _regions(own, affine)) for one, own in zip(visited, owners, strict=True)]
        )
        for affine in dict.fromkeys(affine for own in owners for affine in own if affine is not None)
    }
    kept = [a for a, share in shares.items() if 2 * (share >= least_share).sum() > len(share)]
    kept.sort(key=lambda affine: -shares[affine].mean())
    if not kept:
        return Findings((), None, f"No piece has {percent(least_share)} of the rows in most seeds.")
    candidates = tuple(_piece(study, visited, owners, affine, shares[affine], least_share) for affine in kept)
    slopes, constants = [a[:-1] for a in kept], [a[-1] for a in kept]
    law = lattice_law(table.names, table.target, slopes, constants, table.X, table.y)
    covered = [
        share_of(one, [k for k, affine in enumerate(own) if affine in kept])
        for one, own in zip(visited, owners, strict=True)
    ]
    said = f"Pieces: {len(kept)}, of {percent(min(covered))} to {percent(max(covered))} of the rows. {law}"
    return Findings(candidates, law, said, on_domain(study, law, max_seconds))


def _owners(
    visited: Visited, X: FloatArray, values: FloatArray, max_denominator: int, tolerance: float
) -> Owners:
    """What each region rounds to: its slopes, and what they leave of the outputs of its rows on average."""
    out: Owners = []
    for k, found in enumerate(visited.maps):
        told = [near(v, max_denominator, tolerance) for v in found[:-1]] if visited.solid[k] else [None]
        slopes = [v for v in told if v is not None]
        if len(slopes) < len(told):
            out.append(None)
            continue
        own = visited.region == k
        left = float((values[own] - X[own] @ np.array(slopes, dtype=float)).mean())
        constant = near(left, max_denominator, 1.0)  # an integer is within 1, up to 2^53
        out.append(None if constant is None else (*slopes, constant))
    return out


def _regions(owners: Owners, affine: Affine) -> list[int]:
    return [k for k, own in enumerate(owners) if own == affine]


def _piece(
    study: Study,
    visited: Sequence[Visited],
    owners: Sequence[Owners],
    affine: Affine,
    shares: FloatArray,
    least_share: float,
) -> Candidate:
    """A piece with its evidence: of its own regions, and none on the whole domain."""
    table, estimates, suprema = study.table, [], []
    for one, own in zip(visited, owners, strict=True):
        regions = _regions(own, affine)
        rows = np.isin(one.region, regions)
        table_of = np.array([[nearest(v)[0] for v in found] for found in one.maps])
        some = table_of[one.region[rows]]
        estimates.append(some.mean(axis=0) if len(some) else np.full(len(affine), np.nan))
        suprema.append(supremum(one, affine, regions))
    law = Law(table.names, table.target, (affine[:-1],), (affine[-1],), ((0,),))
    agreeing = int((shares >= least_share).sum())
    return Candidate(law, "regions", np.array(estimates), agreeing, shares, tuple(suprema), ())
