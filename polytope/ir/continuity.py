"""Networks that no search takes: they jump, or have weights that are not finite numbers."""

from __future__ import annotations

import numpy as np

from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.network import Network


def refuse_infinite(network: Network) -> None:
    """Raise a ``ValueError`` that names a layer with weights that are not finite numbers, if there is one."""
    for number, layer in enumerate(network.layers, start=1):
        if not (np.isfinite(layer.bias).all() and all(map(_is_finite, layer.maps))):
            raise ValueError(
                f"Layer {number} has weights that are not finite numbers (NaN or infinite), so that it is no "
                "piecewise-linear function: look for where they come from in training or conversion."
            )


def _is_finite(linear: LinearMap) -> bool:
    """Whether all numbers of a map are finite."""
    tables: list[FloatArray] = []

    def look(table: FloatArray) -> FloatArray:
        tables.append(table)
        return table

    linear.entrywise(look)
    return all(np.isfinite(table).all() for table in tables)


def refuse_jumps(network: Network) -> None:
    """Raise a ``ValueError`` that names a unit whose pieces do not meet exactly, if there is one."""
    for number, layer in enumerate(network.layers, start=1):
        where = layer.activation and layer.activation.jump()
        if where:
            raise ValueError(
                f"Unit {where[0]} of layer {number} is not continuous in exact arithmetic: its pieces "
                f"{where[1]} and {where[1] + 1} differ where they meet. Choose breakpoints, slopes and "
                "intercepts that agree exactly (of few bits, powers of two), or clip behind an affine layer."
            )
