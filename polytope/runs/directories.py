r"""Complexes in directories: made, sealed, and read again.

A directory holds ``manifest.json`` (what is enumerated: the sha256 of the network, the domain, versions),
``network.npz`` and ``regions/shard-000000.parquet``, ... (see ``shards``). A certificate that is complete has
a file ``certificate.json`` with the sha256 of these. ``writing.lock``, empty, is held by whoever is writing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import file_digest
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path as File
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from polytope.core.open_cells import Path
from polytope.core.vertex_cells import matched
from polytope.engines.vertex_search import VERTEX_CELLS
from polytope.errors import CertificateError, CorruptFileError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.activations import PatternArray
from polytope.ir.archive import fingerprint, from_arrays, to_arrays
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.regions.complex import RegionComplex
from polytope.regions.facets import Facets
from polytope.runs.shards import SHARDS, Progress, progress_of, shard_file, whole_file

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
    return manifest


def has_certificate(directory: File) -> bool:
    """Whether a run into the directory was finished with a certificate."""
    return (directory / CERTIFICATE).exists()


def write_certificate(directory: File, progress: Progress) -> None:
    """The file that seals a complete run: the hashes of all other files, and the number of regions."""
    assert progress.complete, "only complete runs are sealed"
    hashes = {}
    for file in (directory / MANIFEST, directory / NETWORK, *sorted((directory / SHARDS).glob("*.parquet"))):
        with file.open("rb") as stream:
            hashes[file.relative_to(directory).as_posix()] = file_digest(stream, "sha256").hexdigest()
    seal = {"format": FORMAT, "regions": progress.regions, "sha256": hashes}
    with whole_file(directory / CERTIFICATE) as out:
        out.write(json.dumps(seal, indent=1).encode())


class StoredComplex(RegionComplex):
    """A complex in a directory; patterns, points and facets are read when they are first used."""

    directory: File
    progress: Progress

    @property
    def lower(self) -> int:
        """Number of regions in the shards."""
        return self.progress.regions

    def __len__(self) -> int:
        return self.progress.regions

    @cached_property
    def patterns(self) -> PatternArray:
        """``int8[R, units]``, in the order of the shards."""
        parts = [np.zeros((0, self.network.n_units), dtype=np.int8)]
        for column in self._columns("pattern"):
            flat = np.frombuffer(column.buffers()[1], dtype=np.int8)
            n = self.network.n_units
            parts.append(flat[column.offset * n : (column.offset + len(column)) * n].reshape(-1, n))
        return np.concatenate(parts)

    @cached_property
    def interior_points(self) -> FloatArray:
        """``[R, d]``, in the order of the shards."""
        parts = [column.flatten().to_numpy() for column in self._columns("interior_point")]
        return np.concatenate([np.zeros(0), *parts]).reshape(-1, self.domain.dim)

    @cached_property
    def open_cells(self) -> tuple[Path, ...]:
        """Branches of the search that are still to do."""
        return tuple(path for path, _ in self.progress.open)

    @cached_property
    def candidates(self) -> tuple[IntArray, ...] | None:
        """Per region the units and domain rows that can carry its facets, in a run that found no facets."""
        if self._has_facets:
            return None
        parts: list[IntArray] = []
        for column in self._columns("carrier"):
            flat, ends = column.values.to_numpy(), column.offsets.to_numpy()
            parts += [flat[i:j].astype(np.int64) for i, j in pairwise(ends.tolist())]
        return tuple(parts)

    @property
    def _has_facets(self) -> bool:
        return self.engine == VERTEX_CELLS

    @cached_property
    def known_facets(self) -> Facets | None:
        """The facets of all regions, where the run found them."""
        if not self._has_facets:
            return None
        columns = list(self._columns("facet_unit"))
        sizes = np.concatenate([np.zeros(0, np.int64), *(np.diff(c.offsets.to_numpy()) for c in columns)])
        units = np.concatenate([np.zeros(0, np.int32), *(c.flatten().to_numpy() for c in columns)])
        return Facets(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), units, None)

    @cached_property
    def known_neighbours(self) -> IntArray | None:
        """The pairs of regions that share a facet, by the facets' keys, where the run found facets.

        Raises:
            CorruptFileError: all regions are there, and a facet has no single neighbour.
        """
        if self.known_facets is None:
            return None
        parts = [column.flatten().to_numpy() for column in self._columns("facet_key")]
        keys: NDArray[np.uint64] = np.concatenate([np.zeros(0, np.uint64), *parts])
        pairs, odd = matched(keys, self.known_facets.offsets)
        if self.complete and odd:
            raise CorruptFileError(f"{self.directory}: {odd} facets have no single neighbour.")
        return pairs

    def _columns(self, name: str) -> Iterator[Any]:
        """The arrays of one column, shard by shard."""
        import pyarrow.parquet as pq

        for number in range(self.progress.shards):
            file = shard_file(self.directory, number)
            try:
                yield from pq.read_table(file, columns=[name])[name].chunks
            except (OSError, ValueError) as error:
                raise CorruptFileError(f"{file} cannot be read: {error}.") from error


def load_complex(directory: str | File) -> StoredComplex:
    """The complex in a directory; ``complete`` only if the search that wrote it came to its end.

    Raises:
        ValueError: there is none.
        CorruptFileError: a file is damaged, missing, or not of this run.
    """
    directory = File(directory)
    manifest = read_manifest(directory)
    try:
        with (directory / NETWORK).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            network = from_arrays(dict(arrays))
    except (OSError, ValueError, BadZipFile) as error:
        raise CorruptFileError(f"{directory / NETWORK} cannot be read: {error}.") from error
    if fingerprint(network) != manifest["network"]:
        raise CorruptFileError(f"{directory / NETWORK} is not the network that the manifest names.")
    domain = Polyhedron(np.array(manifest["domain"]["A"]), np.array(manifest["domain"]["b"]))
    progress = progress_of(directory, most_regions(network))
    out = object.__new__(StoredComplex)
    upper = progress.regions if progress.complete else progress.upper
    known: Mapping[str, Any] = {
        "network": network,
        "domain": domain,
        "upper": upper,
        "engine": manifest["engine"],
        "seconds": 0.0,
        "statistics": {},
        "directory": directory,
        "progress": progress,
    }
    for name, value in known.items():
        object.__setattr__(out, name, value)
    return out


def in_memory(stored: StoredComplex, network: Network, seconds: float) -> RegionComplex:
    """The same complex with everything read."""
    return RegionComplex(
        network,
        stored.domain,
        stored.patterns,
        stored.interior_points,
        upper=stored.upper,
        engine=stored.engine,
        seconds=seconds,
        candidates=stored.candidates,
        known_facets=stored.known_facets,
        known_neighbours=stored.known_neighbours,
        open_cells=stored.open_cells,
    )


def most_regions(network: Network) -> int:
    """The most regions that the network can have."""
    from polytope.core.ceiling import Ceiling

    return Ceiling(network, network.input_dim).whole
