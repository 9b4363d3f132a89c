r"""Units found by what they read: rows equal up to scale, the same activation.

Rows are compared along one random direction first, so a layer of n units is searched in about n log n steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from polytope.equivariant.symmetry.rounding import is_multiple
from polytope.ir import Activation
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.same_activation import members, same_activation


@dataclass(frozen=True)
class Match:
    """A unit that follows another: it reads ``scale`` times its rows, and is ``factor`` times the unit.

    Arguments:
        unit: the other.
        scale, factor: as said.
        pieces: the piece of the unit for each piece of the other.
        error: largest difference of rows and activations, relative to the largest entries.
        exact: whether there is none, in exact arithmetic.
    """

    unit: int
    scale: float
    factor: float
    pieces: tuple[int, ...]
    error: float
    exact: bool


class UnitSearch:
    """The units of a layer, to be found by the rows that they read.

    Arguments:
        rows: ``[n, w]``, the layer's pre-activations over some columns.
        activation: of the layer.
        tolerance: largest difference of rows, relative to their largest entry.
    """

    def __init__(self, rows: csr_array, activation: Activation, tolerance: float) -> None:
        self._rows, self._activation, self._tolerance = rows, activation, tolerance
        self._members = members(activation, rows.shape[0])
        self._direction = np.random.default_rng(0).standard_normal(rows.shape[1])
        reach = float(np.abs(self._direction).sum()) * self._members.shape[1]
        self._width = 2 * (tolerance + 2.0**-46) * reach
        self._size, shadow = self._measure(rows)
        signed = np.concatenate([shadow, -shadow])
        self._order = np.argsort(signed, kind="stable")
        self._sorted = signed[self._order]

    def all_alike(
        self, rows: csr_array, units: IntArray, *, values: bool
    ) -> Iterator[tuple[int, list[Match]]]:
        """For each of some units, described by ``rows [n, w]``, those of the layer that it follows.

        Arguments:
            values: whether values must be proportional, or only breakpoints equal.
        """
        size, shadow = self._measure(rows)
        for unit in units.tolist():
            at, scale = float(shadow[unit]), float(size[unit])
            first, last = np.searchsorted(self._sorted, [at - self._width, at + self._width])
            near = np.sort(self._order[first:last]).tolist() if scale else []
            found = (self._match(rows, unit, k, scale, values=values) for k in near)
            yield unit, [match for match in found if match is not None]

    def _measure(self, rows: csr_array) -> tuple[FloatArray, FloatArray]:
        """The size of every unit's rows, and their sum along the random direction, relative to it."""
        largest = np.append(np.asarray(abs(rows).max(axis=1).todense()).ravel(), 0.0)
        along = np.append(np.asarray(rows @ self._direction), 0.0)
        size = largest[self._members].max(axis=1)
        return size, along[self._members].sum(axis=1) / np.where(size > 0, size, 1.0)

    def _match(self, rows: csr_array, unit: int, number: int, size: float, *, values: bool) -> Match | None:
        """The match with a unit of the layer, with a positive scale or (second half) a negative one."""
        sign, other = divmod(number, len(self._members))
        if not self._size[other]:
            return None
        scale = (-1 if sign else 1) * size / float(self._size[other])
        paired = self._paired(rows, unit, other, scale, size)
        if paired is None:
            return None
        places, error, exact = paired
        same = same_activation(
            self._activation, unit, other, scale, places, values=values, tolerance=self._tolerance
        )
        if same is None:
            return None
        return Match(other, scale, same.factor, same.pieces, max(error, same.error), exact and same.exact)

    def _paired(
        self, rows: csr_array, unit: int, other: int, scale: float, size: float
    ) -> tuple[list[int], float, bool] | None:
        """Which row of the other unit each row of the unit is ``scale`` times, how nearly, and if exactly."""
        mine, theirs = ([m for m in self._members[u].tolist() if m >= 0] for u in (unit, other))
        if len(mine) != len(theirs):
            return None
        left = {place: _dense(self._rows, m) for place, m in enumerate(theirs)}
        places, worst, exact = [], 0.0, True
        for m in mine:
            row = _dense(rows, m)
            apart = {place: float(np.abs(row - scale * its).max()) / size for place, its in left.items()}
            place = min(apart, key=lambda p: apart[p])
            if not apart[place] <= self._tolerance:
                return None
            places.append(place)
            worst = max(worst, apart[place])
            exact = exact and not worst and is_multiple(row, scale, left.pop(place))
        return places, worst, exact


def _dense(rows: csr_array, i: int) -> FloatArray:
    """One row as a dense vector."""
    out = np.zeros(rows.shape[1])
    span = slice(int(rows.indptr[i]), int(rows.indptr[i + 1]))
    out[rows.indices[span]] = rows.data[span]
    return out
