r"""Enumeration up to symmetry: the regions that meet a fundamental domain, and what follows for all.

For a region R that meets the fundamental domain F in its interior let
:math:`n(R) = |\{g : g R \text{ meets the interior of } F\}|`. The regions in the whole domain number
:math:`N = \sum_R |G| / n(R)`: an orbit with stabiliser S has :math:`|G| / |S|` regions, m of them meet F,
and each of these has n = m |S|. Images are known by their patterns, so no geometry is computed for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from polytope.core.ceiling import Ceiling
from polytope.core.result import SearchResult
from polytope.engines.amounts import Bytes, Seconds
from polytope.engines.budget import Progress
from polytope.engines.engine import Engine
from polytope.engines.facet_flip import FacetFlip
from polytope.engines.sampling import clear_patterns
from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.covering import require_covering
from polytope.equivariant.symmetry.domains import fundamental_domain, require_invariant
from polytope.equivariant.symmetry.orbits import Orbits, PatternIndex, orbits
from polytope.equivariant.symmetry.unit_action import UnitAction, unit_action
from polytope.geometry.inside import contained
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_domain, as_network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


@dataclass(frozen=True, eq=False)
class SymmetricComplex:
    """The regions of a symmetric network, known up to symmetry.

    Arguments:
        domain: what was asked; the group preserves it.
        rho: the group and its action on the input.
        fundamental: the fundamental domain of the action on the whole space.
        part: the regions that were enumerated, cut off at the walls of the fundamental domain.
        action: how the group permutes the units.
    """

    domain: Polyhedron
    rho: Representation
    fundamental: Polyhedron
    part: RegionComplex
    action: UnitAction

    @property
    def complete(self) -> bool:
        """Whether the number of regions in the domain is known; of rounded symmetries never for sure."""
        return self.lower == self.upper

    @property
    def exact(self) -> bool:
        """Whether all regions are known and the network is proved to be symmetric in exact arithmetic."""
        return self.complete and self.action.exact

    @cached_property
    def images(self) -> IntArray:
        """``int[G, R]``: the number of g R among the enumerated regions, -1 where it does not meet them."""
        index = PatternIndex(self.part.patterns)
        return np.stack([index.find(self.action.move(g, self.part.patterns)) for g in range(len(self.rho))])

    @cached_property
    def multiplicity(self) -> IntArray:
        """``int[R]``: n(R), the number of elements whose image of R meets the fundamental domain."""
        counts: IntArray = (self.images >= 0).sum(axis=0)
        return counts

    @cached_property
    def orbits(self) -> Orbits:
        """The orbits of regions: labels of those enumerated, sizes in the whole domain, stabilisers."""
        return orbits(self.images)

    @cached_property
    def n_regions(self) -> int:
        """The number of regions in the whole domain; a lower bound where the enumeration is not complete.

        An **estimate** where the action on units is not exact: ``symmetrised`` gives a network that has
        regions of a number that is known, next to this one.
        """
        total = sum((Fraction(len(self.rho), int(n)) for n in self.multiplicity), Fraction(0))
        assert total == self.orbits.size.sum(), "both ways of counting agree"
        return int(total)

    @property
    def lower(self) -> int:
        """Certified lower bound on the number of regions in the domain.

        Of a symmetry that holds but for rounding: of the regions that were enumerated, or of those that are
        proved to hold an image of their points.
        """
        return self.n_regions if self.action.exact else max(self.part.lower, len(self._proved[0]))

    @property
    def upper(self) -> int:
        """Certified upper bound: a region that is not known has an image that the enumeration left out.

        Of a symmetry that holds but for rounding, images tell nothing: the most that the layers can cut.
        """
        if self.action.exact:
            return self.n_regions + len(self.rho) * (self.part.upper - self.part.lower)
        return max(self.lower, Ceiling(self.part.network, self.domain.dim).whole)

    @cached_property
    def _proved(self) -> tuple[PatternArray, FloatArray]:
        """Images of interior points in distinct regions, which float64 tells from all boundaries."""
        network = self.part.network
        points = np.concatenate([self.part.interior_points @ M.T for M in self.rho.matrices])
        inside = contained(self.domain.rows, self.domain.b, points, strictly=True)
        patterns, points = clear_patterns(network, boundaries(network), points[inside])
        _, first = np.unique(patterns, axis=0, return_index=True)
        return patterns[np.sort(first)], points[np.sort(first)]

    def unfold(self) -> RegionComplex:
        """The regions of the whole domain: every image of one region of each orbit, once.

        Returns:
            The complex in ``domain``, open where the enumeration was not complete, or the symmetry holds but
            for rounding; then it holds the regions of the given network that were proved.
        """
        if not self.action.exact:
            return self._as_complex(*self._proved)
        table = self.rho.group.table
        patterns, points = [self.part.patterns[:0]], [self.part.interior_points[:0]]
        cosets = [np.unique(table[:, fixed].min(axis=1)) for fixed in self.orbits.stabilizer]
        for g in range(len(self.rho)):
            moved = [r for r, reached in zip(self.orbits.representative, cosets, strict=True) if g in reached]
            patterns.append(self.action.move(g, self.part.patterns[moved]))
            points.append(self.part.interior_points[moved] @ self.rho.matrices[g].T)
        return self._as_complex(np.concatenate(patterns), np.concatenate(points))

    def _as_complex(self, patterns: PatternArray, points: FloatArray) -> RegionComplex:
        """Known regions in the whole domain."""
        found = SearchResult(
            engine=f"{self.part.engine}, up to symmetry",
            n_regions=len(points),
            open_bound=self.upper - len(points),
            kept_patterns=patterns,
            interior_points=points,
            statistics=self.part.statistics,
        )
        return RegionComplex(self.part.network, self.domain, found, self.part.seconds)


def enumerate_up_to_symmetry(
    network: NetworkLike,
    rho: Representation,
    domain: DomainLike,
    engine: Engine | None = None,
    *,
    fundamental: DomainLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    max_memory: Bytes | None = None,
    progress: Progress | None = None,
    tolerance: float = 1e-9,
) -> SymmetricComplex:
    r"""The regions of a network whose units a group permutes, enumerated in a fundamental domain only.

    Arguments:
        network: its units must follow the group (see ``layerwise_symmetry``); its outputs need not.
        rho: the group's action on the input.
        domain: a polyhedron that the group preserves, or a box as of ``enumerate_regions``.
        engine: as for ``enumerate_regions``. A ``FacetFlip`` starts from the image of its start.
        fundamental: a fundamental domain, by default ``fundamental_domain(rho)``; any polyhedron that meets
            every orbit of points will do, which is proved for matrices of integers, and tried for others.
        max_regions, max_seconds, max_memory, progress: as for ``enumerate_regions``, of the part enumerated.
        tolerance: largest difference between rows of units that follow each other, relative to their size.
            Where it is needed the result is not ``exact``, and its bounds are wide; ``symmetrised`` gives a
            network next to the given one that follows exactly.

    Returns:
        The regions that meet the fundamental domain, with the numbers and orbits of all.

    Raises:
        ValueError: dimensions differ, the group does not preserve the domain, or ``fundamental`` misses an
            orbit.
        SymmetryError: an element does not permute the units.
        EmptyDomainError: the domain has no interior.

    References: Lezeau, Walker, Cao, Bhatia, Monod (2024), "Tropical Expressivity of Neural Networks",
        https://arxiv.org/abs/2405.20174 (fundamental domains, for sampling)

    Example:
        >>> import polytope as pt
        >>> from polytope.equivariant import cyclic, permutation
        >>> swap = permutation(cyclic(2), [[0, 1], [1, 0]])
        >>> net = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> found = enumerate_up_to_symmetry(net, swap, pt.Polyhedron.box([-1, -1], [1, 1]))
        >>> len(found.part), found.n_regions, found.orbits.size.tolist()
        (3, 4, [1, 2, 1])
    """
    network = as_network(network)
    domain = as_domain(domain, network.input_dim)
    require_invariant(domain, rho)
    action = unit_action(network, rho, tolerance=tolerance)
    if fundamental is None:
        F = fundamental_domain(rho)
    else:
        F = as_domain(fundamental, network.input_dim, "fundamental")
        require_covering(F, domain, rho)
    inner = Polyhedron(np.concatenate([domain.A, F.A]), np.concatenate([domain.b, F.b]))
    part = enumerate_regions(
        network,
        inner,
        _moved_start(engine, rho, F),
        max_regions=max_regions,
        max_seconds=max_seconds,
        max_memory=max_memory,
        progress=progress,
    )
    return SymmetricComplex(domain, rho, F, part, action)


def _moved_start(engine: Engine | None, rho: Representation, F: Polyhedron) -> Engine | None:
    """The engine, its start moved into the fundamental domain where it has one."""
    if not isinstance(engine, FacetFlip) or engine.start is None:
        return engine
    images = rho.matrices @ np.asarray(engine.start, dtype=float).ravel()
    inside = F.contains(images, 1e-12 * float(np.abs(images).max(initial=0.0)))
    return replace(engine, start=images[inside.argmax()])
