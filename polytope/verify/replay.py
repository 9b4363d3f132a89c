r"""Replay a certificate in rational arithmetic: are these all the regions of the network in the domain?

The proof goes by closure, not along the search, so it trusts no order in which regions were found and holds
for runs that were stopped, resumed or spread over machines:

1. every region exists: its interior point, read as rationals, satisfies every row of its pattern and of the
   domain strictly; no two regions have one pattern.
2. every region is the polytope of its listed facets: each row of its pattern that is not a facet is a sum of
   facets with nonnegative factors and a nonpositive constant.
3. the pattern behind every facet that is not on the domain's boundary is a region of the list, with a facet
   of the same key. The pattern follows exactly from the units that vanish on the facet's hyperplane.

The interior of a convex domain stays connected without a set of codimension two, so that a list of regions
that nothing leads out of holds them all. Neither the search nor what writes evidence is imported here, nor
their arithmetic: the only code in common says what a network is, and reads files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polytope.errors import CertificateError, CorruptFileError
from polytope.ir.activations import PatternArray
from polytope.ir.archive import fingerprint, from_arrays
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.stored_files import LARGEST_ARCHIVE, arrays_of, plain_file, unreadable
from polytope.ir.stored_network import count_entries
from polytope.verify.entries import FORMAT, Branch, Manifest, read_manifest, read_seal
from polytope.verify.footers import columns_of, read_footer
from polytope.verify.pages import check_pages
from polytope.verify.rationals import CellRow, Cells, Row, Span, holds_strictly, span

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ENTRIES = 1 << 22
"""Entries of all matrices of a network: as Python integers they take 200 MB."""
MOST_NUMBERS = 1 << 20
"""Numbers of the regions that are read at once: as Python integers they take 40 MB."""
Region = tuple[PatternArray, FloatArray, list[int], list[int], list[int], list[int]]


@dataclass(frozen=True)
class Proof:
    """What was proved of the regions in a directory.

    Arguments:
        regions: their exact number if ``complete``, else a lower bound.
        complete: whether it was proved that there are no others.
        adjacent: pairs of regions that share a facet, where complete.
        implied: rows whose redundancy was proved.
    """

    regions: int
    complete: bool
    adjacent: int
    implied: int

    def __str__(self) -> str:
        if not self.complete:
            return f"Proved: at least {self.regions:,} regions; the search was not complete."
        return (
            f"Proved: exactly {self.regions:,} regions, {self.adjacent:,} pairs of neighbours; "
            f"{self.implied:,} rows are implied by facets."
        )


def verify_certificate(directory: str | Path, progress: Callable[[int, int], None] | None = None) -> Proof:
    """Prove, exactly, that a directory holds regions of its network, and all of them if it says so.

    Arguments:
        directory: written by ``enumerate_regions(..., directory=..., certificate=True)``.
        progress: called with the regions replayed, and 0.

    Raises:
        CertificateError: something is missing, changed or false; the message names the region and the reason.
    """
    try:
        return _verify(Path(directory), progress)
    except CorruptFileError as error:
        raise CertificateError(str(error)) from error
    except OSError as error:
        raise CertificateError(str(unreadable(Path(directory), error))) from error
    except MemoryError:
        raise CertificateError(f"{directory}: to replay it takes more memory than there is.") from None


def _verify(directory: Path, progress: Callable[[int, int], None] | None) -> Proof:
    manifest = read_manifest(directory / "manifest.json")
    if not manifest.certificate:
        raise CertificateError(
            f"{directory} holds no certificate: enumerate again with certificate=True (--certificate)."
        )
    shards = sorted(file.name for file in (directory / "regions").glob("*.parquet"))
    if shards != [f"shard-{n:06d}.parquet" for n in range(len(shards))]:
        raise CertificateError(f"{directory}: a shard is missing, {len(shards)} are there.")
    names = ["manifest.json", "network.npz", *(f"regions/{shard}" for shard in shards)]
    sealed = (directory / "certificate.json").exists()
    expected = _check_seal(directory, names) if sealed else None
    network = _network(directory, manifest)
    if (manifest.input_dim, manifest.units) != (network.input_dim, network.n_units):
        raise CertificateError("The manifest's numbers of coordinates and units are not the network's.")
    replay = _Replay(network, manifest.A, manifest.b, complete=sealed)
    frontier: set[Branch] = {()}
    for name in names[2:]:
        for done, region in enumerate(_regions(directory / name, network, replay.most, frontier)):
            replay.add(region)
            if progress and done % 100 == 0:
                progress(len(replay.patterns), 0)
    if not sealed and not frontier:
        raise CertificateError("The search is complete, but certificate.json is missing: --resume writes it.")
    if sealed and frontier:
        raise CertificateError(
            "certificate.json is there, but the search that the shards hold has not ended."
        )
    if expected not in (None, len(replay.patterns)):
        raise CertificateError(f"certificate.json claims {expected} regions, not {len(replay.patterns)}.")
    return replay.proof()


def _check_seal(directory: Path, names: list[str]) -> int:
    """Check the hash of every file; returns the number of regions that the seal claims."""
    text, regions, claimed = read_seal(directory / "certificate.json")
    hashes = {}
    for name in names:
        with plain_file(directory / name, LARGEST_ARCHIVE).open("rb") as stream:
            hashes[name] = file_digest(stream, "sha256").hexdigest()
    for name in sorted({*hashes, *claimed}):
        if claimed.get(name) != hashes.get(name):
            raise CertificateError(f"{directory / name[:100]} is not the file that certificate.json names.")
    if text != json.dumps({"format": FORMAT, "regions": regions, "sha256": hashes}, indent=1).encode():
        raise CertificateError(f"{directory / 'certificate.json'} was changed.")
    return regions


def _network(directory: Path, manifest: Manifest) -> Network:
    """The network, if it is the manifest's, exactly continuous, and of a size that can be replayed."""
    file = directory / "network.npz"
    network = from_arrays(arrays_of(file))
    if fingerprint(network) != manifest.network:
        raise CertificateError(f"{file} is not the network that the manifest names.")
    for layer in network.layers:
        if layer.activation is not None and not layer.activation.is_continuous():
            raise CertificateError("An activation is not exactly continuous: the proof does not hold for it.")
    if sum(count_entries(linear) for layer in network.layers for linear in layer.maps) > MOST_ENTRIES:
        raise CertificateError(
            f"{file}: the network's matrices have more than {MOST_ENTRIES:,} entries, too many to replay."
        )
    return network


