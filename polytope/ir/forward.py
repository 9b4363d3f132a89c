r"""Forward passes: all pre-activations of a cell as affine functions of the input, layer after layer.

:math:`z_l = \sum_k A_{l,k} h_k + b_l` as a matrix and a constant; sparse as long as each unit sees a
small part of the input, as behind convolutions. Where all units are asked, cheaper than backward passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, eye_array

from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, compact, product, scaled

if TYPE_CHECKING:
    from polytope.ir.network import Layer, Network

Affine = tuple[Matrix, FloatArray]


def preactivation_maps(network: Network, pattern: PatternArray) -> Iterator[tuple[int, Matrix, FloatArray]]:
    """The number of every layer that bends, with ``(J [n, d], c [n])`` so that z = J x + c on the cell.

    Arguments:
        pattern: ``int8[units]``.
    """
    d, bending = network.input_dim, [n for n, la in enumerate(network.layers, start=1) if la.activation]
    values: list[Affine | None] = [(csr_array(eye_array(d)), np.zeros(d))]
    for number, layer in enumerate(network.layers[: max(bending, default=0)], start=1):
        J, c = _preactivation(layer, values)
        if layer.activation is None:
            values.append((J, c))
        else:
            yield number, J, c
            pieces = layer.activation.affine(network.layer_pattern(number, pattern))
            bent = scaled(J[pieces.source], pieces.slope)
            values.append((bent, pieces.slope * c[pieces.source] + pieces.intercept))
        for k in {*layer.inputs, number}:
            if network.last_use[k] <= number:
                values[k] = None


def _preactivation(layer: Layer, values: list[Affine | None]) -> Affine:
    total: Matrix | None = None
    constant = layer.bias
    for k, matrix in zip(layer.inputs, layer.matrices, strict=True):
        known = values[k]
        assert known is not None, "a value was dropped before its last use"
        J, c = known
        term = compact(matrix @ J) if k else matrix
        total = term if total is None else compact(total + term)
        constant = constant + product(matrix, c)
    assert total is not None, "a layer reads at least one value"
    return total, constant
