"""The largest difference between a model's own runtime and its network, seen on random and on edge inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from adapters.folding import stored
from polytope.errors import ImportMismatchError
from polytope.ir import Network
from polytope.ir.maps import FloatArray

Reference = Callable[[FloatArray], FloatArray]
"""The model itself: ``[B, d]`` to ``[B, out]``."""

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "float16": 5e-2, "bfloat16": 2e-1}
"""Relative difference that each number type may show, against the largest output of the same input."""

_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_LARGEST = {"float64": 1e300, "float32": 1e36, "float16": 6e4, "bfloat16": 1e36}
_OPERATIONS = 4e8


def checked(network: Network, reference: Reference, dtype: str) -> Network:
    """The network with ``import_error`` and ``dtype`` set.

    The recorded error is the largest absolute difference on inputs of ordinary size (up to a few units);
    inputs of size 1000 are compared too, relative to their outputs.

    Raises:
        ImportMismatchError: a difference is beyond what the number type explains.
    """
    ordinary, wide = probes(network, np.random.default_rng(0))
    kind = {"float64": np.float64, "float16": np.float16}.get(dtype, np.float32)
    worst = 0.0
    for points, is_wide in ((ordinary, False), (wide, True)):
        x = points.astype(kind).astype(float)
        expected, got = reference(x), network(x)
        if expected.shape != got.shape:
            raise ImportMismatchError(
                f"The model gives {expected.shape[1]} outputs, the network {got.shape[1]}."
            )
        difference = _compare(expected, got, _magnitude(network, x), dtype)
        worst = worst if is_wide else difference
    return replace(network, import_error=worst, dtype=dtype)


def _compare(expected: FloatArray, got: FloatArray, magnitude: FloatArray, dtype: str) -> float:
    """The largest absolute difference; rows on which the number type overflows are left out."""
    overflown = ~np.isfinite(expected).all(axis=1) & (magnitude > _LARGEST[dtype] / 1e3)
    expected, got, magnitude = expected[~overflown], got[~overflown], magnitude[~overflown]
    if not expected.size:
        return 0.0
    difference = np.abs(expected - got).max(axis=1)
    allowed = TOLERANCE[dtype] * np.abs(got).max(axis=1) + 256 * _EPS[dtype] * magnitude
    wrong = ~(difference <= allowed)
    if wrong.any():
        row = int(np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1.0)))
        raise ImportMismatchError(
            f"The network and the model differ by {difference[row]:.3g} on an input where the output is "
            f"of size {np.abs(got[row]).max():.3g}; rounding of {dtype} explains {allowed[row]:.3g}. "
            "Please report this model: one of its operators is converted wrongly."
        )
    return float(difference.max())


def _magnitude(network: Network, x: FloatArray) -> FloatArray:
    """The largest pre-activation that each input meets: rounding errors are in proportion to it."""
    sizes = np.abs(x).max(axis=1, initial=0.0)
    for z, _ in network.steps(x.T):
        sizes = np.maximum(sizes, np.abs(z).max(axis=0, initial=0.0))
    return np.asarray(sizes)


def cost(network: Network) -> int:
    """About how many multiplications one forward pass takes."""
    return sum(stored(m) + m.shape[0] for layer in network.layers for m in layer.maps) + network.n_units


def probes(network: Network, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Inputs of ordinary size, and of size 1000; fewer for networks that take long."""
    d = network.input_dim
    count = int(np.clip(_OPERATIONS / cost(network) / 4, 1, 6))
    random = [
        rng.uniform(0, 1, (count, d)),
        rng.standard_normal((count, d)),
        rng.uniform(-1, 1, (count, d)) / 8,
    ]
    edges = [np.zeros((1, d)), np.ones((1, d)), np.full((1, d), -0.5)]
    wide = 1000.0 * rng.standard_normal((count, d))
    if count == 1:
        return np.concatenate([edges[0], random[0], random[1]]), wide
    bends = _straddling(network, random[1], 4.0 * random[0][::-1] - 2.0) if count == 6 else np.zeros((0, d))
    return np.concatenate([*edges, *random, 3.0 * random[1], bends]), wide


def _straddling(network: Network, start: FloatArray, end: FloatArray) -> FloatArray:
    """Pairs of close points between which a unit changes its piece, found by halving."""
    low, high = start.copy(), end.copy()
    for _ in range(16):
        middle = (low + high) / 2
        same = (network.pattern(middle) == network.pattern(low)).all(axis=1)[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.concatenate([low, high])
