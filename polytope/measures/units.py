r"""How the units are used in a domain: dead (constant), always on (affine), or crossing a breakpoint.

A unit that is on one piece p throughout the domain is *fixed*; it is *dead* if the slope of p is 0, and
*always on* otherwise. A complete complex decides every unit. Elsewhere a fixed unit is proved by interval
arithmetic over the domain's bounding box, and refuted by two regions on which it is on different pieces.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from polytope.bounds.intervals import preactivation_bounds
from polytope.core.packed import differing, rows_of
from polytope.core.vertex_cells import MOST_DIMENSIONS
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.sampling import in_parts, random_points
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.regions.complex import RegionComplex
from polytope.regions.locate import told_patterns
from polytope.runs.enumerate import enumerate_regions

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UnitUse:
    """What is known of every unit, in the order of a pattern.

    Arguments:
        fixed: ``bool[units]``, proved to be on one piece throughout the domain.
        varying: ``bool[units]``, proved to be on two pieces; a unit that is neither is open.
        flat: ``bool[units]``, whether the slope of the piece first seen is 0.
        piece: ``int8[units]``, the piece first seen: the one of a fixed unit.
    """

    fixed: BoolArray
    varying: BoolArray
    flat: BoolArray
    piece: PatternArray

    __repr__ = one_line

    @property
    def complete(self) -> bool:
        """Whether every unit is decided."""
        return bool((self.fixed | self.varying).all())

    def dead(self, units: slice = slice(None)) -> tuple[int, int]:
        """Least and greatest possible number of dead units among some.

        Arguments:
            units: which part of a pattern; by default all of it.
        """
        return self._between(self.flat, units)

    def always_on(self, units: slice = slice(None)) -> tuple[int, int]:
        """Least and greatest possible number of units among some that are always on one sloped piece.

        Arguments:
            units: which part of a pattern; by default all of it.
        """
        return self._between(~self.flat, units)

    def _between(self, kind: BoolArray, units: slice) -> tuple[int, int]:
        proved, possible = kind & self.fixed, kind & ~self.varying
        return int(proved[units].sum()), int(possible[units].sum())


def unit_use(complex: RegionComplex, seen: PatternArray | None = None) -> UnitUse:
    """How the units of a network are used in the domain of a complex.

    Arguments:
        complex: the regions found in the domain; at least one.
        seen: further patterns of regions of the domain, ``int8[n, units]``, such as sampled ones.

    Raises:
        ValueError: the complex is empty.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0]], [0.0, 3.0]), ([[1.0, 1.0]], [0.0])])
        >>> use = unit_use(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        >>> use.dead(), use.always_on()
        ((0, 0), (1, 1))
    """
    if not len(complex):
        raise ValueError("unit_use: the complex has no region, so no unit was seen on any piece.")
    kept = complex.found.kept_patterns
    [first], varying = rows_of(kept, np.zeros(1, dtype=np.int64)), differing(kept)
    if seen is not None:
        varying = varying | (seen != first).any(axis=0)
    fixed = ~varying if complex.complete else fixed_units(complex.network, complex.domain) & ~varying
    return UnitUse(fixed, varying, _slopes(complex.network, first) == 0, first)


def prove_units(
    network: NetworkLike,
    domain: DomainLike,
    *,
    samples: int = 1000,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> UnitUse:
    """How the units are used in a domain, each with a proof: intervals, then points, then regions.

    Interval arithmetic proves units fixed, two points on different pieces prove that one varies; in many
    dimensions branch and bound does both. If that leaves units open, the regions of the layers up to the last
    of them decide all, where the budget allows.

    Arguments:
        network: the network.
        domain: a polyhedron with interior in its input space.
        samples: random points looked at, near the centre of an unbounded domain.
        max_regions, max_seconds: budgets of the enumeration, and of all. With one some units may stay open.
            The smallest step is one pass of intervals: some seconds for millions of units.

    Raises:
        ValueError: the domain does not fit, or a unit jumps, in more than six dimensions.
        EmptyDomainError: the domain has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0]], [0.0, 3.0]), ([[1.0, 1.0]], [0.0])])
        >>> prove_units(net, pt.Polyhedron.box([-1], [1])).fixed.tolist()
        [False, True]
    """
    network, domain = as_problem(network, domain)
    budget = Budget(max_regions, max_seconds)
    fixed, centre = np.zeros(network.n_units, dtype=bool), _pieces_inside(network, domain)
    with suppress(BudgetSpent), watched(budget.look):
        fixed = fixed_units(network, domain)
    sampled = _sampled(network, domain, samples, budget)
    patterns, told = (np.concatenate(both) for both in zip(centre, sampled, strict=True))
    known = _seen(network, patterns, told, fixed)
    fixed, varying, piece = known.fixed, known.varying, known.piece
    if domain.dim > MOST_DIMENSIONS and domain.is_bounded:
        _branch(network, domain, known, budget)
    undecided = np.flatnonzero(~(fixed | varying))
    if len(undecided) and not budget.late():
        depth = int(np.searchsorted(network.unit_offsets, undecided[-1], side="right"))
        front = replace(network, layers=network.layers[:depth])
        regions = enumerate_regions(front, domain, max_regions=max_regions, max_seconds=budget.rest)
        if len(regions):
            here = slice(front.n_units)
            piece = np.concatenate([regions.patterns[0], piece[front.n_units :]])
            varying[here] |= (regions.patterns != regions.patterns[0]).any(axis=0)
            if regions.complete:
                fixed[here] = ~varying[here]
    return UnitUse(fixed, varying, _slopes(network, piece) == 0, piece)


def _sampled(
    network: Network, domain: Polyhedron, samples: int, budget: Budget
) -> tuple[PatternArray, BoolArray]:
    """What ``_pieces_at`` says of random points, as many as half of the time that is left allows."""
    half = _half(budget)
    found = [np.zeros((0, network.n_units), dtype=np.int8)]
    told = [np.zeros((0, network.n_units), dtype=bool)]
    with suppress(BudgetSpent), watched(half.look):
        for points in random_points(bounded_part(domain), samples, np.random.default_rng(0)):
            for some in in_parts(network, points):  # those so far, if stopped
                patterns, sure = _pieces_at(network, some)
                found.append(patterns)
                told.append(sure)
    return np.concatenate(found), np.concatenate(told)


def _pieces_at(network: Network, points: FloatArray) -> tuple[PatternArray, BoolArray]:
    """The pieces of units at points, ``int8[B, units]``, and which of them are proved, ``bool[B, units]``.

    Where floats do not tell some unit's side, intervals say which ones are told all the same.
    """
    patterns, clear = told_patterns(network, boundaries(network), points)
    told = np.repeat(clear[:, None], network.n_units, axis=1)
    for i in np.flatnonzero(~clear).tolist():
        patterns[i], told[i] = _on_one_piece(network, np.stack([points[i], points[i]]))
    return patterns, told


def _half(budget: Budget) -> Budget:
    """Half of the time that is left."""
    return Budget(None, None if budget.rest is None else max(budget.rest / 2, 1e-9))


def _branch(network: Network, domain: Polyhedron, known: UnitUse, budget: Budget) -> None:
    """Decide more units by branch and bound over the domain's box, in half of the time that is left."""
    half = _half(budget)
    if not half.has_time_for_torch():
        return
    from polytope.bounds.branching.units import fixed_pieces  # loads torch, which takes seconds

    undecided = np.flatnonzero(~(known.fixed | known.varying))
    with watched(half.look):
        proved, points = fixed_pieces(network, domain.bounds, known.piece, undecided, lambda: half.spent(0))
    known.fixed[undecided[proved]] = True
    with suppress(BudgetSpent), watched(budget.look):
        inside = points[domain.contains(points)]
        patterns, told = _pieces_at(network, inside)
        known.varying[:] |= ((patterns != known.piece) & told).any(axis=0)


