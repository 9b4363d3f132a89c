r"""Compiled: by how much each row of a polyhedron can be exceeded, and what holds it, by the simplex method.

Rows :math:`r_i y \le h_i` of unit length around the unit ball (see ``facets``). Row i carries a facet if
:math:`r_i y` exceeds :math:`h_i` somewhere where all other rows hold; it is let go up to :math:`2 h_i`. The
answers are proposals: ``float_proofs`` proves them.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.kernels_handle import Handle, kernel
from polytope.regions.kernels_simplex import (
    OPTIMAL,
    extend,
    first_vertex,
    load_objective,
    maximise,
    vertex,
)

FAILED, BOXED, FREE = 0, 1, 2


class FacetWork(Handle):
    """A dictionary (see ``kernels_simplex``), its copy (T0, beta0, i0), the rows, and the answers.

    ``wanted`` numbers of rows to ask for; the other names are those of ``Proposals``.
    """

    fields: ClassVar[dict[str, tuple[str, int]]] = {
        **dict.fromkeys(("T", "T0", "rows", "points", "multipliers"), ("f", 2)),
        **dict.fromkeys(("beta", "beta0", "lo", "hi", "weight", "f", "fl", "x", "value"), ("f", 1)),
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


@kernel
def answer(w, d, m, n, i):
    """What the optimum says of row i: its vertex, and multipliers of the rows; whether the box holds it."""
    w.value[n] = w.beta[m]
    vertex(w, d, m, w.x)
    for t in range(d):
        w.points[n, t] = w.x[t]
    w.state[n] = FREE
    for k in range(d):
        v = w.nonb[k]
        if v >= d:
            w.multipliers[n, v - d] = max(-w.T[k, m], 0.0)
        elif w.T[k, m] != 0.0:
            w.state[n] = BOXED
    w.multipliers[n, i] = 0.0


@kernel
def ask_rows(w, d, m):
    """Answer for the wanted rows; those where the simplex method fails keep the state ``FAILED``."""
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
        if maximise(w, d, m, np.inf) == OPTIMAL:
            answer(w, d, m, n, i)
        w.lo[d + i], w.hi[d + i] = 0.0, np.inf
        copy(w, d, m, True)


@dataclass(frozen=True, eq=False)
class Proposals:
    """What the simplex method says of k rows; nothing of it is proved.

    Arguments:
        state: ``[k]``, ``FAILED``, ``BOXED`` where a bound on coordinates holds the optimum, or ``FREE``.
        value: ``[k]``, by how much a row can be exceeded while the others hold, at most its distance.
        points: ``[k, d]``, where it is.
        multipliers: ``[k, m]``, of the other rows, not negative.
    """

    state: IntArray
    value: FloatArray
    points: FloatArray
    multipliers: FloatArray


def proposals(rows: FloatArray, wanted: IntArray, reach: float) -> Proposals:
    """By how much rows can be exceeded, where, and what holds them.

    Arguments:
        rows: ``[m, d + 1]`` of unit length, ``r[:d] . y + r[d] <= 0``, with the unit ball inside.
        wanted: the numbers of the rows to ask for.
        reach: a bound on the coordinates.
    """
    m, d = len(rows), rows.shape[1] - 1
    w = _work(rows, wanted, reach)
    ask_rows(w, d, m)
    return Proposals(w.state, w.value, w.points, w.multipliers)


def _work(rows: FloatArray, wanted: IntArray, reach: float) -> FacetWork:
    m, d = len(rows), rows.shape[1] - 1
    floats: dict[str, Any] = {
        "T": (d, m + 1),
        "T0": (d, m + 1),
        "points": (len(wanted), d),
        "multipliers": (len(wanted), m),
        "value": len(wanted),
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
