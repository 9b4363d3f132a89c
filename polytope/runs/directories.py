r"""Complexes in directories: made, sealed, and read again.

A directory holds ``manifest.json`` (what is enumerated: the sha256 of the network, the domain, versions),
``network.npz`` and ``regions/shard-000000.parquet``, ... (see ``shards``). A certificate that is complete has
a file ``certificate.json`` with the sha256 of these. ``writing.lock``, empty, is held by whoever is writing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path as File

import numpy as np

from polytope.core.ceiling import Ceiling
from polytope.core.result import added
from polytope.core.vertex_cells import VERTEX_CELLS
from polytope.errors import CorruptFileError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.archive import fingerprint, from_arrays
from polytope.ir.network import Network
from polytope.ir.paths import as_path
from polytope.ir.stored_files import arrays_of
from polytope.regions.complex import RegionComplex
from polytope.regions.manifest import CERTIFICATE, MANIFEST, NETWORK, finite
from polytope.regions.shards import SHARDS, Frontier, frontier_of, whole_file
from polytope.runs.stored import StoredRegions
from polytope.verify import entries
from polytope.verify.entries import FORMAT, Manifest
from polytope.verify.footers import columns_of

MOST_PRODUCTS = 1 << 21  # of long integers, about a second, for the bound on a network's regions


def same_run(
    directory: File, network: Network, domain: Polyhedron, engine: str, *, certificate: bool = False
) -> None:
    """Check that a directory holds a run of this network in this domain, with a certificate if one is wanted.

    Raises:
        ValueError: it holds none, or one of another network, domain or engine, or the certificate is missing.
    """
    manifest = read_manifest(directory)
    if manifest.engine != engine:
        raise ValueError(
            f"{directory} was begun with {manifest.engine}: resume it with the same, not {engine}."
        )
    if certificate and not manifest.certificate:
        raise ValueError(f"{directory} was begun without a certificate: begin again to get one.")
    if manifest.network != fingerprint(network):
        raise ValueError(f"{directory} was begun with another network: it cannot be resumed with this one.")
    if not (np.array_equal(manifest.A, domain.A) and np.array_equal(manifest.b, domain.b)):
        raise ValueError(f"{directory} was begun with another domain: it cannot be resumed with this one.")


def read_manifest(directory: File) -> Manifest:
    """What the directory says it holds.

    Raises:
        ValueError: there is no manifest.
        CorruptFileError: it cannot be read.
    """
    file = directory / MANIFEST
    if not (file.exists() or file.is_symlink()):
        raise ValueError(f"{directory} holds no complex: there is no {MANIFEST}.")
    return entries.read_manifest(file)


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
    before = read_manifest(directory)
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["seconds"] = before.seconds + seconds
    manifest["statistics"] = finite(added(before.statistics, statistics))
    with whole_file(directory / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=1).encode())


def stored(directory: File) -> StoredRegions:
    """What the run in a directory has found."""
    manifest = read_manifest(directory)
    return _stored(directory, manifest, _network(directory, manifest))


def _stored(directory: File, manifest: Manifest, network: Network) -> StoredRegions:
    columns = columns_of(
        network.n_units,
        network.input_dim,
        engine_finds_facets=manifest.engine == VERTEX_CELLS,
        certificate=manifest.certificate,
    )
    frontier = frontier_of(directory, most_regions(network), columns)
    activations = [(layer.activation, layer.width) for layer in network.layers if layer.activation]
    pieces = np.array(
        [activation.n_pieces(unit) for activation, width in activations for unit in range(width)], np.int64
    )
    return StoredRegions(
        directory, pieces, network.input_dim, len(manifest.b), frontier, manifest.engine, manifest.statistics
    )


def load_complex(directory: str | File) -> RegionComplex:
    """The complex in a directory; ``complete`` only if the search that wrote it came to its end.

    Whatever the directory holds, nothing of it runs, and reading it takes a small multiple of its own size.

    Arguments:
        directory: one that ``enumerate_regions`` or ``RegionComplex.save`` wrote into.

    Returns:
        The complex; its arrays are read from the files when they are asked for.

    Raises:
        ValueError: there is none.
        TypeError: something else than a path is given.
        CorruptFileError: a file is damaged, missing, or not of this run; what is read later is checked later.
    """
    directory = as_path(directory, "load_complex").absolute()
    manifest = read_manifest(directory)
    network = _network(directory, manifest)
    found = _stored(directory, manifest, network)
    return RegionComplex(network, Polyhedron(manifest.A, manifest.b), found, manifest.seconds)


def _network(directory: File, manifest: Manifest) -> Network:
    file = directory / NETWORK
    network = from_arrays(arrays_of(file))
    if fingerprint(network) != manifest.network:
        raise CorruptFileError(f"{file} is not the network that the manifest names.")
    if (network.input_dim, network.n_units) != (manifest.input_dim, manifest.units):
        raise CorruptFileError(f"{file} has other numbers of coordinates and units than the manifest says.")
    return network


def most_regions(network: Network) -> int:
    """The most regions that the network can have; of one with large tables, a bound that takes no time.

    A layer of n hyperplanes cuts a cell of d dimensions into at most ``2**n`` parts, and ``(n + 1)**d``.
    """
    d = network.input_dim
    hyperplanes = [
        layer.activation.n_hyperplanes(len(layer.bias)) if layer.activation else 0 for layer in network.layers
    ]
    if sum((d + 1) * (min(n, d) + 1) for n in hyperplanes) <= MOST_PRODUCTS:
        return Ceiling(network, d).whole
    return 1 << sum(min(n, d * (n + 1).bit_length()) for n in hyperplanes)