def seen_units(network: Network, domain: Polyhedron, patterns: PatternArray) -> UnitUse:
    """How the units are used, by interval arithmetic and by regions seen; without a search.

    Arguments:
        patterns: of regions of the domain, ``int8[n, units]``; that of a point inside where there are none.
    """
    told = np.ones(patterns.shape, dtype=bool)
    if not len(patterns):
        patterns, told = _pieces_inside(network, domain)
    return _seen(network, patterns, told, fixed_units(network, domain))


def _pieces_inside(network: Network, domain: Polyhedron) -> tuple[PatternArray, BoolArray]:
    """What intervals say of the pieces at one point, ``[1, units]`` each: the smallest step."""
    center = domain.inscribed_ball[0]
    pieces, told = _on_one_piece(network, np.stack([center, center]))
    return pieces[None], told[None]


def _seen(network: Network, patterns: PatternArray, told: BoolArray, fixed: BoolArray) -> UnitUse:
    """How the units are used, where some are known to be fixed, and some pieces at some points."""
    first = patterns[told.argmax(axis=0), np.arange(network.n_units)]  # the first that is proved
    varying = ((patterns != first) & told).any(axis=0)
    return UnitUse(fixed, varying & told.any(axis=0), _slopes(network, first) == 0, first)


def bounded_part(domain: Polyhedron) -> Polyhedron:
    """The domain, or what of it lies in a box around a point inside, where it is unbounded."""
    if domain.is_bounded:
        return domain
    center, radius = domain.inscribed_ball
    reach = 2 * (1 + float(np.abs(center).max()) + (radius if np.isfinite(radius) else 0.0))
    around = Polyhedron.box(center - reach, center + reach)
    return Polyhedron(np.concatenate([domain.A, around.A]), np.concatenate([domain.b, around.b]))


