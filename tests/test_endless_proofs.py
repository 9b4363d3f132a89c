"""Networks that are formally valid and whose replay would never end: refused in a sentence, soon."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from time import process_time

import numpy as np
import pytest

from polytope import Network, Polyhedron, enumerate_regions, mlp, verify_certificate
from polytope.errors import CertificateError
from polytope.ir import Dense, Layer, relu
from polytope.ir.archive import fingerprint, to_arrays
from tests import mutated_directories
from tests.mutated_directories import reseal


def with_network(tmp_path: Path, network: Network) -> Path:
    """The certificate of a small network, with another of as many units, and hashes that fit."""
    honest, units = tmp_path / "honest", network.n_units
    small = mlp([(np.ones((units, 1)), np.full(units, 5.0)), (np.ones((1, units)), [0.0])])
    enumerate_regions(small, Polyhedron.box([-1], [1]), directory=honest, certificate=True)
    run = Path(shutil.copytree(honest, tmp_path / "run"))
    np.savez(run / "network.npz", allow_pickle=False, **to_arrays(network))
    manifest = json.loads((run / "manifest.json").read_text()) | {"network": fingerprint(network)}
    (run / "manifest.json").write_text(json.dumps(manifest, indent=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutated_directories, "claimed", lambda archive: fingerprint(network))
        reseal(run)
    return run


def spread(n: int) -> np.ndarray:
    """Weights of very different sizes: as integers of a common power of two they have 1,800 bits."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, n)) * 2.0 ** rng.integers(-900, 900, (n, n))


def deep(layers: int, n: int, weights: np.ndarray) -> Network:
    """Layers of the same weights."""
    first = Layer((0,), (Dense(np.ones((n, 1))),), np.zeros(n), relu())
    return Network(
        (1,),
        (
            first,
            *(Layer((k,), (Dense(weights),), np.zeros(n), relu()) for k in range(1, layers)),
            Layer((layers,), (Dense(np.ones((1, n))),), np.zeros(1)),
        ),
    )


ENDLESS = {
    "deep": lambda: deep(400, 8, spread(8)),
    "wide": lambda: deep(12, 250, spread(250)),
    "large": lambda: deep(2, 1500, spread(1500)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_would_take_for_ever_is_refused(name: str, tmp_path: Path) -> None:
    run = with_network(tmp_path, ENDLESS[name]())
    started = process_time()
    with pytest.raises(CertificateError, match=r"numbers (take|of) .*(as integers|bits)\.$"):
        verify_certificate(run)
    assert process_time() - started < 5.0
