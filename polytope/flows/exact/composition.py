"""Networks one after the other, affine layers folded into what reads them; networks on some coordinates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

import numpy as np
from scipy.sparse import csr_array

from polytope.ir import Composition, Convolution, Dense, Layer, LinearMap, Network, Selection, Sparse
from polytope.ir.matrix import Matrix, compact


def compose(networks: Iterable[Network]) -> Network:
    """Networks one after the other, the first one first, as one network."""
    return reduce(_after, networks)


def _after(first: Network, second: Network) -> Network:
    """``second`` after ``first``; a last layer that bends nothing joins the layer that alone reads it."""
    last, reader = first.layers[-1], second.layers[0]
    if last.activation is not None or second.last_use[0] > 1 or len(reader.inputs) > 1:
        return first.then(second)
    (outer,) = reader.maps
    maps = tuple(product(outer, inner) for inner in last.maps)
    bias = outer.apply(last.bias[:, None])[:, 0] + reader.bias
    joined = Layer(last.inputs, maps, bias, reader.activation)
    shift = len(first.layers) - 1
    rest = tuple(replace(la, inputs=tuple(k + shift for k in la.inputs)) for la in second.layers[1:])
    return replace(
        first,
        layers=(*first.layers[:-1], joined, *rest),
        output_names=second.output_names,
        import_error=None,
        import_note="",
    )


def product(outer: LinearMap, inner: LinearMap) -> LinearMap:
    """``outer`` after ``inner`` as one map; convolutions stay factors."""
    for one, other in ((outer, inner), (inner, outer)):
        if is_identity(one):
            return other
    if isinstance(outer, Convolution | Composition) or isinstance(inner, Convolution | Composition):
        return Composition(outer, inner)
    return from_matrix(csr_array(outer.to_sparse() @ inner.to_sparse()))


def from_matrix(matrix: Matrix) -> LinearMap:
    """A matrix as a map, dense or sparse."""
    kept = compact(matrix)
    return Dense(kept) if isinstance(kept, np.ndarray) else Sparse(kept)


def identity(n: int) -> Selection:
    """The identity of R^n."""
    return Selection(np.arange(n), n)


def is_identity(linear: LinearMap) -> bool:
    """Whether a map is a selection of all coordinates in their order."""
    return (
        isinstance(linear, Selection)
        and linear.shape[0] == linear.n_inputs
        and bool((linear.index == np.arange(linear.n_inputs)).all())
    )


def plus_identity_on(inner: Network, read: np.ndarray, written: np.ndarray, dim: int) -> Network:
    """The map of R^dim that adds ``inner(x[read])`` to the coordinates ``written``."""
    place = np.full(dim, -1)
    place[written] = np.arange(len(written))
    pick = Network((dim,), (Layer((0,), (Selection(read, dim),), np.zeros(len(read))),))
    scatter = Selection(place, len(written))
    whole = compose([pick, inner, Network((len(written),), (Layer((0,), (scatter,), np.zeros(dim)),))])
    last = whole.layers[-1]
    if 0 in last.inputs:  # the conditioner is affine
        terms = [m.to_sparse() for m in (*last.maps, identity(dim))]
        final = Layer((0,), (from_matrix(csr_array(sum(terms[1:], terms[0]))),), last.bias)
    else:
        final = Layer((*last.inputs, 0), (*last.maps, identity(dim)), last.bias)
    return replace(whole, layers=(*whole.layers[:-1], final))


def beside_identity(inner: Network, dim: int) -> Network:
    """``inner`` on the first coordinates of R^dim, the others unchanged."""
    k = inner.input_dim
    pick = Network((dim,), (Layer((0,), (Selection(np.arange(k), dim),), np.zeros(k)),))
    shifted = pick.then(inner)
    index = np.arange(dim)
    front = Selection(np.where(index < k, index, -1), k)
    kept = Selection(np.where(index < k, -1, index), dim)
    joined = Layer((len(shifted.layers), 0), (front, kept), np.zeros(dim))
    return replace(shifted, layers=(*shifted.layers, joined))
