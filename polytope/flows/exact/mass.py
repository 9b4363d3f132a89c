"""Probabilities under a flow: of its regions, and of a classifier's classes, with the mass left outside."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.special import betaincinv
from torch import nn

from polytope.core.vertex_cells import explore
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.errors import UnboundedDomainError
from polytope.flows.base import Base
from polytope.flows.exact.behind import behind_flow
from polytope.flows.exact.composition import compose
from polytope.flows.exact.lowering import checked_piecewise_linear
from polytope.flows.exact.measure import CUTS, cell_masses, has_closed_form
from polytope.flows.flow import Flow
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, as_domain
from polytope.ir import Dense, Layer, Network, PiecewiseLinear, max_groups, relu, stack
from polytope.ir.algebra import identity
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions

BATCH = 1 << 14


@dataclass(frozen=True, eq=False)
class Masses:
    """Probabilities of regions or classes under a flow, within a domain of its base space.

    Arguments:
        values: ``[n]``; each is the probability of lying in the domain and there.
        lower, upper: ``[n]``, equal to ``values`` in closed form; of an estimate the ends of an interval that
            holds the probability with the probability ``confidence``, each by itself.
        label: "closed form": the regions are exact, and formulas are evaluated at their vertices in float64,
            whose rounding is not bounded; or "estimate".
        outside: the base mass outside the domain, labelled alike; in closed form for boxes.
        confidence: 1 in closed form.
        samples: points that an estimate rests on.
        regions: number of regions that were measured.
        complete: whether all regions of the domain were. Where a budget ended that, ``values`` and ``lower``
            count what was, and each of the others may be anywhere: ``upper`` is larger by ``missing``.
        missing: the base mass of the domain that was not measured, 0 where complete; labelled as ``values``.
            Of a domain that is no box it is told apart from ``outside`` by nothing: then it holds both, and
            ``outside`` is NaN.
    """

    values: FloatArray
    lower: FloatArray
    upper: FloatArray
    label: Literal["closed form", "estimate"]
    outside: float
    confidence: float
    samples: int
    regions: int
    complete: bool = True
    missing: float = 0.0

    __repr__ = one_line


def region_mass(
    flow: Flow,
    domain: DomainLike,
    *,
    samples: int = 100_000,
    confidence: float = 0.99,
    rng: np.random.Generator | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Masses:
    """The probability of every region of a flow in a domain of base space, in the order of ``flow_regions``.

    In closed form in one and two dimensions; for Laplace and uniform bases in up to six. Elsewhere base
    points are drawn, and the intervals are those of Clopper and Pearson.

    Arguments:
        flow: piecewise linear.
        domain: bounded, in base space.
        samples, confidence, rng: of estimates; ``numpy.random.default_rng(0)`` where ``None``.
        max_regions, max_seconds: budgets; what they leave out is ``missing``, and the result not complete.

    Returns:
        Masses of R regions, with ``values [R]``.

    Raises:
        NotPiecewiseLinearError: the flow is not piecewise linear.
        UnboundedDomainError: the domain is unbounded.
        ValueError: ``samples`` is less than 1, or ``confidence`` outside (0, 1).

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> found = flows.region_mass(flows.nice(2, hidden=(4,)), pt.Polyhedron.box([-4, -4], [4, 4]))
        >>> found.label, round(float(found.values.sum()) + found.outside, 12)
        ('closed form', 1.0)
    """
    network = checked_piecewise_linear(flow, "region_mass")
    draws, budget = _Draws(samples, confidence, rng), Budget(max_regions, max_seconds)
    complex = _regions(network, domain, budget, "region_mass")
    return _masses(complex, np.arange(len(complex)), len(complex), flow.base, draws, budget)


def class_mass(
    classifier: Network | nn.Module,
    flow: Flow,
    domain: DomainLike,
    *,
    samples: int = 100_000,
    confidence: float = 0.99,
    rng: np.random.Generator | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Masses:
    """The probability of every class of a classifier under a flow, within a domain of base space.

    The regions of the classifier behind the flow are cut where the class changes, and their masses added.
    The class is the largest output, the first of equal ones; of a scalar output, 1 where it is positive.

    Arguments:
        classifier: a network from data to outputs, or any piecewise-linear torch module.
        flow, domain, samples, confidence, rng, max_regions, max_seconds: see ``region_mass``.

    Returns:
        Masses of K classes, with ``values [K]``; K is 2 for a scalar output.

    Raises:
        NotPiecewiseLinearError: the flow or the classifier is not piecewise linear.
        ValueError: the classifier reads points of another dimension than the flow makes.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> half = pt.mlp([([[1.0, 0.0]], [0.0])])
        >>> flow, square = flows.Flow([flows.ActNorm(2)]), pt.Polyhedron.box([-5, -5], [5, 5])
        >>> found = flows.class_mass(half, flow, square)
        >>> found.values.round(6).tolist()
        [0.499999, 0.499999]
    """
    whole = behind_flow(classifier, flow, "class_mass")
    n = whole.output_dim
    winner_of = max_groups(np.arange(n)[None]) if n > 1 else relu()
    winner = Network((n,), (Layer((0,), (identity(n),), np.zeros(n), winner_of),))
    draws, budget = _Draws(samples, confidence, rng), Budget(max_regions, max_seconds)
    complex = _regions(compose([whole, winner]), domain, budget, "class_mass")
    label = complex.patterns[:, -1].astype(np.int64)
    return _masses(complex, label, max(n, 2), flow.base, draws, budget)


@dataclass(frozen=True, eq=False)
class _Draws:
    """How estimates are drawn."""

    samples: int
    confidence: float
    rng: np.random.Generator | None

    def __post_init__(self) -> None:
        whole = isinstance(self.samples, int | np.integer) and self.samples > 0
        share = isinstance(self.confidence, int | float | np.floating) and 0 < self.confidence < 1
        if not whole or not share:
            raise ValueError(
                "Masses: samples must be positive whole numbers, and confidence lie between 0 and 1, not "
                f"{self.samples!r}, {self.confidence!r}."
            )


def _regions(network: Network, domain: DomainLike, budget: Budget, who: str) -> RegionComplex:
    """The regions of a network in a bounded domain, for half of the time; the other half is for masses."""
    where = bounded(domain, network.input_dim, who)
    half = None if budget.max_seconds is None else budget.max_seconds / 2
    return enumerate_regions(network, where, max_regions=budget.max_regions, max_seconds=half)


def bounded(domain: DomainLike, dim: int, who: str) -> Polyhedron:
    """A bounded domain of base space; a refusal of others before any search.

    Raises:
        UnboundedDomainError: it is unbounded.
        ValueError: it is of another dimension.
        TypeError: it is no domain.
    """
    found = as_domain(domain, dim)
    if not found.is_bounded:
        raise UnboundedDomainError(
            f"{who}: the domain is unbounded; take a box that holds nearly all of the base's mass."
        )
    return found


def _masses(
    complex: RegionComplex, label: IntArray, n: int, base: Base, draws: _Draws, budget: Budget
) -> Masses:
    """The masses of labels of the regions."""
    domain, found = complex.domain, len(complex)
    if not has_closed_form(base, domain.dim):
        return _estimated(complex, label, n, base, draws)
    each, whole = _in_closed_form(complex, base, budget)
    values = np.asarray(np.bincount(label, each, minlength=n), dtype=float)
    outside, missing = _outside(domain, base, float(values.sum())), 0.0
    if not whole:
        outside = outside if domain.is_box else np.nan
        missing = max(1 - np.nan_to_num(outside) - float(values.sum()), 0.0)
    return Masses(values, values, values + missing, "closed form", outside, 1.0, 0, found, whole, missing)


def _estimated(complex: RegionComplex, label: IntArray, n: int, base: Base, draws: _Draws) -> Masses:
    """Masses from samples, with the intervals of Clopper and Pearson."""
    samples = draws.samples
    hits, inside = _hits(
        complex, label, n, base, samples, np.random.default_rng(0 if draws.rng is None else draws.rng)
    )
    lost = 0 if complex.complete else inside - hits.sum()
    tail = (1 - draws.confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(hits, samples - hits + 1, tail), 0.0)
        most = hits + lost
        high = np.where(most < samples, betaincinv(most + 1, samples - most, 1 - tail), 1.0)
    outside = _outside(complex.domain, base, float((hits.sum() + lost) / samples))
    return Masses(
        values=hits / samples,
        lower=low,
        upper=high,
        label="estimate",
        outside=outside,
        confidence=draws.confidence,
        samples=samples,
        regions=len(complex),
        complete=complex.complete,
        missing=float(lost / samples),
    )


def _outside(domain: Polyhedron, base: Base, inside: float) -> float:
    """The base mass outside the domain: of a box from distribution functions, else what is left of 1."""
    if not domain.is_box:
        return max(1 - inside, 0.0)
    box = domain.bounds if domain.is_bounded else None
    assert box is not None, "a box is bounded"
    return 1 - base.box_mass(*box)


def _in_closed_form(complex: RegionComplex, base: Base, budget: Budget) -> tuple[FloatArray, bool]:
    """The mass of every region, from cells that no cut of the base's density crosses; whether that is all."""
    d, places, network = complex.domain.dim, CUTS.get(base.name, ()), complex.network
    if places:
        slopes, offsets = np.ones((1, len(places) + 1)), np.zeros((1, len(places) + 1))
        cut = PiecewiseLinear(np.array([places]), slopes, offsets)
        network = stack(network, Network((d,), (Layer((0,), (Dense(np.eye(d)),), np.zeros(d), cut),)))
    rest, units = Budget(budget.max_regions, budget.rest), complex.network.n_units
    cells = explore(network, complex.domain, keep="vertices", max_regions=rest.max_regions, limits=rest)
    number = {pattern.tobytes(): i for i, pattern in enumerate(complex.patterns)}
    owner = [number.get(np.ascontiguousarray(pattern[:units]).tobytes(), -1) for pattern in cells.patterns]
    ends = cells.vertices.offsets
    corners = [
        cells.vertices.points[a:b] for k, (a, b) in enumerate(pairwise(ends.tolist())) if owner[k] >= 0
    ]
    known = np.array([k for k in owner if k >= 0], dtype=np.int64)
    each = np.bincount(known, cell_masses(base, corners, d), minlength=len(complex))
    return np.asarray(each, dtype=float), complex.complete and not cells.open_cells


def _hits(
    complex: RegionComplex, label: IntArray, n: int, base: Base, samples: int, rng: np.random.Generator
) -> tuple[FloatArray, int]:
    """How many base samples fall into the regions of each label, and into the domain."""
    number = {pattern.tobytes(): int(k) for pattern, k in zip(complex.patterns, label, strict=True)}
    hits, inside = np.zeros(n), 0
    for start in range(0, samples, BATCH):
        z = base.draw(rng, (min(BATCH, samples - start), complex.domain.dim))
        z = z[complex.domain.contains(z)]
        inside += len(z)
        for pattern in complex.network.pattern(z):
            if pattern.tobytes() in number:
                hits[number[pattern.tobytes()]] += 1
    return hits, inside
