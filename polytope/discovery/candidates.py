"""Candidates: affine laws with small denominators that networks of several seeds agree on; the evidence.

A network that was trained to integers is no affine map: its pieces differ a little. A candidate says how many
seeds round to it, on what share of the rows the region's own map does, and how far the networks are from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from polytope.discovery.fits import fitted
from polytope.discovery.laws import Law
from polytope.discovery.rounding import asked, near, no_prediction
from polytope.discovery.shares import by_seed, percent
from polytope.discovery.studies import Study
from polytope.discovery.suprema import on_domain
from polytope.discovery.visited import Affine, Visited
from polytope.engines.amounts import Seconds
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.labelled import Exact, Missing, Number, enclosing

Source = Literal["least squares", "regions"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """An affine law that networks suggest, or a piece of one, and the evidence for it.

    Arguments:
        law: with rational coefficients; a conjecture.
        source: what was rounded: "least squares" of a network's outputs on all rows, or "regions": slopes of
            the regions that rows visit.
        estimates: ``[seeds, d + 1]``, slopes and constant before rounding, NaN of a seed without any;
            **estimates**.
        agreeing: seeds that round to it.
        shares: ``[seeds]``, the share of the rows in whose region the network's slopes are within the
            tolerance of the law's: exact about the regions, which evaluation in float64 finds. A row on
            breakpoints, whose pattern holds on no set with interior, counts for no law.
        sup_visited: for each seed the largest ``|network - law|`` on the regions that rows visit, cut to the
            domain; of a piece, on the regions that round to it. **Exact**; missing where there is none.
        sup_domain: the same on the whole domain; **bounds**, or not computed.
    """

    law: Law
    source: Source
    estimates: FloatArray
    agreeing: int
    shares: FloatArray
    sup_visited: tuple[Number, ...]
    sup_domain: tuple[Number, ...]

    __repr__ = one_line

    @property
    def spread(self) -> FloatArray:
        """Standard deviations of the estimates over seeds, ``[d + 1]``."""
        found: FloatArray = np.nanstd(self.estimates, axis=0, ddof=1)
        return found

    def __str__(self) -> str:
        low, high = percent(self.shares.min()), percent(self.shares.max())
        seeds = f"{self.agreeing} of {len(self.shares)} seeds ({self.source})"
        text = f"{self.law}: {seeds}, {low} to {high} of rows"
        for what, numbers in (("visited regions", self.sup_visited), ("domain", self.sup_domain)):
            said = by_seed(numbers)
            text += "" if said is None else f"; sup on the {what} {said}"
        return text


@dataclass(frozen=True, eq=False)
class Findings:
    """What a study suggests.

    Arguments:
        candidates: affine laws, or the pieces of one law; may be none.
        law: the first candidate's, or that of all pieces together; ``None`` without a candidate.
        said: why there is none, or how many were found.
        sup_domain: of the law of several pieces, for each seed the largest ``|network - law|`` on the domain;
            **bounds**.
    """

    candidates: tuple[Candidate, ...]
    law: Law | None
    said: str
    sup_domain: tuple[Number, ...] = ()

    __repr__ = one_line

    def __str__(self) -> str:
        return "\n".join([self.said, *(f"  {candidate}" for candidate in self.candidates)])


def formula(
    study: Study, *, max_denominator: int = 1, tolerance: float = 0.05, max_seconds: Seconds | None = 2.0
) -> Findings:
    """The affine laws to which most seeds round, from least squares of outputs and from regions.

    Slopes are rounded one by one; the constant is what is left of the outputs on average, rounded. Whether a
    candidate is true is another question: ``check`` answers it.

    Arguments:
        study: networks and their table.
        max_denominator: of the rational numbers that are candidates.
        tolerance: how far an estimate may be from the number that it is rounded to.
        max_seconds: for the supremum on the domain of each network; 0 leaves it out.

    Raises:
        TypeError: it is no study, or an amount is no number.
        ValueError: the denominator is less than 1, the tolerance is not positive, or the time is negative.
        EmptyDomainError: a column is constant, and the table has no domain.
    """
    max_denominator = asked(study, "formula", max_denominator, tolerance, max_seconds)
    if not study.predicts:
        return Findings((), None, no_prediction(study))
    outputs, X = study.outputs(), study.table.X
    visited = [Visited.of(network, X, study.table.where) for network in study.networks]
    candidates: list[Candidate] = []
    for source in get_args(Source):
        estimates = _estimates(X, outputs, visited, source)
        found = [
            _rounded(row[:-1], X, values, max_denominator, tolerance)
            for row, values in zip(estimates, outputs, strict=True)
        ]
        for affine in dict.fromkeys(affine for affine in found if affine is not None):
            agreeing = found.count(affine)
            known = any((*c.law.slopes[0], c.law.constants[0]) == affine for c in candidates)
            if 2 * agreeing > len(found) and not known:
                candidates.append(
                    _candidate(study, visited, affine, source, estimates, agreeing, tolerance, max_seconds)
                )
    if not candidates:
        return Findings(
            (),
            None,
            f"No candidate: no affine law with denominators up to {max_denominator} is within {tolerance:g} "
            "of the estimates of most seeds.",
        )
    return Findings(tuple(candidates), candidates[0].law, f"Candidates: {len(candidates)}.")


def _estimates(X: FloatArray, outputs: FloatArray, visited: Sequence[Visited], source: Source) -> FloatArray:
    """Slopes and constants ``[seeds, d + 1]`` of the networks: of least squares, or medians over rows."""
    found = []
    for values, one in zip(outputs, visited, strict=True):
        row = fitted(X, values)
        if source == "regions":
            inside = one.region[one.solid[one.region]]
            row[:-1] = np.median(one.slopes[inside], axis=0) if len(inside) else np.nan
            row[-1] = (values - X @ row[:-1]).mean()
        found.append(row)
    return np.array(found)


def _rounded(
    slopes: FloatArray, X: FloatArray, values: FloatArray, max_denominator: int, tolerance: float
) -> Affine | None:
    """The rational numbers that slopes, and then the constant, are within a tolerance of."""
    told = [near(v, max_denominator, tolerance) for v in slopes.tolist()]
    if None in told:
        return None
    found = [v for v in told if v is not None]
    constant = near(float((values - X @ np.array(found, dtype=float)).mean()), max_denominator, tolerance)
    return None if constant is None else (*found, constant)


def _candidate(
    study: Study,
    visited: Sequence[Visited],
    affine: Affine,
    source: Source,
    estimates: FloatArray,
    agreeing: int,
    tolerance: float,
    max_seconds: Seconds | None,
) -> Candidate:
    """A candidate with its evidence."""
    table = study.table
    law = Law(table.names, table.target, (affine[:-1],), (affine[-1],), ((0,),))
    shares = [
        share_of(one, [k for k in one.solids if alike(one.maps[k], affine, tolerance)]) for one in visited
    ]
    return Candidate(
        law,
        source,
        estimates,
        agreeing,
        np.array(shares),
        tuple(supremum(one, affine, range(len(one.patterns))) for one in visited),
        on_domain(study, law, max_seconds),
    )


def alike(found: Affine, law: Affine, tolerance: float) -> bool:
    """Whether all slopes are within a tolerance of a law's, in fractions."""
    return all(abs(v - w) <= tolerance for v, w in zip(found[:-1], law[:-1], strict=True))


def share_of(visited: Visited, regions: Sequence[int]) -> float:
    """The share of the rows that lie in some of the regions."""
    return float(np.isin(visited.region, regions).mean())


def supremum(visited: Visited, law: Affine, regions: Sequence[int]) -> Number:
    """The supremum of a network's distance on regions, as a number."""
    exact = visited.supremum(law, regions)
    if exact is None:
        return Missing("no region")
    found = enclosing(exact)
    return Exact(float(found), "regions that rows visit") if found.label == "exact" else found.number
