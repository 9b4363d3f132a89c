r"""By how much each row of a polyhedron can be exceeded, and what holds it, by the native simplex method.

Rows :math:`r_i y \le h_i` of unit length around the unit ball (see ``facets``). Row i carries a facet if
:math:`r_i y` exceeds :math:`h_i` somewhere where all other rows hold; it is let go up to :math:`2 h_i`. The
answers are proposals: ``float_proofs`` proves them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope import _core
from polytope.ir.maps import FloatArray, IntArray

FAILED, BOXED, FREE = 0, 1, 2


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
    return Proposals(*_core.propose_facets(np.ascontiguousarray(rows), wanted, reach))
