r"""The algebra of linear maps: products, sums, and the identity, over all kinds of maps.

``compose`` and ``merged_sum`` make one map of two where that costs no more than keeping two; the numbers of
the one are then rounded. ``chained`` keeps the factors, and rounds nothing. The identity may be written
``None``: most maps of a traced graph begin as one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from scipy.sparse import csr_array

from polytope.ir.convolution import Convolution
from polytope.ir.maps import (
    Composition,
    Dense,
    Diagonal,
    FloatArray,
    IntArray,
    LinearMap,
    Selection,
    Sparse,
    Transposed,
)
from polytope.ir.matrix import Matrix, compact

Map = LinearMap | None
"""A linear map, or ``None`` for the identity."""

_LARGEST_PRODUCT = 2**33
"""Multiplications that one fold may cost."""


def identity(n: int) -> Selection:
    """The identity on R^n."""
    return Selection(np.arange(n), n)


def given(linear: Map, n: int) -> LinearMap:
    """The map itself, the identity on R^n for ``None``."""
    return identity(n) if linear is None else linear


def of_matrix(matrix: Matrix) -> Dense | Sparse:
    """A matrix as a map, dense where more than a quarter of its entries are not zero."""
    kept = compact(matrix)
    return Dense(kept) if isinstance(kept, np.ndarray) else Sparse(kept)


def simplified(linear: Map) -> Map:
    """``None`` if the map is plainly the identity, else the map."""
    if linear is None:
        return None
    out, n = linear.shape
    if out != n:
        return linear
    if isinstance(linear, Selection) and (linear.index == np.arange(n)).all():
        return None
    if isinstance(linear, Diagonal) and (linear.factors == 1.0).all():
        return None
    return linear


def stored(linear: Map) -> int:
    """How many numbers a map keeps: what an application costs, up to the reuse of a kernel."""
    match linear:
        case None:
            return 0
        case Dense():
            return linear.matrix.size
        case Sparse():
            return int(linear.matrix.nnz)
        case Convolution():
            return linear.kernel.size * max(1, prod(linear.output_shape[1:]))
        case Transposed():
            return stored(linear.of)
        case Composition():
            return stored(linear.outer) + stored(linear.inner)
        case _:
            return linear.shape[0]


def depth(linear: Map) -> int:
    """How many factors a map has."""
    count = 1
    while isinstance(linear, Composition):
        count, linear = count + 1, linear.inner
    return count


def chained(outer: Map, inner: Map) -> Map:
    """``outer`` after ``inner`` as factors: no number of theirs changes."""
    if outer is None or inner is None:
        return inner if outer is None else outer
    return Composition(outer, inner)


def compose(outer: Map, inner: Map) -> Map:
    """``outer`` after ``inner``, folded as far as worth while; chains nest to the right."""
    if outer is None or inner is None:
        return inner if outer is None else outer
    if isinstance(outer, Composition):
        return compose(outer.outer, compose(outer.inner, inner))
    first = inner.outer if isinstance(inner, Composition) else inner
    folded = _fold(outer, first)
    if folded is None:
        return Composition(outer, inner)
    rest = inner.inner if isinstance(inner, Composition) else None
    return compose(simplified(folded), rest)


def product(outer: LinearMap, inner: LinearMap) -> LinearMap:
    """``outer`` after ``inner``, as ``compose`` makes it."""
    return given(compose(simplified(outer), simplified(inner)), inner.shape[1])


def _fold(outer: LinearMap, inner: LinearMap) -> LinearMap | None:
    """The product as one map, or ``None`` where two are cheaper."""
    if isinstance(outer, Transposed) and isinstance(inner, Diagonal | Transposed):
        folded = _fold(inner.of if isinstance(inner, Transposed) else inner, outer.of)
        return None if folded is None else Transposed(folded)
    if isinstance(outer, Diagonal) and isinstance(inner, Transposed):
        folded = _fold(inner.of, outer)
        return None if folded is None else Transposed(folded)
    rule = _RULES.get((type(outer), type(inner)))
    if rule is not None:
        return rule(outer, inner)
    if isinstance(outer, Dense) and _dense_pays(outer, inner):
        return Dense(np.ascontiguousarray(inner.apply_transpose(np.ascontiguousarray(outer.matrix.T)).T))
    if isinstance(inner, Dense) and _dense_pays(outer, inner):
        return Dense(outer.apply(inner.matrix))
    return None


def _dense_pays(outer: LinearMap, inner: LinearMap) -> bool:
    """Whether the full matrix of the product is no larger than the two factors."""
    size = outer.shape[0] * inner.shape[1]
    columns = inner.shape[1] if isinstance(inner, Dense) else outer.shape[0]
    other = outer if isinstance(inner, Dense) else inner
    pays = size <= max(stored(outer) + stored(inner), 1024)
    return pays and columns * stored(other) <= _LARGEST_PRODUCT


def _picked(index: IntArray, table: FloatArray) -> FloatArray:
    """Rows of a table, zeros where the index is -1."""
    out = table[index]
    out[index < 0] = 0.0
    return out


def _selection_selection(outer: Selection, inner: Selection) -> LinearMap:
    if not len(inner.index):
        return Selection(np.full(len(outer.index), -1), inner.n_inputs)
    index = np.where(outer.index >= 0, inner.index[outer.index], -1)
    return Selection(index, inner.n_inputs)


def _selection_dense(outer: Selection, inner: Dense) -> LinearMap | None:
    if len(outer.index) > 2 * len(inner.matrix) or not inner.matrix.size:
        return None
    return Dense(_picked(outer.index, inner.matrix))


def _dense_selection(outer: Dense, inner: Selection) -> LinearMap | None:
    rows, columns = outer.matrix.shape
    if rows * inner.n_inputs > max(2 * rows * columns, 1024):
        return None
    kept = inner.index >= 0
    out = np.zeros((inner.n_inputs, rows))
    np.add.at(out, inner.index[kept], outer.matrix.T[kept])
    return Dense(np.ascontiguousarray(out.T))


def _channel_factors(factors: FloatArray, shape: tuple[int, ...]) -> FloatArray | None:
    """One factor for each channel, or ``None`` if a factor changes within a channel."""
    table = factors.reshape(shape[0], -1)
    return table[:, 0] if table.size and (table == table[:, :1]).all() else None


def _rescaled(convolution: Convolution, kernel: FloatArray) -> Convolution:
    c = convolution
    return Convolution(kernel, c.input_shape, c.stride, c.dilation, c.padding, c.groups)


def _diagonal_convolution(outer: Diagonal, inner: Convolution) -> LinearMap | None:
    factors = _channel_factors(outer.factors, inner.output_shape)
    if factors is None:
        return None
    return _rescaled(inner, inner.kernel * factors.reshape(-1, *[1] * (inner.kernel.ndim - 1)))


def _convolution_diagonal(outer: Convolution, inner: Diagonal) -> LinearMap | None:
    factors = _channel_factors(inner.factors, outer.input_shape)
    if factors is None:
        return None
    grouped = np.repeat(factors.reshape(outer.groups, -1), len(outer.kernel) // outer.groups, axis=0)
    return _rescaled(outer, outer.kernel * grouped.reshape(*grouped.shape, *[1] * (outer.kernel.ndim - 2)))


def _sparse_product(outer: LinearMap, inner: LinearMap) -> LinearMap | None:
    left, right = outer.to_sparse(), inner.to_sparse()
    products = int(np.diff(right.indptr)[left.indices].sum())
    if products > 2 * (left.nnz + right.nnz) + 1024:
        return None
    return Sparse(csr_array(left @ right))


_RULES: dict[tuple[type, type], Callable[..., LinearMap | None]] = {
    (Selection, Selection): _selection_selection,
    (Selection, Dense): _selection_dense,
    (Dense, Selection): _dense_selection,
    (Diagonal, Diagonal): lambda a, b: Diagonal(a.factors * b.factors),
    (Diagonal, Dense): lambda a, b: Dense(a.factors[:, None] * b.matrix),
    (Dense, Diagonal): lambda a, b: Dense(a.matrix * b.factors),
    (Diagonal, Convolution): _diagonal_convolution,
    (Convolution, Diagonal): _convolution_diagonal,
    **{
        (a, b): _sparse_product
        for a in (Sparse, Selection, Diagonal)
        for b in (Sparse, Selection, Diagonal)
        if Sparse in (a, b)
    },
}


def merged_sum(first: Map, second: Map, n: int) -> LinearMap | None:
    """The sum of two maps as one map (n: number of outputs), or ``None`` where two are cheaper."""
    if first is second:
        doubled = compose(Diagonal(np.full(n, 2.0)), first)
        assert doubled is not None, "twice the identity is not the identity"
        return doubled
    a = Diagonal(np.ones(n)) if first is None else first
    b = Diagonal(np.ones(n)) if second is None else second
    match a, b:
        case Diagonal(), Diagonal():
            return Diagonal(a.factors + b.factors)
        case Dense(), Dense():
            return Dense(a.matrix + b.matrix)
        case Convolution(), Convolution() if _same_geometry(a, b):
            return _rescaled(a, a.kernel + b.kernel)
        case Selection(), Selection() if not ((a.index >= 0) & (b.index >= 0)).any():
            return Selection(np.maximum(a.index, b.index), a.n_inputs)
        case ((Selection() | Diagonal() | Sparse()), (Selection() | Diagonal() | Sparse())):
            total = a.to_sparse() + b.to_sparse()
            return Sparse(csr_array(total)) if total.nnz <= max(4 * n, 4096) else None
    return None


def summed(first: Map, second: Map, n: int) -> LinearMap:
    """The sum of two maps as one map (n: number of outputs), even where two are cheaper."""
    total = merged_sum(first, second, n)
    if total is not None:
        return total
    return of_matrix(csr_array(given(first, n).to_sparse() + given(second, n).to_sparse()))


def _same_geometry(a: Convolution, b: Convolution) -> bool:
    """Whether two convolutions differ in the kernel's numbers only."""
    return (a.kernel.shape, a.input_shape, a.stride, a.dilation, a.padding, a.groups) == (
        b.kernel.shape,
        b.input_shape,
        b.stride,
        b.dilation,
        b.padding,
        b.groups,
    )
