"""The largest difference between a model in a runtime and its network, on random and on edge inputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from adapters.arrays import OVERFLOWS
from adapters.inputs import InputPart
from polytope.errors import ImportMismatchError
from polytope.ir import Network
from polytope.ir.algebra import stored
from polytope.ir.deviation import spline_deviation, splines_of
from polytope.ir.maps import FloatArray
from polytope.ir.near_crossings import straddling
from polytope.ir.sweep import Floats, sweep

Reference = Callable[[FloatArray], FloatArray]
"""The model itself: ``[B, d]`` to ``[B, out]``."""

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "float16": 5e-2, "bfloat16": 2e-1}
"""Relative difference that each number type may show, against the largest output of the same input."""

MIXED = (
    "The model mixes the samples of a batch: its output for one sample depends on the others (or the first "
    "axis of its inputs or outputs is not the batch). Put the batch first (batch_first=True), or, if mixing "
    "is meant, export it with the batch axis fixed."
)

_RUNTIMES: WeakKeyDictionary[Network, Reference] = WeakKeyDictionary()
"""The runtimes of the networks in memory: beside them, so that a network stays data that can be sent."""

_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_LARGEST = {"float64": 1e300, "float32": 1e36, "float16": 6e4, "bfloat16": 1e36}
_KINDS = {"float64": np.float64, "float16": np.float16}
_OPERATIONS = 4e8
_LAYER_OVERHEAD = 10_000
_LARGEST_BLOCK = 2**21
_ORDERS = ([1, 0], [2, 0, 1], [4, 3, 2, 1, 0])
"""Batches in which samples stand beside others than themselves, at other places."""


class NotRunnableError(Exception):
    """A runtime does not run the model, or not on such a batch; it says why."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model in a runtime.

    Arguments:
        name: what runs it, as a sentence names it.
        run: ``[n, d]``, taken as one batch, to the model's outputs; may raise ``NotRunnableError``.
        batch: how many rows it takes at a time.
    """

    name: str
    run: Callable[[FloatArray], Sequence[NDArray[Any]]]
    batch: int = 1

    def __call__(self, x: FloatArray) -> FloatArray:
        """The flattened outputs of each row of x, ``[B, out]``."""
        found = []
        for start in range(0, len(x), self.batch):
            block = x[np.arange(start, start + self.batch) % len(x)]
            found.append(self._rows(self.run(block))[: len(x) - start])
        return np.concatenate(found)

    def _rows(self, outputs: Sequence[NDArray[Any]]) -> FloatArray:
        n = self.batch
        if any(y.size % n for y in outputs):
            raise ImportMismatchError(f"The model's outputs do not split into a batch of {n}.")
        return np.concatenate([np.asarray(y, dtype=float).reshape(n, -1) for y in outputs], axis=1)


def pieces(x: FloatArray, parts: Sequence[InputPart], dtype: str) -> list[NDArray[Any]]:
    """Rows ``[n, d]`` as one batch of the model's inputs; what has no batch axis is taken from the first."""
    kind, found, place = _KINDS.get(dtype, np.float32), [], 0
    for part in parts:
        size = prod(part.shape)
        some = x[:, place : place + size].astype(kind)
        found.append(some.reshape((len(x), *part.shape[1:])) if part.batched else some[0].reshape(part.shape))
        place += size
    return found


