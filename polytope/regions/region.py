"""One region of a complex: its pattern, its affine map, its half-spaces, its vertices, its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from polytope.core.result import Facets
from polytope.errors import UnboundedDomainError
from polytope.exact.maps import right_maps
from polytope.geometry.enclosure import recedes
from polytope.geometry.polyhedron import Polyhedron, rounded_corners
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.cell_volumes import rounded_volume
from polytope.regions.found import Found


class Regions(Protocol):
    """What a region, and what is drawn or written of regions, asks of their complex."""

    @property
    def network(self) -> Network:
        """The network."""

    @property
    def domain(self) -> Polyhedron:
        """Where its regions were looked for."""

    @property
    def found(self) -> Found:
        """What the search kept."""

    @property
    def patterns(self) -> PatternArray:
        """The piece of every unit, ``int8[R, units]``."""

    @property
    def interior_points(self) -> FloatArray:
        """A point strictly inside every region, ``[R, d]``."""

    @property
    def complete(self) -> bool:
        """Whether these are all the regions in the domain."""

    @property
    def lower(self) -> int:
        """Number of regions found."""

    @property
    def upper(self) -> int:
        """Bound on the number of regions in the domain."""

    @property
    def facets(self) -> Facets:
        """The facets of all regions."""

    def __len__(self) -> int:
        """Number of regions found."""

    def __iter__(self) -> Iterator[Region]:
        """The regions."""

    def volumes(self) -> FloatArray:
        """The volume of every region, ``[R]``."""

    def facet_points(self, region: int) -> FloatArray:
        """A point inside every facet of a region, ``[facets, d]``."""

    def adjacency_matrix(self) -> csr_array:
        """1 where two regions share a facet, ``[R, R]``."""

    def _facet_rows(self, region: int) -> FloatArray:
        """The rows of a region's facets, ``[F, d + 1]``."""

    def _exact_rows(self, region: int) -> list[list[int]]:
        """The rows of a region's facets, in integers."""

    @property
    def _touching(self) -> csr_array:
        """``adjacency_matrix``, once made."""


@dataclass(frozen=True, eq=False)
class Region:
    """One region of a complex.

    Arguments:
        complex: the complex.
        number: the region's place in it, from 0.
    """

    complex: Regions
    number: int

    def __repr__(self) -> str:
        return f"Region({self.number} of {self.complex!r})"

    @property
    def pattern(self) -> PatternArray:
        """The piece of every unit, ``int8[units]``."""
        pattern: PatternArray = self.complex.patterns[self.number]
        return pattern

    @property
    def interior_point(self) -> FloatArray:
        """A point strictly inside, ``[d]``."""
        point: FloatArray = self.complex.interior_points[self.number]
        return point

    @cached_property
    def halfspaces(self) -> tuple[FloatArray, FloatArray]:
        """Irredundant ``(A [m, d], b [m])`` with the region = {A x <= b}; rows of unit length."""
        rows = self.complex._facet_rows(self.number)
        return rows[:, :-1], -rows[:, -1]

    @cached_property
    def affine(self) -> tuple[FloatArray, FloatArray]:
        """The affine map ``(J [out, d], c [out])`` with f(x) = J x + c in the region.

        Rows that rounding could have spoilt are computed exactly, and rounded once.
        """
        J, c = right_maps(self.complex.network, self.pattern[None])
        return J[0], c[0]

    @property
    def jacobian(self) -> tuple[FloatArray, FloatArray]:
        """The affine map again, ``(J [out, d], c [out])``: its Jacobian and its constant."""
        return self.affine

    @property
    def neighbours(self) -> IntArray:
        """The numbers of the regions that share a facet with this one, ``int[k]``, ascending.

        Of an incomplete complex those of its regions that were found.
        """
        table = self.complex._touching
        row: IntArray = np.sort(table.indices[table.indptr[self.number] : table.indptr[self.number + 1]])
        return row.astype(np.int64)

    @property
    def label(self) -> int:
        """The class at the interior point: the greatest output's place, or 1 where the only one is positive.

        An **estimate**, in float64, and of that point: ``decision_boundary`` says where the class changes.
        """
        outputs = self.complex.network(self.interior_point)
        return int(outputs[0] > 0) if len(outputs) == 1 else int(outputs.argmax())

    @property
    def is_bounded(self) -> bool:
        """Whether the region is bounded."""
        return self.complex.domain.is_bounded or not recedes(self._exact_rows)

    def vertices(self) -> FloatArray:
        """The region's vertices, ``[v, d]``: in the plane counterclockwise, else in lexicographic order.

        **Exact**: found in rational arithmetic, and rounded once. Those that float64 does not tell apart are
        one.

        Raises:
            UnboundedDomainError: the region is unbounded.
        """
        return rounded_corners(self._rows())

    def volume(self) -> float:
        """The region's d-dimensional volume. **Exact**: found in rational arithmetic, and rounded once.

        Raises:
            UnboundedDomainError: the region is unbounded.
        """
        return rounded_volume(self._rows())[0]

    @cached_property
    def _exact_rows(self) -> list[list[int]]:
        return self.complex._exact_rows(self.number)

    def _rows(self) -> list[list[int]]:
        """The rows of the facets, in integers, of a region that is bounded."""
        if not self.is_bounded:
            raise UnboundedDomainError(f"Region {self.number} is unbounded: it is not the hull of vertices.")
        return self._exact_rows