def _slopes(network: Network, pattern: PatternArray) -> FloatArray:
    """The slope of every unit on its piece."""
    parts = [
        layer.activation.affine(network.layer_pattern(number, pattern)).slope
        for number, layer in enumerate(network.layers, start=1)
        if layer.activation
    ]
    return np.concatenate([np.zeros(0), *parts])


def fixed_units(network: Network, domain: Polyhedron) -> BoolArray:
    """Which units interval arithmetic proves to be on one piece throughout a domain, ``bool[units]``."""
    if not domain.is_bounded:
        return np.zeros(network.n_units, dtype=bool)
    return _on_one_piece(network, domain.bounds)[1]


def _on_one_piece(network: Network, box: FloatArray) -> tuple[PatternArray, BoolArray]:
    """Pieces of units in a box ``[2, d]``, and which units are proved to stay on them, inside."""
    tables = boundaries(network)
    parts, pieces = [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=np.int8)]
    for number, z in enumerate(preactivation_bounds(network, box), start=1):
        look()
        activation, table = network.layers[number - 1].activation, tables[number - 1]
        if activation is None:
            continue
        low, high = (
            part - table.offset
            for part in _interval(table.coefficients[:, :, None] * z[:, table.index].transpose(1, 2, 0))
        )
        guess = activation.pattern(z.mean(axis=0)[:, None])[:, 0]
        rows = table.rows_on(guess)
        k, fixed = table.row_boundary[rows], np.ones(len(guess), dtype=bool)
        fixed[table.unit[k[~np.where(table.row_sign[rows] > 0, high[k] < 0, low[k] > 0)]]] = False
        parts.append(fixed)
        pieces.append(guess)
    return np.concatenate(pieces), np.concatenate(parts)


def _interval(terms: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of two intervals each, ``[m, 2, 2]`` with the ends last, to low and high ``[m]``."""
    return terms.min(axis=2).sum(axis=1), terms.max(axis=2).sum(axis=1)
