r"""Compiled: a row as an affine function of the input in twice the precision of floats, with an error bound.

One backward pass in pairs of floats, whose sum is a number of 106 bits. Adding :math:`c Y` to X is off by at
most :math:`8 u^2 |c Y| + 3 u^2 |X|` (:math:`u = 2^{-53}`), so a sum of n terms by :math:`(3 n + 8) u^2` of
the sum of their sizes, and what the network makes of it by the sum of these shares along the pass: no more
than 3 for each addition to a number that others are computed from, and 8 for each of 3 steps in a layer. Each
addition adds ``LOST`` to the sum of sizes, for what underflows: its share is more than can be lost.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from fractions import Fraction

from polytope.regions.flat_network import FlatNetwork
from polytope.regions.kernels_exact import two_product, two_sum
from polytope.regions.kernels_handle import kernel

LOST = 2.0**-900


def error_share(net: FlatNetwork) -> Fraction:
    """The error of a row that was pulled back, as a share of the sum of sizes that comes with it.

    Additions: of each pre-activation to a unit's coefficient, of each unit to a pre-activation's, of both to
    the constant. One more for each bounds terms of higher order and the rounding of the sizes.
    """
    additions, layers = 2 * (net.Z0.shape[1] + len(net.kind)), int(net.par[1])
    return Fraction(4 * additions + 32 * layers, 2**106)


@kernel
def add_multiple(X, c, Y):
    """``X += c Y`` for pairs of floats with the sum of all sizes in third place."""
    p, e = two_product(c, Y[0])
    e += c * Y[1]
    p, e = two_sum(p, e)
    s, f = two_sum(X[0], p)
    t, g = two_sum(X[1], e)
    s, f = two_sum(s, f + t)
    X[0], X[1] = two_sum(s, f + g)
    X[2] += abs(c) * Y[2] + (LOST if c != 0.0 else 0.0)


@kernel
def pull_unit(net, u, layer, C, X):
    """The coefficient of unit u in the row, from those of the rows that read it, into X."""
    X[0], X[1], X[2] = 0.0, 0.0, 0.0
    j = u - net.unit_off[layer]
    for e in range(net.rd_ptr[layer], net.rd_ptr[layer + 1]):
        q = net.rd_layer[e]
        if net.rd_dense[e] >= 0:
            n = net.pre_off[q + 1] - net.pre_off[q]
            at = net.rd_dense[e] + j * n
            for i in range(n):
                if C[net.pre_off[q] + i, 2] != 0.0:
                    add_multiple(X, net.dense[at + i], C[net.pre_off[q] + i])
        else:
            at = net.rd_sparse[e] + j
            for p in range(net.sp_ptr[at], net.sp_ptr[at + 1]):
                if C[net.sp_idx[p], 2] != 0.0:
                    add_multiple(X, net.sp_val[p], C[net.sp_idx[p]])


@kernel
def pull_back(net, seg, C, X, out):
    """Coefficients and constant of the row whose members have weights in C, which must be zero elsewhere."""
    d = net.par[0]
    for layer in range(net.par[1] - 1, -1, -1):
        for u in range(net.unit_off[layer], net.unit_off[layer + 1]):
            kind = net.kind[u]
            if kind == 2 or net.rd_ptr[layer] == net.rd_ptr[layer + 1]:
                continue
            at = net.tab[u] + seg[u]
            if kind == 0 and net.slope[at] == 0.0 and net.icept[at] == 0.0:
                continue
            pull_unit(net, u, layer, C, X)
            if X[2] == 0.0:
                continue
            if kind == 0:
                add_multiple(C[net.src[u]], net.slope[at], X)
                add_multiple(out[d], net.icept[at], X)
            else:
                add_multiple(C[net.mem[at]], 1.0, X)
        for r in range(net.pre_off[layer], net.pre_off[layer + 1]):
            if C[r, 2] != 0.0:
                for t in range(d + 1):
                    if net.Z0[t, r] != 0.0:
                        add_multiple(out[t], net.Z0[t, r], C[r])
