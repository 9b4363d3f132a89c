"""Networks one after the other, affine layers folded into what reads them; networks on some coordinates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

import numpy as np

from polytope.ir import Layer, LinearMap, Network, Selection, algebra


def compose(networks: Iterable[Network]) -> Network:
    """Networks one after the other, the first one first, as one network."""
    return reduce(_after, networks)


def _after(first: Network, second: Network) -> Network:
    """``second`` after ``first``; a last affine layer joins the layer that alone reads it."""
    last, reader = first.layers[-1], second.layers[0]
    if last.activation is not None or second.last_use[0] > 1 or len(reader.inputs) > 1:
        return first.then(second)
    (outer,) = reader.maps
    maps = tuple(algebra.product(outer, inner) for inner in last.maps)
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


def plus_identity_on(inner: Network, read: np.ndarray, written: np.ndarray, dim: int) -> Network:
    """The map of R^dim that adds ``inner(x[read])`` to the coordinates ``written``."""
    place = np.full(dim, -1)
    place[written] = np.arange(len(written))
    pick = Network((dim,), (Layer((0,), (Selection(read, dim),), np.zeros(len(read))),))
    scatter = Selection(place, len(written))
    whole = compose([pick, inner, Network((len(written),), (Layer((0,), (scatter,), np.zeros(dim)),))])
    last = whole.layers[-1]
    if 0 in last.inputs:  # the conditioner is affine
        total: LinearMap = algebra.identity(dim)
        for linear in last.maps:
            total = algebra.summed(linear, total, dim)
        final = Layer((0,), (total,), last.bias)
    else:
        final = Layer((*last.inputs, 0), (*last.maps, algebra.identity(dim)), last.bias)
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
