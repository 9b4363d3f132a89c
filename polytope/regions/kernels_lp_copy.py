r"""Compiled: the arrays of a search over cells of inequalities, and copies of cells in an arena.

A branch of the search that is left behind keeps a copy of its cell's dictionary, known points and centers.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from typing import ClassVar

from polytope.regions.kernels_handle import Handle, kernel
from polytope.regions.kernels_layer import ITOP, RECN, VTOP
from polytope.regions.kernels_lp_cell import POOL, RADIUS
from polytope.regions.kernels_lp_parts import RADII


class LpWork(Handle):
    """The state of one search: the present cell, arenas used as stacks, and scratch.

    R registers; Z affine maps with their trail (saved, ti, tf; see ``kernels_layer``); T, beta, basic, nonb,
    upper the dictionary; lo, hi the box; rows (planes: coefficients, constant, error, size), rec_i and brks
    the cell's rows and where they come from; center; pool known points, oldest the next to be dropped; two
    the centers of the two parts, deep those of exact arithmetic; fa, ia copies of cells; lists, frames, path
    as in ``kernels``; seg, lab pieces of the decided units; g, f the row being decided; fl numbers; stat what
    decided how often; o_* output; the rest is scratch.
    """

    fields: ClassVar[dict[str, tuple[str, int]]] = {
        **dict.fromkeys(
            ("R", "saved", "ti", "lists", "seg", "pl", "path", "need", "basic", "nonb", "upper"), ("i", 1)
        ),
        **dict.fromkeys(("oldest", "ia", "stat", "o_ptr", "o_unit"), ("i", 1)),
        **dict.fromkeys(("Z", "hb", "T", "rows", "pool", "two", "deep", "o_point"), ("f", 2)),
        **dict.fromkeys(("tf", "g", "f", "fl", "beta", "lo", "hi", "weight", "slack", "slack1"), ("f", 1)),
        **dict.fromkeys(("brks", "center", "x", "pv", "pw", "fa"), ("f", 1)),
        **dict.fromkeys(("frames", "rec_i"), ("i", 2)),
        **dict.fromkeys(("lab", "fix"), ("b", 1)),
        "o_pat": ("b", 2),
    }


@kernel
def copy_size(net, w):
    """Floats and integers that a copy of the cell takes."""
    d, m = net.par[0], w.R[RECN]
    return (d + 1) * m + d * w.R[POOL] + 3 * d + 3, m + 2 * d + 1


@kernel
def save(net, w):
    """Put a copy of the cell into the arena."""
    R = w.R
    d, m, n = net.par[0], R[RECN], R[POOL]
    fa, ia = w.fa, w.ia
    at = R[VTOP]
    for k in range(d):
        col = w.T[k]
        for i in range(m):
            fa[at + i] = col[i]
        at += m
        p = w.pool[k]
        for i in range(n):
            fa[at + i] = p[i]
        at += n
        fa[at], fa[at + 1], fa[at + 2] = w.center[k], w.two[0, k], w.two[1, k]
        at += 3
    for i in range(m):
        fa[at + i] = w.beta[i]
    at += m
    fa[at], fa[at + 1], fa[at + 2] = w.fl[RADIUS], w.fl[RADII], w.fl[RADII + 1]
    R[VTOP] = at + 3
    at = R[ITOP]
    for i in range(m):
        ia[at + i] = w.basic[i]
    at += m
    for k in range(d):
        ia[at + 2 * k], ia[at + 2 * k + 1] = w.nonb[k], w.upper[k]
    ia[at + 2 * d] = w.oldest[0]
    R[ITOP] = at + 2 * d + 1


@kernel
def restore(net, w):
    """Take back the copy at the top marks; it stays in the arena."""
    R = w.R
    d, m, n = net.par[0], R[RECN], R[POOL]
    fa, ia = w.fa, w.ia
    at = R[VTOP]
    for k in range(d):
        col = w.T[k]
        for i in range(m):
            col[i] = fa[at + i]
        at += m
        p = w.pool[k]
        for i in range(n):
            p[i] = fa[at + i]
        at += n
        w.center[k], w.two[0, k], w.two[1, k] = fa[at], fa[at + 1], fa[at + 2]
        at += 3
    for i in range(m):
        w.beta[i] = fa[at + i]
    at += m
    w.fl[RADIUS], w.fl[RADII], w.fl[RADII + 1] = fa[at], fa[at + 1], fa[at + 2]
    R[VTOP] = at + 3
    at = R[ITOP]
    for i in range(m):
        w.basic[i] = ia[at + i]
    at += m
    for k in range(d):
        w.nonb[k], w.upper[k] = ia[at + 2 * k], ia[at + 2 * k + 1]
    w.oldest[0] = ia[at + 2 * d]
    R[ITOP] = at + 2 * d + 1
