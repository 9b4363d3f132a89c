"""What a run found, in its directory: columns are read, and checked, when they are first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.core.open_cells import Path
from polytope.core.ragged import Ragged
from polytope.core.result import Facets
from polytope.core.vertex_cells import VERTEX_CELLS, matched
from polytope.errors import CorruptFileError
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.shards import Frontier, shard_file
from polytope.verify.pages import check_pages


@dataclass(frozen=True, eq=False)
class StoredRegions:
    """What a run found, in its directory; patterns, points and facets are read when they are first used.

    Arguments:
        directory: of the run.
        pieces: of every unit, ``int[units]``.
        d, walls: coordinates, and rows of the domain.
        frontier: how far it has come.
        engine, statistics: as the manifest says.
    """

    directory: File
    pieces: IntArray
    d: int
    walls: int
    frontier: Frontier
    engine: str
    statistics: Mapping[str, float]

    @property
    def n_regions(self) -> int:
        """Number of regions in the shards."""
        return self.frontier.regions

    @property
    def upper(self) -> int:
        """Certified bound on the number of regions in the domain."""
        return self.frontier.regions if self.frontier.complete else self.frontier.upper

    @property
    def open_cells(self) -> tuple[Path, ...]:
        """Branches of the search that are still to do."""
        return tuple(path for path, _ in self.frontier.open)

    @property
    def open_bounds(self) -> tuple[int, ...]:
        """The most regions in each of them."""
        return tuple(bound for _, bound in self.frontier.open)

    @property
    def kept_patterns(self) -> PatternArray:
        """The same: shards hold a byte for each unit."""
        return self.patterns

    @cached_property
    def patterns(self) -> PatternArray:
        """``int8[R, units]``, in the order of the shards.

        Raises:
            CorruptFileError: a unit has no such piece.
        """
        n = len(self.pieces)
        parts = [np.zeros((0, n), dtype=np.int8)]
        for file, column in self._columns("pattern"):
            flat = np.frombuffer(column.buffers()[1] or b"", dtype=np.int8)
            part = flat[column.offset * n : (column.offset + len(column)) * n].reshape(-1, n)
            if ((part < 0) | (part >= self.pieces)).any():
                raise CorruptFileError(f"{file}: a pattern names a piece that a unit does not have.")
            parts.append(part)
        return np.concatenate(parts)

    @cached_property
    def interior_points(self) -> FloatArray:
        """``[R, d]``, in the order of the shards.

        Raises:
            CorruptFileError: a number is not finite.
        """
        parts = [np.zeros(0)]
        for file, column in self._columns("interior_point"):
            part = column.flatten().to_numpy()
            if not np.isfinite(part).all():
                raise CorruptFileError(f"{file}: an interior point is not one of finite numbers.")
            parts.append(part)
        return np.concatenate(parts).reshape(-1, self.d)

    @cached_property
    def candidates(self) -> Sequence[IntArray] | None:
        """Per region the units and domain rows that can carry its facets, in a run that found no facets."""
        return None if self._has_facets else Ragged(*self._units("carrier"))

    @property
    def _has_facets(self) -> bool:
        return self.engine == VERTEX_CELLS

    @cached_property
    def facets(self) -> Facets | None:
        """The facets of all regions, where the run found them.

        Raises:
            CorruptFileError: there are not as many keys as facets.
        """
        if not self._has_facets:
            return None
        offsets, units = self._units("facet_unit")
        others, keys = self._lists("facet_key")
        if not np.array_equal(offsets, others):
            raise CorruptFileError(f"{self.directory}: the facets of a region are not as many as their keys.")
        return Facets(offsets, units, key=keys)

    @cached_property
    def neighbours(self) -> IntArray | None:
        """The pairs of regions that share a facet, by the facets' keys, where the run found facets.

        Raises:
            CorruptFileError: all regions are there, and a facet has no single neighbour.
        """
        if self.facets is None or self.facets.key is None:
            return None
        pairs, odd = matched(self.facets.key, self.facets.offsets)
        if self.frontier.complete and odd:
            raise CorruptFileError(f"{self.directory}: {odd} facets have no single neighbour.")
        return pairs

    def _units(self, name: str) -> tuple[IntArray, NDArray[Any]]:
        """A column of lists of units, or of rows of the domain as -(row + 1)."""
        offsets, units = self._lists(name)
        if len(units) and not -self.walls <= units.min() <= units.max() < len(self.pieces):
            raise CorruptFileError(f"{self.directory}: a facet lies on a unit or a wall that there is not.")
        return offsets, units

    def _lists(self, name: str) -> tuple[IntArray, NDArray[Any]]:
        """A column of lists as one array, and where each list begins."""
        columns = [column for _, column in self._columns(name)]
        sizes = [np.zeros(1, np.int64), *(np.diff(column.offsets.to_numpy()) for column in columns)]
        kind = np.uint64 if name == "facet_key" else np.int32
        flat = [np.zeros(0, kind), *(column.flatten().to_numpy() for column in columns)]
        return np.cumsum(np.concatenate(sizes), dtype=np.int64), np.concatenate(flat)

    def _columns(self, name: str) -> Iterator[tuple[File, Any]]:
        """The arrays of one column, shard by shard, without gaps and as long as the shards say."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for number, rows in enumerate(self.frontier.rows):
            file = shard_file(self.directory, number)
            try:
                with pq.ParquetFile(file) as shard:
                    check_pages(file, shard.metadata, [shard.schema_arrow.names.index(name)])
                    column = shard.read([name])[name]
            except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
                raise CorruptFileError(f"{file} cannot be read: it was changed or cut.") from error
            gaps = column.null_count or (
                name != "pattern" and any(c.flatten().null_count for c in column.chunks)
            )
            if gaps or len(column) != rows:
                raise CorruptFileError(f"{file}: something is missing in the column {name}.")
            yield from ((file, chunk) for chunk in column.chunks)
