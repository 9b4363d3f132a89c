r"""Two units of the same activation up to scale: :math:`\phi_i(s z) = t \, \phi_j(z)`, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir.activations import Activation, MaxGroups, PiecewiseLinear
from polytope.ir.maps import FloatArray, IntArray


@dataclass(frozen=True)
class SameActivation:
    """Unit i reads s times what unit j reads, and is then t times unit j.

    Arguments:
        factor: t.
        pieces: the piece of unit i for each piece of unit j.
        error: largest difference of the two functions' numbers, relative to the largest.
        exact: whether they are proved to agree: no number was rounded.
    """

    factor: float
    pieces: tuple[int, ...]
    error: float
    exact: bool


def members(activation: Activation, n: int) -> IntArray:
    """The pre-activations that each unit reads, ``int[units, m]``; -1 fills shorter rows at the end."""
    if isinstance(activation, MaxGroups):
        return activation.members
    return np.arange(n)[:, None]


def same_activation(
    activation: Activation,
    i: int,
    j: int,
    scale: float,
    places: Sequence[int],
    *,
    values: bool,
    tolerance: float,
) -> SameActivation | None:
    """How unit i follows unit j whose pre-activations it reads times ``scale``; ``None`` if it does not.

    Arguments:
        scale: s, not 0.
        places: for each pre-activation that i reads, the place among those of j that it is a multiple of.
        values: whether values must be proportional; otherwise only their breakpoints must be equal.
        tolerance: largest relative difference of breakpoints, slopes and intercepts.
    """
    if isinstance(activation, MaxGroups):
        if scale <= 0 or len(places) != activation.n_pieces(j):
            return None
        return SameActivation(scale, tuple(int(p) for p in np.argsort(places)), 0.0, True)
    assert isinstance(activation, PiecewiseLinear), "there are two kinds of activations"
    mine, theirs = _table(activation, i, scale), _table(activation, j, 1.0)
    if len(mine[0]) != len(theirs[0]):
        return None
    error = _difference(mine[0], theirs[0])
    factor = 1.0
    if values:
        a, b = np.concatenate(mine[1:]), np.concatenate(theirs[1:])
        largest = int(np.abs(b).argmax())
        factor = float(a[largest] / b[largest]) if b[largest] else 1.0
        if not factor:
            return None
        error = max(error, _difference(a, factor * b))
    if not error <= tolerance:
        return None
    order = range(len(mine[0]) + 1)
    same = _table(activation, i, 1.0)
    homogeneous = scale > 0 and not same[0].any() and not same[2].any()
    unrounded = abs(scale) == 1 or (homogeneous and all(map(np.array_equal, same, theirs)))
    return SameActivation(
        factor, tuple(order if scale > 0 else reversed(order)), error, error == 0 and unrounded
    )


def _table(activation: PiecewiseLinear, unit: int, scale: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Breakpoints, slopes and intercepts of a unit as a function of z, where it reads ``scale * z``."""
    at, slopes, intercepts = (
        table[unit if len(table) > 1 else 0]
        for table in (activation.breakpoints, activation.slopes, activation.intercepts)
    )
    k = int(np.isfinite(at).sum())
    step = 1 if scale > 0 else -1
    return at[:k][::step] / scale + 0.0, slopes[: k + 1][::step] * scale, intercepts[: k + 1][::step]


def _difference(a: FloatArray, b: FloatArray) -> float:
    """The largest difference, relative to the largest entry."""
    size = float(np.abs(np.concatenate([a, b])).max(initial=0.0))
    return float(np.abs(a - b).max(initial=0.0)) / size if size else 0.0