def checked(
    network: Network,
    model: Model,
    dtype: str,
    *,
    steps: int = 0,
    file_dtype: str | None = None,
    lasting: bool = True,
) -> Network:
    """The network with ``import_error``, ``import_note`` and ``dtype`` set, to the file's own type.

    The recorded error is the largest absolute difference on inputs of ordinary size (up to a few units);
    inputs of size 1000 are compared too, relative to their outputs. Rounding errors may add up over the
    model's ``steps``. A ``lasting`` model can be run again later: ``runtime`` finds it.

    Raises:
        ImportMismatchError: a difference is beyond what the number type explains.
    """
    ordinary, wide = probes(network, np.random.default_rng(0))
    aside = float(spline_deviation(network).max(initial=0.0))
    worst: float | None = None
    compared = tried = 0
    for points, is_wide in ((ordinary, False), (wide, True)):
        x = _rounded(points, dtype)
        expected = model(x)
        got, magnitude = _forward(network, x)
        if expected.shape != got.shape:
            raise ImportMismatchError(
                f"The model gives {expected.shape[1]} outputs, the network {got.shape[1]}."
            )
        difference, rows = _compare(expected, got, max(256, steps) * magnitude, dtype, aside)
        worst = worst if is_wide else difference
        compared, tried = compared + rows, tried + len(x)
    note = OVERFLOWS.format(dtype=dtype)
    if worst is not None:
        on = f" on {compared} of {tried} inputs: {dtype} overflows on the others" if compared < tried else ""
        note = f"compared with {model.name}{on}"
    if aside:
        names = ", ".join(f"{s.name} (spacing {s.spacing:g})" for s in splines_of(network))
        note += f"; splines stand for {names}, which changes outputs by at most {aside:.2g}"
    found = replace(network, import_error=worst, import_note=note, dtype=file_dtype or dtype)
    if lasting:
        _RUNTIMES[found] = model
    return found


DEQUANTISED = (
    "dequantised: rounding to whole numbers is left out, so that this network is near the model, not it"
)


def noted(network: Network, note: str = "", *, dequantised: bool = False) -> Network:
    """The network with more in its note, and the same runtime."""
    words = (network.import_note.rstrip("."), note, DEQUANTISED if dequantised else "")
    said = "; ".join(word for word in words if word)
    found = replace(network, import_note=said, dequantised=network.dequantised or dequantised)
    if network in _RUNTIMES:
        _RUNTIMES[found] = _RUNTIMES[network]
    return found


def unchecked(network: Network, reason: str, dtype: str) -> Network:
    """The network without ``import_error``: nothing could run the model, which a warning says."""
    warnings.warn(f"The conversion was not checked: {reason}.", stacklevel=2)
    return replace(network, import_error=None, import_note=f"{reason}.", dtype=dtype)


def _rounded(x: FloatArray, dtype: str) -> FloatArray:
    """Points that the model's number type holds, so that both sides see the same numbers."""
    with np.errstate(all="ignore"):
        return x.astype(_KINDS.get(dtype, np.float32)).astype(float)


def refuse_mixing(
    network: Network, model: Model, parts: Sequence[InputPart], dtype: str, *, steps: int = 0
) -> None:
    """Samples in batches of several sizes, in several orders, must be what the network makes of each alone.

    A model that takes no batch of a size has nothing to mix there.

    Raises:
        ImportMismatchError: one sample's output depends on the others.
    """
    orders: Sequence[list[int]] = _ORDERS if model.batch == 1 else ([*range(model.batch)][::-1],)
    if max(map(len, orders)) * cost(network) > _OPERATIONS:
        orders = _ORDERS[:1] if model.batch == 1 else ()
    count = max(map(len, orders), default=0)
    x = np.random.default_rng(1).standard_normal((count, network.input_dim))
    for scale, order in product((1.0, 30.0, 1000.0), orders):
        _refuse_mixed_batch(network, model, _shared(scale * x[order], parts), dtype, steps)


def _refuse_mixed_batch(network: Network, model: Model, x: FloatArray, dtype: str, steps: int) -> None:
    """One batch: each row must be what the network makes of it."""
    x = _rounded(x, dtype)
    got, magnitude = _forward(network, x)
    try:
        alone = model.run(x[:1]) if model.batch == 1 else None
        aside = float(spline_deviation(network).max(initial=0.0))
        _compare(_of_each(model.run(x), alone, got), got, max(256, steps) * magnitude, dtype, aside)
    except NotRunnableError:
        return
    except ImportMismatchError as error:
        raise ImportMismatchError(MIXED) from error


def _shared(x: FloatArray, parts: Sequence[InputPart]) -> FloatArray:
    """Inputs without a batch axis are the same for all rows of a batch."""
    ends = np.cumsum([prod(part.shape) for part in parts])
    for part, end in zip(parts, ends, strict=True):
        if not part.batched:
            x[:, end - prod(part.shape) : end] = x[:1, end - prod(part.shape) : end]
    return x