def _regions(file: Path, network: Network, most: int, frontier: set[Branch]) -> Iterator[Region]:
    """The regions of a shard, one by one; its open branches replace those that it took.

    Arguments:
        most: facets that a region can have.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    d = network.input_dim
    columns = columns_of(network.n_units, d, engine_finds_facets=True, certificate=True)
    search = read_footer(file, columns)
    if not frontier.issuperset(search.taken) or len({*search.taken}) < len(search.taken):
        raise CertificateError(f"{file} took branches that the shards before it did not leave.")
    frontier.difference_update(search.taken)
    frontier.update(path for path, _ in search.open)
    at_once = max(min(256, MOST_NUMBERS // (network.n_units + d * most)), 1)
    try:
        with pq.ParquetFile(file) as shard:
            check_pages(file, shard.metadata, range(len(columns)))
            for batch in shard.iter_batches(at_once):
                _check_batch(batch, file, most, d * most)
                for row in zip(*(batch[column].to_pylist() for column in columns), strict=True):
                    yield (np.frombuffer(row[0], dtype=np.int8), np.array(row[1], dtype=float), *row[2:])
    except (pa.ArrowException, ValueError) as error:
        raise CertificateError(f"{file} cannot be read: it was changed or cut.") from error


def _check_batch(batch: pa.RecordBatch, file: Path, facets: int, evidence: int) -> None:
    """Refuse regions in which something is missing, or lists that are longer than they can be."""
    import pyarrow.compute as pc

    for name in batch.schema.names:
        column = batch[name]
        if column.null_count or (name != "pattern" and column.flatten().null_count):
            raise CertificateError(f"{file}: something is missing in the column {name}.")
        longest = evidence if name == "evidence" else facets
        if name[0] in "fe" and len(column) and pc.max(pc.list_value_length(column)).as_py() > longest:
            raise CertificateError(f"{file}: a region has more in the column {name} than it has rows.")


class _Replay:
    """The proof as far as it was replayed: patterns, and facets by their keys."""

    def __init__(self, network: Network, A: FloatArray, b: FloatArray, *, complete: bool) -> None:
        self.network, self.complete = network, complete
        self.cells = Cells(network, A, b)
        self.walls = {row.row for row in self.cells.domain}
        self.patterns: dict[bytes, int] = {}
        self.most = len(A) + self.cells.most_rows
        self.half: dict[int, tuple[bytes, bytes]] = {}  # key of a facet -> the region, and the one behind it
        self.adjacent = self.implied = 0

    def add(self, region: Region) -> None:
        """Replay what is said about one region."""
        pattern, point, units, keys, places, evidence = region
        self.cells.effort.begin()
        name = pattern.tobytes()
        if name in self.patterns:
            raise self._false("its pattern is there twice")
        self.patterns[name] = len(self.patterns)
        if not self.cells.has_pieces(pattern):
            raise self._false("its pattern names a piece that a unit does not have")
        rows = self.cells.rows(pattern)
        if not (np.isfinite(point).all() and holds_strictly(rows, point, self.cells.effort)):
            raise self._false("its interior point is not strictly inside")
        if not self.complete:
            return
        owned: dict[int, list[Row]] = {}
        for row in rows:
            owned.setdefault(row.owner, []).append(row.row)
        try:
            facets = [owned[unit][place] for unit, place in zip(units, places, strict=True)]
        except (LookupError, ValueError):
            raise self._false("a facet names a row that it does not have") from None
        if len(keys) != len(facets):
            raise self._false("its facets are not as many as their keys")
        if len(set(facets)) != len(facets) or not all(any(facet[:-1]) for facet in facets):
            raise self._false("two of its facets are one, or a facet is constant")
        self._closed(rows, facets, evidence)
        self._cross(pattern, rows, facets, keys)

    def _closed(self, rows: list[CellRow], facets: list[Row], evidence: list[int]) -> None:
        """The facets imply all rows, by the evidence: places of d facets for each row that needs it."""
        given, known, found = iter(evidence), set(facets), dict[Row, Span | None]()
        for row in rows:
            if row.row in known or not any(row.row[:-1]):
                continue
            places = tuple(islice(given, self.network.input_dim))
            if places not in found:
                if len(places) < self.network.input_dim or max(places) >= len(facets):
                    raise self._false("its evidence names facets that it does not have")
                found[places] = span([facets[j] for j in places], self.cells.effort)
            proposed = found[places]
            if proposed is None or not proposed.implies(row.row):
                raise self._false("a row is not implied by the facets that its evidence names")
            self.implied += 1
        if next(given, None) is not None:
            raise self._false("it has more evidence than rows")

    def _cross(self, pattern: PatternArray, rows: list[CellRow], facets: list[Row], keys: list[int]) -> None:
        """Pair each facet inside the domain with the one of the same key on its other side."""
        vanishing: dict[Row, set[int]] = {}
        for row in rows:
            if row.owner >= 0:
                vanishing.setdefault(row.row if any(row.row) else (), set()).add(row.owner)
        name = pattern.tobytes()
        for facet, key in zip(facets, keys, strict=True):
            if (facet in self.walls) != (key == 0):
                raise self._false("a facet's key does not say whether it is on the domain's boundary")
            if key == 0:
                continue
            units = vanishing.get(facet, set()) | vanishing.get((), set())
            behind = self.cells.behind(pattern, facet, units).tobytes()
            if key not in self.half:
                self.half[key] = name, behind
            elif self.half.pop(key) != (behind, name):
                raise self._false("a facet's key belongs to another facet too")
            else:
                self.adjacent += 1

    def proof(self) -> Proof:
        """What was proved, once all regions were added."""
        if self.complete and not self.patterns:
            raise CertificateError("There is no region.")
        if self.half:
            name, behind = next(iter(self.half.values()))
            words = "is not among the regions" if behind not in self.patterns else "has no facet of its key"
            raise CertificateError(f"Region {self.patterns[name]}: what is behind one of its facets {words}.")
        return Proof(len(self.patterns), self.complete, self.adjacent, self.implied)

    def _false(self, reason: str) -> CertificateError:
        return CertificateError(f"Region {len(self.patterns) - 1}, counted from 0 in the shards: {reason}.")
