"""What stands beside the shards of a complex: the network, and what was asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from math import isfinite
from pathlib import Path as File

import numpy as np

from polytope.errors import CertificateError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.archive import fingerprint, to_arrays
from polytope.ir.network import Network
from polytope.ir.stored_files import LARGEST_JSON
from polytope.regions.shards import SHARDS, whole_file
from polytope.verify.entries import FORMAT

MANIFEST, NETWORK, CERTIFICATE = "manifest.json", "network.npz", "certificate.json"

NUMBER_BYTES = 4  # of a number in JSON, with what separates it, at least


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
    directory: File,
    network: Network,
    domain: Polyhedron,
    engine: str,
    *,
    certificate: bool = False,
    seconds: float = 0.0,
    statistics: Mapping[str, float] | None = None,
) -> None:
    """Begin the complex of a network in a domain, in a directory of which we are the sole writer.

    Raises:
        ValueError: there is a complex already, or the domain is too large.
    """
    if (directory / MANIFEST).exists():
        raise ValueError(f"{directory} holds a complex already: resume it, or choose another directory.")
    if any((directory / SHARDS).glob("shard-*.parquet")):
        raise ValueError(f"{directory} holds shards without a {MANIFEST}: choose another directory.")
    if NUMBER_BYTES * domain.A.size > LARGEST_JSON:
        raise _too_large(domain)
    manifest = {
        "format": FORMAT,
        "network": fingerprint(network),
        "domain": {"A": domain.A.tolist(), "b": domain.b.tolist()},
        "input_dim": network.input_dim,
        "units": network.n_units,
        "engine": engine,
        "certificate": certificate,
        "seconds": seconds,
        "statistics": finite(statistics or {}),
        "versions": {name: version(name) for name in ("polytope-nn", "numpy", "pyarrow")},
    }
    text = json.dumps(manifest, indent=1).encode()
    if len(text) > LARGEST_JSON:
        raise _too_large(domain)
    with whole_file(directory / NETWORK) as file:
        np.savez(file, allow_pickle=False, **to_arrays(network))
    with whole_file(directory / MANIFEST) as file:
        file.write(text)


def _too_large(domain: Polyhedron) -> ValueError:
    rows = f"{len(domain.b):,} rows of {domain.dim:,} numbers"
    return ValueError(f"The domain's {rows} are too many for a directory.")


def finite(statistics: Mapping[str, float]) -> dict[str, float]:
    """What JSON can hold of them: the least margin of no decision at all is infinite."""
    kept = {name: value for name, value in statistics.items() if isfinite(value)}
    return {name: float(v) if isinstance(v, float) else int(v) for name, v in kept.items()}
