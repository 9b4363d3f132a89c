"""Numbers that are not finite: welcome in front of a maximum, which -inf never wins, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from polytope.errors import CorruptFileError, NotPiecewiseLinearError
from polytope.ir import Layer, LinearMap
from polytope.ir.maps import FloatArray

_INFINITE = (
    "An infinite number reaches it: a constant, or a product of weights beyond the range of float64. "
    "Only in front of a maximum, where -inf never wins, does one leave the function finite."
)


def moved(linear: LinearMap, constant: FloatArray) -> FloatArray:
    """A constant part after a linear map; a map may move infinities, but not make them cancel."""
    with np.errstate(invalid="ignore"):
        moved = linear.apply(constant[:, None])[:, 0]
    if np.isnan(moved).any() and not np.isnan(constant).any():
        raise NotPiecewiseLinearError(_INFINITE)
    return moved


def refuse_infinite(layer: Layer) -> None:
    """A layer with numbers that are not finite is not a layer."""
    tables: Iterable[FloatArray] = (t for m in layer.maps for t in _numbers(m))
    if np.isinf(layer.bias).any():
        raise NotPiecewiseLinearError(_INFINITE)
    if np.isnan(layer.bias).any() or not all(np.isfinite(t).all() for t in tables):
        raise CorruptFileError("Its weights hold or multiply up to numbers that are not finite.")


def _numbers(linear: LinearMap) -> list[FloatArray]:
    """The arrays of weights that a map keeps."""
    found: list[FloatArray] = []
    waiting: list[object] = [linear]
    while waiting:
        item = waiting.pop()
        for name in ("matrix", "factors", "kernel"):
            table = getattr(item, name, None)
            if table is not None:
                found.append(getattr(table, "data", table) if not isinstance(table, np.ndarray) else table)
        waiting += [getattr(item, n) for n in ("of", "outer", "inner") if hasattr(item, n)]
    return found