def _of_each(
    outputs: Sequence[NDArray[Any]], alone: Sequence[NDArray[Any]] | None, got: FloatArray
) -> FloatArray:
    """The outputs of a batch, a row for each sample; what has the size of one belongs to the first."""
    rows, place = got.copy(), 0
    for number, y in enumerate(outputs):
        one = alone is not None and y.size == alone[number].size
        flat = np.asarray(y, dtype=float).reshape(1 if one or y.size % len(got) else len(got), -1)
        if place + flat.shape[1] > got.shape[1]:
            raise ImportMismatchError(MIXED)
        rows[: len(flat), place : place + flat.shape[1]] = flat
        place += flat.shape[1]
    if place != got.shape[1]:
        raise ImportMismatchError(MIXED)
    return rows


def runtime(network: Network) -> Reference | None:
    """The runtime that a loaded network was compared with: ``[B, d]`` to ``[B, out]`` in the file's own type.

    Arguments:
        network: as :func:`load` gives it.

    Returns:
        ``None`` for a network that nothing could run, or that was not loaded, or was changed since, and for
        modules in memory and archives of arrays.

    Raises:
        TypeError: this is no network.
    """
    if not isinstance(network, Network):
        raise TypeError(f"runtime: expected a Network, as load gives it, not {type(network).__name__}.")
    return _RUNTIMES.get(network)


def _compare(
    expected: FloatArray, got: FloatArray, magnitude: FloatArray, dtype: str, aside: float
) -> tuple[float | None, int]:
    """The largest absolute difference, and on how many rows: those on which the number type holds out.

    Where splines stand for smooth activations, the two may be ``aside`` apart.
    """
    overflown = ~np.isfinite(expected).all(axis=1) & (magnitude > _LARGEST[dtype] / 10)
    expected, got, magnitude = expected[~overflown], got[~overflown], magnitude[~overflown]
    if not expected.size:
        return None, 0
    difference = np.abs(expected - got).max(axis=1)
    allowed = TOLERANCE[dtype] * np.abs(got).max(axis=1) + _EPS[dtype] * magnitude + aside
    wrong = ~(difference <= allowed)
    if wrong.any():
        row = int(np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1.0)))
        raise ImportMismatchError(
            f"The network and the model differ by {difference[row]:.3g} on an input where the output is "
            f"of size {np.abs(got[row]).max():.3g}; rounding of {dtype} explains {allowed[row]:.3g}. "
            "Please report this model: one of its operators is converted wrongly, or it cancels numbers so "
            "large that the digits of the result are lost."
        )
    return float(difference.max()), len(difference)


def _forward(network: Network, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The outputs, and the largest pre-activation that each input meets: rounding is in proportion to it."""
    sizes, h = np.abs(x).max(axis=1, initial=0.0), x.T
    for _, _, z, h in sweep(network, x.T, Floats()):  # noqa: B007 the last h is the output
        sizes = np.maximum(sizes, np.abs(z).max(axis=0, initial=0.0))
    return np.ascontiguousarray(h.T), sizes


def cost(network: Network) -> int:
    """About how many multiplications one forward pass takes."""
    products = sum(stored(m) + m.shape[0] for layer in network.layers for m in layer.maps)
    return products + network.n_units + _LAYER_OVERHEAD * len(network.layers)


def probes(network: Network, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Inputs of ordinary size, and of size 1000; fewer for networks that take long."""
    d = network.input_dim
    widest = max(d, *(max(layer.width, len(layer.bias)) for layer in network.layers))
    count = int(np.clip(min(_OPERATIONS / cost(network) / 4, _LARGEST_BLOCK / widest), 1, 6))
    random = [
        rng.uniform(0, 1, (count, d)),
        rng.standard_normal((count, d)),
        rng.uniform(-1, 1, (count, d)) / 8,
    ]
    edges = [np.zeros((1, d)), np.ones((1, d)), np.full((1, d), -0.5)]
    wide = 1000.0 * rng.standard_normal((count, d))
    if count == 1:
        return np.concatenate([edges[0], random[0], random[1]]), wide
    pairs = straddling(network, random[1], 4.0 * random[0][::-1] - 2.0) if count == 6 else np.zeros((0, d))
    return np.concatenate([*edges, *random, 3.0 * random[1], pairs]), wide
