"""Probabilities under a flow: of its regions, and of a classifier's classes, with the mass left outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import betaincinv
from torch import nn

from polytope.flows.base import Base
from polytope.flows.exact.composition import compose
from polytope.flows.exact.lowering import checked_piecewise_linear
from polytope.flows.exact.measure import CUTS, cell_masses, has_closed_form
from polytope.flows.flow import Flow
from polytope.flows.layers.conditioner import conditioner_network
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Dense, Layer, Network, PiecewiseLinear, max_groups, relu, stack
from polytope.ir.algebra import identity
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.regions.cell_vertices import cell_vertices
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
    """

    values: FloatArray
    lower: FloatArray
    upper: FloatArray
    label: Literal["closed form", "estimate"]
    outside: float
    confidence: float
    samples: int
    regions: int

    __repr__ = one_line


def region_mass(
    flow: Flow,
    domain: Polyhedron,
    *,
    samples: int = 100_000,
    confidence: float = 0.99,
    rng: np.random.Generator | None = None,
) -> Masses:
    """The probability of every region of a flow in a domain of base space, in the order of ``flow_regions``.

    In closed form in one and two dimensions; for Laplace and uniform bases in up to six. Elsewhere base
    points are drawn, and the intervals are those of Clopper and Pearson.

    Arguments:
        flow: piecewise linear.
        domain: bounded, in base space.
        samples, confidence, rng: of estimates; ``numpy.random.default_rng(0)`` where ``None``.

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
    complex = enumerate_regions(checked_piecewise_linear(flow, "region_mass"), domain)
    return _masses(complex, np.arange(len(complex)), len(complex), flow.base, samples, confidence, rng)


def class_mass(
    classifier: Network | nn.Module,
    flow: Flow,
    domain: Polyhedron,
    *,
    samples: int = 100_000,
    confidence: float = 0.99,
    rng: np.random.Generator | None = None,
) -> Masses:
    """The probability of every class of a classifier under a flow, within a domain of base space.

    The regions of the classifier behind the flow are cut where the class changes, and their masses added.
    The class is the largest output, the first of equal ones; of a scalar output, 1 where it is positive.

    Arguments:
        classifier: a network from data to outputs, or a torch Sequential of piecewise-linear modules.
        flow, domain, samples, confidence, rng: see ``region_mass``.

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
    complex = enumerate_regions(compose([whole, winner]), domain)
    label = complex.patterns[:, -1].astype(np.int64)
    return _masses(complex, label, max(n, 2), flow.base, samples, confidence, rng)


def behind_flow(classifier: Network | nn.Module, flow: Flow, who: str) -> Network:
    """The classifier's network behind the flow's, as a function of base points.

    Raises:
        NotPiecewiseLinearError: one of them is not piecewise linear.
        ValueError: they do not fit.
    """
    network = checked_piecewise_linear(flow, who)
    if not isinstance(classifier, Network):
        if not isinstance(classifier, nn.Module):
            raise TypeError(
                f"{who}: the classifier must be a Network or a torch module, not {type(classifier)}."
            )
        classifier = conditioner_network(classifier, flow.dim)
    if classifier.input_dim != flow.dim:
        raise ValueError(
            f"{who}: the classifier reads R^{classifier.input_dim}, the flow makes R^{flow.dim}."
        )
    return compose([network, classifier])


def _masses(
    complex: RegionComplex,
    label: IntArray,
    n: int,
    base: Base,
    samples: int,
    confidence: float,
    rng: np.random.Generator | None,
) -> Masses:
    """The masses of labels of the regions."""
    if samples < 1 or not 0 < confidence < 1:
        raise ValueError("Masses: samples must be positive, and confidence lie between 0 and 1.")
    domain = complex.domain
    if has_closed_form(base, domain.dim):
        values = np.asarray(np.bincount(label, _in_closed_form(complex, base), minlength=n), dtype=float)
        outside = _outside(domain, base, float(values.sum()))
        return Masses(values, values, values, "closed form", outside, 1.0, 0, len(complex))
    hits = _hits(complex, label, n, base, samples, rng or np.random.default_rng(0))
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(hits, samples - hits + 1, tail), 0.0)
        high = np.where(hits < samples, betaincinv(hits + 1, samples - hits, 1 - tail), 1.0)
    outside = _outside(domain, base, float(hits.sum() / samples))
    return Masses(hits / samples, low, high, "estimate", outside, confidence, samples, len(complex))


def _outside(domain: Polyhedron, base: Base, inside: float) -> float:
    """The base mass outside the domain: of a box from distribution functions, else what is left of 1."""
    if not domain.is_box:
        return max(1 - inside, 0.0)
    box = domain.bounds if domain.is_bounded else None
    assert box is not None, "a box is bounded"
    return 1 - base.box_mass(*box)


def _in_closed_form(complex: RegionComplex, base: Base) -> FloatArray:
    """The mass of every region, from cells that no cut of the base's density crosses."""
    d, places = complex.domain.dim, CUTS[base.name]
    if not places:
        return cell_masses(base, cell_vertices(complex), d)
    cut = PiecewiseLinear(np.array([places]), np.ones((1, len(places) + 1)), np.zeros((1, len(places) + 1)))
    walls = Network((d,), (Layer((0,), (Dense(np.eye(d)),), np.zeros(d), cut),))
    finer = enumerate_regions(stack(complex.network, walls), complex.domain)
    number = {pattern.tobytes(): i for i, pattern in enumerate(complex.patterns)}
    units = complex.network.n_units
    owner = [number[np.ascontiguousarray(pattern[:units]).tobytes()] for pattern in finer.patterns]
    masses = cell_masses(base, cell_vertices(finer), d)
    return np.asarray(np.bincount(owner, masses, minlength=len(complex)), dtype=float)


def _hits(
    complex: RegionComplex, label: IntArray, n: int, base: Base, samples: int, rng: np.random.Generator
) -> FloatArray:
    """How many base samples fall into the regions of each label."""
    number = {pattern.tobytes(): int(k) for pattern, k in zip(complex.patterns, label, strict=True)}
    hits = np.zeros(n)
    for start in range(0, samples, BATCH):
        z = base.draw(rng, (min(BATCH, samples - start), complex.domain.dim))
        z = z[complex.domain.contains(z)]
        for pattern in complex.network.pattern(z):
            if pattern.tobytes() in number:
                hits[number[pattern.tobytes()]] += 1
    return hits
