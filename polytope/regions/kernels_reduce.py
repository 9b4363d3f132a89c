r"""Compiled: how the undecided units of a cell depend on each other, all other units being eliminated.

On a cell, a unit that is fixed on a piece is affine, so the undecided rows are
:math:`z_v = c_v + \sum_u W_{uv} h_u` over the undecided units u of earlier layers alone. A column of W is the
sum over all paths through fixed units, found by one push through the network, with a bound on its error.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from polytope.regions.kernels_early import forget, hand_on, push_column
from polytope.regions.kernels_handle import kernel
from polytope.regions.kernels_layer import LAYER, LIVE, NLEN, NOFF


@kernel
def undecided(net, w, units, ends):
    """All undecided units in the order of their layers, and where each layer's end; their number."""
    R = w.R
    n = 0
    for q in range(net.par[1]):
        if q == R[LAYER]:
            for i in range(R[NLEN]):
                units[n] = w.lists[R[NOFF] + 2 * i]
                n += 1
        elif q > R[LAYER]:
            at, m = w.lists[R[LIVE] + 2 * q], w.lists[R[LIVE] + 2 * q + 1]
            for i in range(m):
                units[n] = w.lists[at + i]
                n += 1
        ends[q] = n
    return n


@kernel
def undecided_columns(net, w, units, ends, weights, errors):
    """Fill ``weights[u, v]``, the coefficient of unit u in the row of unit v, and bounds on its error."""
    d = net.par[0]
    last = net.par[1]
    h = w.hc
    q = 0
    for i in range(len(units)):
        while ends[q] <= i:
            q += 1
        for t in range(d + 3):
            h[t] = 0.0
        h[d] = 1.0
        h[d + 2] = 1.0
        push_column(net, w, units[i], q, h)
        for p in range(q + 1, last):
            hand_on(net, w, p)
            for j in range(ends[p - 1], ends[p]):
                r = net.src[units[j]]
                weights[i, j] = w.DZ[r, d]
                errors[i, j] = w.DZ[r, d + 1]
            forget(net, w, p)
