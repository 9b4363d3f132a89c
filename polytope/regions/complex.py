"""The one result: a complex of regions as arrays, and the handful of questions asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from polytope.core.open_cells import Path
from polytope.core.result import Facets
from polytope.core.vertex_cells import neighbours_by_key, suits_vertices
from polytope.errors import IncompleteComplexError
from polytope.exact.equal_maps import map_labels
from polytope.exact.rows import ExactRows
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.arrays import floats
from polytope.ir.boundaries import LayerBoundaries, boundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.paths import as_path
from polytope.labelled import Bound, in_words, interval, plural
from polytope.regions.adjacency import matched_pairs, region_graph, region_matrix
from polytope.regions.cell_volumes import rounded_volume
from polytope.regions.chosen import chosen
from polytope.regions.facets import facets_of
from polytope.regions.found import Found
from polytope.regions.locate import locate
from polytope.regions.merge import joined_across
from polytope.regions.outlines import outlines
from polytope.regions.page import regions_page
from polytope.regions.region import Region as Region
from polytope.regions.region_rows import RegionRows, region_rows
from polytope.regions.saving import save
from polytope.regions.tables import to_geojson, to_pandas
from polytope.regions.vertices_again import facet_points, has_vertices, volumes

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class RegionComplex:
    """The activation regions of a network in a domain.

    ``len`` counts activation regions, the labels of ``merged`` linear regions, ``pieces`` affine maps.
    ``docs/definitions.md`` says which published definitions these are. Regions are numbered from 0: an index
    gives one, a slice a list. Measures and pictures are functions of a complex; ``polygons``, ``to_pandas``,
    ``to_geojson`` and ``plot`` are thin doors to functions for those who look for them here.

    Arguments:
        network, domain: what was asked.
        found: what a search found, in memory or in a directory.
        seconds, stopped_by: of the search, and what ended it early, if anything did, as of a ``RegionCount``.
    """

    network: Network
    domain: Polyhedron
    found: Found
    seconds: float = 0.0
    stopped_by: str | None = None

    def _repr_html_(self) -> str:
        return regions_page(self, repr(self))

    def __repr__(self) -> str:
        count = plural(interval(len(self), self.upper), "region") + (", complete" if self.complete else "")
        units = f"{self.network.n_units:,} units{self.network.in_place_of}"
        return f"RegionComplex({count}, in {self.domain.dim} dimensions, {units})"

    @property
    def patterns(self) -> PatternArray:
        """The piece of every unit, ``int8[R, units]``, one region each."""
        return self.found.patterns

    @property
    def interior_points(self) -> FloatArray:
        """A point strictly inside every region, ``[R, d]``."""
        return self.found.interior_points

    @property
    def engine(self) -> str:
        """What found the regions."""
        return self.found.engine

    @property
    def statistics(self) -> Mapping[str, float]:
        """How many signs each test of the search decided."""
        return self.found.statistics

    @property
    def open_cells(self) -> tuple[Path, ...]:
        """Branches of the search that a budget left, as steps from its root: all that was not found."""
        return self.found.open_cells

    @property
    def lower(self) -> int:
        """Number of regions found: a certified lower bound on the number in the domain."""
        return self.found.n_regions

    @property
    def upper(self) -> int:
        """Certified bound on the number of regions in the domain; equal to ``len`` where complete."""
        return self.found.upper

    @property
    def complete(self) -> bool:
        """Whether these are all the regions in the domain."""
        return self.lower == self.upper

    def __len__(self) -> int:
        return self.found.n_regions

    @overload
    def __getitem__(self, i: SupportsIndex) -> Region: ...
    @overload
    def __getitem__(self, i: slice) -> list[Region]: ...
    def __getitem__(self, i: SupportsIndex | slice) -> Region | list[Region]:
        found = chosen(i, len(self))
        return Region(self, found) if isinstance(found, int) else [Region(self, k) for k in found]

    def __iter__(self) -> Iterator[Region]:
        return (Region(self, i) for i in range(len(self)))

    @cached_property
    def _boundaries(self) -> tuple[LayerBoundaries, ...]:
        """The boundary functions of the network's layers."""
        return boundaries(self.network)

    @cached_property
    def facets(self) -> Facets:
        """The irredundant facets of all regions; computed on first use where the engine did not."""
        return self.found.facets or self._facets_among(self.found.candidates)

    def _facets_among(self, candidates: Sequence[IntArray] | None) -> Facets:
        """The facets, of units and rows of the domain that are candidates."""
        found = self.patterns, self.interior_points
        return facets_of(self.network, self.domain, *found, candidates, self._numbers)

    def adjacency(self) -> nx.Graph[int]:
        """The dual graph: nodes ``0 .. R - 1``, an edge where two regions share a facet.

        The edge attribute ``units`` names the units whose piece changes across the facet. ``neighbours`` and
        ``adjacency_matrix`` say the same in a twentieth of the time and memory.
        """
        return region_graph(self.patterns, self.neighbours)

    def adjacency_matrix(self) -> csr_array:
        """The dual graph as a symmetric sparse matrix ``[R, R]``: 1 where two regions share a facet."""
        return region_matrix(len(self), self.neighbours)

    @cached_property
    def neighbours(self) -> IntArray:
        """The pairs of regions that share a facet, ``int[E, 2]``: the edges of ``adjacency``, as an array."""
        if self.found.neighbours is not None:
            return self.found.neighbours
        facets = self.facets
        if facets.key is not None:
            return neighbours_by_key(facets.key, facets.offsets, complete=self.complete)
        if facets.behind is None:
            spans = map(self._span, range(len(self)))
            facets = self._facets_among([facets.unit[span].astype(np.int64) for span in spans])
        assert facets.behind is not None, "that was just found"
        return matched_pairs(np.repeat(np.arange(len(self)), np.diff(facets.offsets)), facets.behind)

    @cached_property
    def _touching(self) -> csr_array:
        return self.adjacency_matrix()

    def _span(self, region: int) -> slice:
        """Where the facets of a region are."""
        return slice(int(self.facets.offsets[region]), int(self.facets.offsets[region + 1]))

    @cached_property
    def _exact(self) -> ExactRows:
        return ExactRows(self.network, self.domain.rows, self.domain.b, self._boundaries)

    def _facet_rows(self, region: int) -> FloatArray:
        """The rows ``[F, d + 1]`` of unit length that the facets of a region lie on, in their order."""
        described, rows = self._rows_of(region)
        return described.rows(rows)

    def _exact_rows(self, region: int) -> list[list[int]]:
        """The rows of the facets of a region, in their order: positive multiples in integers."""
        described, rows = self._rows_of(region)
        return [self._exact(described.cut(i), self.patterns[region]).tolist() for i in rows.tolist()]

    def _rows_of(self, region: int) -> tuple[RegionRows, IntArray]:
        """The rows of a region, and which of them its facets lie on, in their order."""
        pattern = self.patterns[region]
        described = region_rows(self.network, self.domain, self._boundaries, pattern, self._exact)
        place = {origin: i for i, origin in enumerate(described.origin.tolist())}
        rows = [place[k] for k in self._origins(region, described).tolist()]
        return described, np.array(rows, dtype=np.int64)

    def _origins(self, region: int, described: RegionRows) -> IntArray:
        """Which of all rows the facets of a region lie on."""
        units = self.facets.unit[self._span(region)].astype(np.int64)
        if self.facets.origin is not None:
            return self.facets.origin[self._span(region)]
        own = described.origin[np.isin(described.unit, units)]
        if len(own) == len(units):  # a facet for each row of these units
            out = np.empty_like(own)
            out[np.argsort(units, kind="stable")] = own[
                np.argsort(described.known.unit_of(own), kind="stable")
            ]
            return out
        origin = self._one_region(region).origin
        assert origin is not None, "it was just found"
        return origin

    def _one_region(self, region: int) -> Facets:
        """The facets of a region once more, in their order, with their points and origins."""
        some, units = slice(region, region + 1), self.facets.unit[self._span(region)].astype(np.int64)
        here, wanted = (self.patterns[some], self.interior_points[some]), [np.unique(units)]
        found = facets_of(self.network, self.domain, *here, wanted, {})
        assert found.points is not None, "they were just found"
        assert found.origin is not None, "they were just found"
        assert len(found.unit) == len(units), "a facet was lost"
        order = np.empty_like(units)
        order[np.argsort(units, kind="stable")] = np.argsort(found.unit, kind="stable")
        return Facets(found.offsets, units, found.points[order], found.origin[order])

    def facet_points(self, region: int) -> FloatArray:
        """A point in the relative interior of every facet of a region, ``[facets, d]``, in their order.

        Arguments:
            region: its number, from 0.
        """
        if self._points is not None:
            return self._points[self._span(region)]
        points = self._one_region(region).points
        assert points is not None, "they were just found"
        return points

    @cached_property
    def _points(self) -> FloatArray | None:
        """Points inside all facets, where they are known or can be found at once."""
        if self.facets.points is None and self.complete and suits_vertices(self.domain):
            return facet_points(self.network, self.domain, self.patterns, self.facets)
        return self.facets.points

    def merged(self) -> IntArray:
        """Labels ``int[R]`` of linear regions: regions joined across facets where their maps are equal.

        Equal means equal in exact arithmetic, for the network's float64 numbers.

        Raises:
            IncompleteComplexError: a region that was not found may join two that were.
        """
        self.require_complete("Merging into linear regions")
        return joined_across(self._maps, self.neighbours)

    def pieces(self) -> int:
        """Number of distinct affine maps, in exact arithmetic.

        Raises:
            IncompleteComplexError: regions that were not found may have others.
        """
        self.require_complete("The number of affine pieces")
        return int(self._maps.max(initial=-1)) + 1

    @cached_property
    def _maps(self) -> IntArray:
        """A label of the affine map of every region, ``int[R]``."""
        return map_labels(self.network, self.patterns)

    def volumes(self) -> FloatArray:
        """The volume of every region, ``[R]``.

        In float64, with the bounds that ``region_volumes`` gives; ``Region.volume`` is exact, and slower.

        Raises:
            UnboundedDomainError: a region has infinite volume.
        """
        return self.proved_volumes()[0]

    def proved_volumes(self) -> tuple[FloatArray, FloatArray]:
        """The volumes, and proved bounds on their errors, both ``[R]``.

        Raises:
            UnboundedDomainError: a region has infinite volume.
        """
        if has_vertices(self.found) or (self.complete and suits_vertices(self.domain)):
            return volumes(self.network, self.domain, self.patterns, self.found)
        pairs = [rounded_volume(region._rows()) for region in self]
        sizes, errors = np.array(pairs, dtype=float).reshape(-1, 2).T
        return sizes, errors

    def locate(self, x: ArrayLike) -> IntArray:
        """The region of every point.

        On a boundary the answer is the region that owns the tie, or one around the point. In an incomplete
        complex -1 also means that the point's region was not found.

        Arguments:
            x: points, ``[B, d]``, or one, ``[d]``.

        Returns:
            ``int[B]``, numbers of regions; -1 outside the domain.
        """
        points = np.atleast_2d(floats(x))
        return locate(self.network, self.domain, self._boundaries, self._exact.exact, self._numbers, points)

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        return {pattern.tobytes(): i for i, pattern in enumerate(self.patterns)}

    def polygons(self) -> list[FloatArray]:
        """The outline ``[v, 2]`` of every region of a bounded plane, counterclockwise, in float64."""
        return outlines(self)

    def to_pandas(self) -> DataFrame:
        """A table of pandas, one row a region: ``regions/tables.py`` says which columns."""
        return to_pandas(self)

    def to_geojson(self) -> dict[str, Any]:
        """The polygons of a bounded plane as a GeoJSON ``FeatureCollection``, with the table's numbers."""
        return to_geojson(self)

    def plot(self, ax: Axes | None = None, *, points: ArrayLike | None = None, **options: Any) -> Axes:
        """The picture that ``plot_regions`` draws of a plane.

        Arguments:
            ax, points: as there, points ``[B, 2]``.
            options: the others of ``plot_regions``.
        """
        draw: Callable[..., Axes] = import_module("polytope.plots.regions").plot_regions
        return draw(self, ax, points=points, **options)

    def save(self, directory: str | File) -> None:
        """Write the complex into a directory, from which ``load_complex`` reads it again.

        What was not found stays open: a search by ``LayerSplit`` can be resumed there.

        Arguments:
            directory: where the files go; made where it is missing.

        Raises:
            ValueError: the directory holds a complex already, or the network is affine.
        """
        save(as_path(directory, "directory"), self.network, self.domain, self.found, self.seconds)

    def require_complete(self, question: str) -> None:
        """Refuse a question that a partial complex cannot answer.

        Arguments:
            question: what is asked, as the message names it.

        Raises:
            IncompleteComplexError: the enumeration was stopped by a budget.
        """
        if not self.complete:
            found = f"this complex has {in_words(Bound(self.lower, self.upper))}"
            more = "Enumerate with a larger budget or a smaller domain."
            raise IncompleteComplexError(f"{question} needs all regions; {found}. {more}")
