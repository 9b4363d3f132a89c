"""Matrices of maps by columns: how the search reads them."""

from __future__ import annotations

from scipy.sparse import csc_array

from polytope.ir.convolution import Convolution
from polytope.ir.maps import LinearMap, Transposed


def by_columns(linear: LinearMap) -> csc_array:
    """The matrix of a map, ``[out, in]``, compressed by columns."""
    if isinstance(linear, Convolution):
        return linear.to_columns()
    if isinstance(linear, Transposed):
        return csc_array(linear.of.to_sparse().T)
    return csc_array(linear.to_sparse())
