r"""Complexes in directories: made, sealed, and read again.

A directory holds ``manifest.json`` (what is enumerated: the sha256 of the network, the domain, versions),
``network.npz`` and ``regions/shard-000000.parquet``, ... (see ``shards``). A certificate that is complete has
a file ``certificate.json`` with the sha256 of these. ``writing.lock``, empty, is held by whoever is writing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path as File
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from polytope.core.ceiling import Ceiling
from polytope.core.open_cells import Path
from polytope.core.ragged import Ragged
from polytope.core.result import Facets, SearchResult, added
from polytope.core.vertex_cells import VERTEX_CELLS, matched
from polytope.errors import CertificateError, CorruptFileError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.activations import PatternArray
from polytope.ir.archive import fingerprint, from_arrays, to_arrays
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.regions.complex import RegionComplex
from polytope.runs.shards import SHARDS, Frontier, frontier_of, shard_file, whole_file

FORMAT = 1
MANIFEST, NETWORK, CERTIFICATE = "manifest.json", "network.npz", "certificate.json"


def refuse_unstorable(network: Network, *, certificate: bool) -> None:
    """What no directory can hold is refused before one is made.

    Raises:
        ValueError: the network is affine.
        CertificateError: one is wanted, and an activation is not exactly continuous.
    """
    if not network.n_units:
        raise ValueError("The network is affine: one region, no activation pattern to store.")
    if certificate:
        for number, layer in enumerate(network.layers, start=1):
            if layer.activation is not None and not layer.activation.is_continuous():
                raise CertificateError(
                    f"No certificate can be written: the activation of layer {number} is not continuous "
                    "in exact arithmetic, its float64 pieces miss each other by a rounding error."
                )


def create(
    directory: File, network: Network, domain: Polyhedron, engine: str, *, certificate: bool = False
) -> None:
    """Begin the complex of a network in a domain, in a directory of which we are the sole writer.

    Raises:
        ValueError: there is a complex already.
    """
    if (directory / MANIFEST).exists():
        raise ValueError(f"{directory} holds a complex already: resume it, or choose another directory.")
    with whole_file(directory / NETWORK) as file:
        np.savez(file, allow_pickle=False, **to_arrays(network))
    manifest = {
        "format": FORMAT,
        "network": fingerprint(network),
        "domain": {"A": domain.A.tolist(), "b": domain.b.tolist()},
        "input_dim": network.input_dim,
        "units": network.n_units,
        "engine": engine,
        "certificate": certificate,
        "seconds": 0.0,
        "statistics": {},
        "versions": {name: version(name) for name in ("polytope-nn", "numpy", "pyarrow")},
    }
    with whole_file(directory / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())


def same_run(
    directory: File, network: Network, domain: Polyhedron, engine: str, *, certificate: bool = False
) -> None:
    """Check that a directory holds a run of this network in this domain, with a certificate if one is wanted.

    Raises:
        ValueError: it holds none, or one of another network, domain or engine, or the certificate is missing.
    """
    manifest = read_manifest(directory)
    if manifest["engine"] != engine:
        raise ValueError(
            f"{directory} was begun with {manifest['engine']}: resume it with the same, not {engine}."
        )
    if certificate and manifest.get("certificate") is not True:
        raise ValueError(f"{directory} was begun without a certificate: begin again to get one.")
    if manifest["network"] != fingerprint(network):
        raise ValueError(f"{directory} was begun with another network: it cannot be resumed with this one.")
    theirs = Polyhedron(np.array(manifest["domain"]["A"]), np.array(manifest["domain"]["b"]))
    if not (np.array_equal(theirs.A, domain.A) and np.array_equal(theirs.b, domain.b)):
        raise ValueError(f"{directory} was begun with another domain: it cannot be resumed with this one.")


def read_manifest(directory: File) -> dict[str, Any]:
    """What the directory says it holds.

    Raises:
        ValueError: there is no manifest.
        CorruptFileError: it cannot be read.
    """
    if not (directory / MANIFEST).exists():
        raise ValueError(f"{directory} holds no complex: there is no {MANIFEST}.")
    try:
        manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
        wanted = {"format", "network", "domain", "input_dim", "units", "engine"}
        if not wanted <= manifest.keys() or manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest.get('format')}, not {FORMAT}")
    except (ValueError, AttributeError) as error:
        raise CorruptFileError(f"{directory / MANIFEST} is not a manifest of a complex: {error}.") from error
    return {"seconds": 0.0, "statistics": {}} | manifest


def has_certificate(directory: File) -> bool:
    """Whether a run into the directory was finished with a certificate."""
    return (directory / CERTIFICATE).exists()


def write_certificate(directory: File, frontier: Frontier) -> None:
    """The file that seals a complete run: the hashes of all other files, and the number of regions."""
    assert frontier.complete, "only complete runs are sealed"
    hashes = {}
    for file in (directory / MANIFEST, directory / NETWORK, *sorted((directory / SHARDS).glob("*.parquet"))):
        with file.open("rb") as stream:
            hashes[file.relative_to(directory).as_posix()] = file_digest(stream, "sha256").hexdigest()
    seal = {"format": FORMAT, "regions": frontier.regions, "sha256": hashes}
    with whole_file(directory / CERTIFICATE) as out:
        out.write(json.dumps(seal, indent=1).encode())


def write_effort(directory: File, seconds: float, statistics: Mapping[str, float]) -> None:
    """Add the time and the statistics of one call to what the manifest says of those before."""
    manifest = read_manifest(directory)
    manifest["seconds"] = manifest["seconds"] + seconds
    manifest["statistics"] = added(manifest["statistics"], statistics)
    with whole_file(directory / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())


@dataclass(frozen=True, eq=False)
class StoredRegions:
    """What a run found, in its directory; patterns, points and facets are read when they are first used.

    Arguments:
        directory: of the run; shape: ``(units, d)``.
        frontier: how far it has come.
        engine, statistics: as the manifest says.
    """

    directory: File
    shape: tuple[int, int]
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

    @cached_property
    def patterns(self) -> PatternArray:
        """``int8[R, units]``, in the order of the shards."""
        n = self.shape[0]
        parts = [np.zeros((0, n), dtype=np.int8)]
        for column in self._columns("pattern"):
            flat = np.frombuffer(column.buffers()[1], dtype=np.int8)
            parts.append(flat[column.offset * n : (column.offset + len(column)) * n].reshape(-1, n))
        return np.concatenate(parts)

    @cached_property
    def interior_points(self) -> FloatArray:
        """``[R, d]``, in the order of the shards."""
        parts = [column.flatten().to_numpy() for column in self._columns("interior_point")]
        return np.concatenate([np.zeros(0), *parts]).reshape(-1, self.shape[1])

    @cached_property
    def candidates(self) -> Sequence[IntArray] | None:
        """Per region the units and domain rows that can carry its facets, in a run that found no facets."""
        return None if self._has_facets else Ragged(*self._lists("carrier"))

    @property
    def _has_facets(self) -> bool:
        return self.engine == VERTEX_CELLS

    @cached_property
    def facets(self) -> Facets | None:
        """The facets of all regions, where the run found them."""
        return Facets(*self._lists("facet_unit")) if self._has_facets else None

    @cached_property
    def neighbours(self) -> IntArray | None:
        """The pairs of regions that share a facet, by the facets' keys, where the run found facets.

        Raises:
            CorruptFileError: all regions are there, and a facet has no single neighbour.
        """
        if self.facets is None:
            return None
        _, keys = self._lists("facet_key")
        pairs, odd = matched(keys, self.facets.offsets)
        if self.frontier.complete and odd:
            raise CorruptFileError(f"{self.directory}: {odd} facets have no single neighbour.")
        return pairs

    def _lists(self, name: str) -> tuple[IntArray, NDArray[Any]]:
        """A column of lists as one array, and where each list begins."""
        columns = list(self._columns(name))
        sizes = [np.zeros(1, np.int64), *(np.diff(column.offsets.to_numpy()) for column in columns)]
        kind = np.uint64 if name == "facet_key" else np.int32
        flat = [np.zeros(0, kind), *(column.flatten().to_numpy() for column in columns)]
        return np.cumsum(np.concatenate(sizes), dtype=np.int64), np.concatenate(flat)

    def _columns(self, name: str) -> Iterator[Any]:
        """The arrays of one column, shard by shard."""
        import pyarrow.parquet as pq

        for number in range(self.frontier.shards):
            file = shard_file(self.directory, number)
            try:
                yield from pq.read_table(file, columns=[name])[name].chunks
            except (OSError, ValueError) as error:
                raise CorruptFileError(f"{file} cannot be read: {error}.") from error


def stored(directory: File) -> StoredRegions:
    """What the run in a directory has found."""
    manifest = read_manifest(directory)
    network = _network(directory, manifest)
    frontier = frontier_of(directory, most_regions(network))
    shape = (network.n_units, network.input_dim)
    return StoredRegions(directory, shape, frontier, manifest["engine"], manifest["statistics"])


def load_complex(directory: str | File) -> RegionComplex:
    """The complex in a directory; ``complete`` only if the search that wrote it came to its end.

    Raises:
        ValueError: there is none.
        CorruptFileError: a file is damaged, missing, or not of this run.
    """
    directory = File(directory)
    manifest = read_manifest(directory)
    network = _network(directory, manifest)
    domain = Polyhedron(np.array(manifest["domain"]["A"]), np.array(manifest["domain"]["b"]))
    return RegionComplex(network, domain, stored(directory), manifest["seconds"])


def _network(directory: File, manifest: Mapping[str, Any]) -> Network:
    try:
        with (directory / NETWORK).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            network = from_arrays(dict(arrays))
    except (OSError, ValueError, BadZipFile) as error:
        raise CorruptFileError(f"{directory / NETWORK} cannot be read: {error}.") from error
    if fingerprint(network) != manifest["network"]:
        raise CorruptFileError(f"{directory / NETWORK} is not the network that the manifest names.")
    return network


def in_memory(complex: RegionComplex) -> RegionComplex:
    """The same complex with everything read."""
    found = complex.found
    kept = SearchResult(
        engine=found.engine,
        n_regions=found.n_regions,
        open_bound=found.upper - found.n_regions,
        kept_patterns=found.patterns,
        interior_points=found.interior_points,
        candidates=found.candidates,
        facets=found.facets,
        neighbours=found.neighbours,
        statistics=found.statistics,
        open_cells=found.open_cells,
    )
    return RegionComplex(complex.network, complex.domain, kept, complex.seconds)


def most_regions(network: Network) -> int:
    """The most regions that the network can have."""
    return Ceiling(network, network.input_dim).whole
