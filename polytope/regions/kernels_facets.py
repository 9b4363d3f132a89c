r"""Compiled: which rows of a polyhedron carry facets, and a point beyond each, by the simplex method.

Rows :math:`r_i y \le h_i` of unit length around the unit ball (see ``facets``). Row i carries a facet if
:math:`r_i y` exceeds :math:`h_i` somewhere where all other rows hold; it is let go up to :math:`2 h_i`.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.kernels_handle import Handle, kernel
from polytope.regions.kernels_simplex import (
    FAST,
    OPTIMAL,
    extend,
    first_vertex,
    load_objective,
    maximise,
    vertex,
)

UNCLEAR, IMPLIED, FACET = 0, 1, 2
REACHES = (1e3, 1e7)  # bounds on the coordinates, near points first: what the bound decides is unclear
MARGIN, TOLERANCE = 1e-6, 1e-8


class FacetWork(Handle):
    """A dictionary (see ``kernels_simplex``), its copy (T0, beta0, i0), the rows, and the answers.

    ``wanted`` numbers of rows to decide; ``state`` what was found, ``points`` beyond the facets.
    """

    fields: ClassVar[dict[str, tuple[str, int]]] = {
        **dict.fromkeys(("T", "T0", "rows", "points"), ("f", 2)),
        **dict.fromkeys(("beta", "beta0", "lo", "hi", "weight", "f", "fl", "x"), ("f", 1)),
        **dict.fromkeys(("basic", "nonb", "upper", "i0", "stat", "wanted", "state"), ("i", 1)),
    }


@kernel
def load_row(w, d, i):
    """Row i into ``f``."""
    for t in range(d + 1):
        w.f[t] = w.rows[i, t]


@kernel
def copy(w, d, m, back):
    """Copy the dictionary, or take the copy back."""
    for k in range(d):
        for i in range(m):
            if back:
                w.T[k, i] = w.T0[k, i]
            else:
                w.T0[k, i] = w.T[k, i]
        if back:
            w.nonb[k], w.upper[k] = w.i0[m + 2 * k], w.i0[m + 2 * k + 1]
        else:
            w.i0[m + 2 * k], w.i0[m + 2 * k + 1] = w.nonb[k], w.upper[k]
    for i in range(m):
        if back:
            w.beta[i], w.basic[i] = w.beta0[i], w.i0[i]
        else:
            w.beta0[i], w.i0[i] = w.beta[i], w.basic[i]


@kernel
def let_go(w, d, m, i):
    """Let row i be exceeded, as far again as it is from the origin."""
    w.lo[d + i] = w.rows[i, d]
    for k in range(d):
        if w.nonb[k] == d + i:
            w.hi[d + i] = 0.0
            w.upper[k] = 1


@kernel(fastmath=FAST)
def excess(w, d, m, i):
    """The largest excess of a row other than i at ``x``."""
    worst = -np.inf
    for j in range(m):
        if j == i:
            continue
        y = w.rows[j, d]
        for t in range(d):
            y += w.rows[j, t] * w.x[t]
        worst = max(worst, y)
    return worst


@kernel(fastmath=FAST)
def implied(w, d, m, i):
    """Whether the multipliers at the optimum bound row i below its right-hand side."""
    y = w.weight
    for j in range(m):
        y[j] = 0.0
    for k in range(d):
        v = w.nonb[k]
        if v >= d:
            y[v - d] = max(-w.T[k, m], 0.0)
        elif abs(w.T[k, m]) > TOLERANCE:
            return False
    y[i] = 0.0
    bound = w.rows[i, d]
    for j in range(m):
        bound -= y[j] * w.rows[j, d]
    for t in range(d):
        rest = w.rows[i, t]
        for j in range(m):
            rest -= y[j] * w.rows[j, t]
        bound += abs(rest) * w.hi[t]
    return bound < -0.5 * MARGIN


@kernel
def decide_rows(w, d, m):
    """Decide the wanted rows; those left unclear keep that state."""
    first_vertex(w, d)
    for i in range(m):
        load_row(w, d, i)
        load_objective(w, d, i, -1.0)
        if not extend(w, d, i):
            return
    copy(w, d, m, False)
    for n in range(w.wanted.shape[0]):
        i = w.wanted[n]
        let_go(w, d, m, i)
        load_row(w, d, i)
        load_objective(w, d, m, 1.0)
        code = maximise(w, d, m, np.inf)
        if code == OPTIMAL and w.beta[m] > MARGIN:
            vertex(w, d, m, w.x)
            if excess(w, d, m, i) <= TOLERANCE:
                w.state[n] = FACET
                for t in range(d):
                    w.points[n, t] = w.x[t]
        elif code == OPTIMAL and w.beta[m] < -MARGIN and implied(w, d, m, i):
            w.state[n] = IMPLIED
        w.lo[d + i], w.hi[d + i] = 0.0, np.inf
        copy(w, d, m, True)


def decided(rows: FloatArray, wanted: IntArray) -> tuple[IntArray, FloatArray]:
    """Whether rows carry facets, ``UNCLEAR``, ``IMPLIED`` or ``FACET``, and points beyond the facets.

    Arguments:
        rows: ``[m, d + 1]`` of unit length, ``r[:d] . y + r[d] <= 0``, with the unit ball inside.
        wanted: the numbers of the rows to decide.
    """
    m, d = len(rows), rows.shape[1] - 1
    state, points = np.zeros(len(wanted), dtype=np.int64), np.zeros((len(wanted), d))
    for reach in REACHES:
        left = np.flatnonzero(state == UNCLEAR)
        if len(left):
            w = _work(rows, wanted[left], reach)
            decide_rows(w, d, m)
            state[left], points[left] = w.state, w.points
    return state, points


def _work(rows: FloatArray, wanted: IntArray, reach: float) -> FacetWork:
    m, d = len(rows), rows.shape[1] - 1
    floats: dict[str, Any] = {
        "T": (d, m + 1),
        "T0": (d, m + 1),
        "points": (len(wanted), d),
        **dict.fromkeys(("beta", "beta0", "weight"), m + 1),
        **dict.fromkeys(("f", "x"), d + 1),
        "fl": 16,
    }
    ints = {"basic": m + 1, "nonb": d, "upper": d, "i0": m + 2 * d, "stat": 16, "state": len(wanted)}
    return FacetWork(
        {name: np.zeros(shape) for name, shape in floats.items()}
        | {name: np.zeros(shape, dtype=np.int64) for name, shape in ints.items()}
        | {"rows": rows, "wanted": wanted}
        | {"lo": np.repeat([-reach, 0.0], [d, m]), "hi": np.repeat([reach, np.inf], [d, m])}
    )
