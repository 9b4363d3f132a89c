"""Networks as arrays: a number of another type is taken as it is, or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from polytope.errors import CorruptFileError
from polytope.ir import Dense, Layer, Network, Sparse, relu
from polytope.ir.archive import STRUCTURE, from_arrays, to_arrays
from tests.networks import convolutional, prelu, seeded

TYPES = ["<f2", "<f4", "<f8", ">f8", "<f16", "i1", "<i8", "u1", "?", "<c16", "S4", "U2", "O", "M8[s]"]


def mixed() -> Network:
    """A sparse and a dense layer, with slopes of their own."""
    dense = seeded(1, 3, 4, 2)
    first, last = dense.layers
    sparse = Layer((0,), (Sparse(first.maps[0].to_sparse()),), first.bias, prelu([0.5, 1.0, -0.5, 0.0]))
    assert isinstance(last.maps[0], Dense)
    return Network((3,), (sparse, last))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("network", [seeded(1, 2, 3, 1, activation=relu()), mixed(), convolutional(1)])
def test_arrays_of_other_types(network: Network, kind: str) -> None:
    arrays, read = to_arrays(network), 0
    x = np.random.default_rng(0).normal(size=(5, network.input_dim))
    for name, array in arrays.items():
        if name == STRUCTURE:
            continue
        with np.errstate(all="ignore"):
            turned = np.zeros(array.shape, kind) if kind[0] in "SUOM" else array.astype(kind)
        given = arrays | {name: turned}
        if _is_refused(given):
            continue
        found, read = from_arrays(given), read + 1
        assert np.isfinite(found(x)).all()
        if kind in ("<f8", ">f8"):
            np.testing.assert_array_equal(found(x), network(x))
    assert read or kind not in ("<f4", "<f8", ">f8")


def _is_refused(arrays: dict[str, np.ndarray]) -> bool:
    try:
        from_arrays(arrays)
    except CorruptFileError:
        return True
    return False
