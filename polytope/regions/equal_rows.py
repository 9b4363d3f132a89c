"""Rows of a region with one hyperplane: candidates by the bounds on their errors, then exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polytope.exact.dyadic import primitive
from polytope.ir.forward import U
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense_rows, product
from polytope.regions.region_rows import RegionRows

TOGETHER = 64  # pairs that are compared at once


def equal_rows(
    described: RegionRows, exact: Callable[[int], list[int]]
) -> tuple[IntArray, dict[int, list[int]]]:
    """The first row of each set of rows with one hyperplane, and the sets of more than one by their first.

    Unit rows that are equal exactly differ by at most the sum of their errors, so their shadows on any
    direction do: neighbours by the length of the shadow are candidates.

    Arguments:
        described: rows, those of the domain before those of units.
        exact: from a row's number to ``d + 1`` integers, a positive multiple of it.
    """
    m, d = described.A.shape
    direction: FloatArray = np.random.default_rng(0).standard_normal((d,))
    length = float(np.linalg.norm(direction)) * (1 + 2.0**-20)
    shadow: FloatArray = product(described.A, direction)
    order = np.argsort(shadow, kind="stable")
    turned = 2 * described.tilt + (2 * d + 8) * U  # the true row of unit length differs by no more
    width = turned * length
    if not m or (np.diff(shadow[order]) > 2 * width.max()).all():
        return np.arange(m), {}
    first = np.searchsorted(shadow[order], shadow - 2 * width.max())
    count = np.searchsorted(shadow[order], shadow + 2 * width.max(), side="right") - first
    i = np.repeat(np.arange(m), count)
    k = order[np.arange(len(i)) - np.repeat(np.cumsum(count) - count - first, count)]
    moved = described.shift + 2 * np.abs(described.c) * turned + 4 * U * np.abs(described.c)
    near = (k < i) & (np.abs(described.c[k] - described.c[i]) <= moved[k] + moved[i])
    near[near] = _distances(described.A, i[near], k[near]) <= turned[i[near]] + turned[k[near]]
    return _sets(m, np.stack([k[near], i[near]], axis=1), exact)


def _sets(
    m: int, pairs: IntArray, exact: Callable[[int], list[int]]
) -> tuple[IntArray, dict[int, list[int]]]:
    """The sets of equal rows among pairs of candidates."""
    sets: dict[tuple[int, ...], list[int]] = {}
    for i in np.unique(pairs).tolist():
        sets.setdefault(primitive(exact(i)), []).append(i)
    same = {rows[0]: rows for rows in sets.values() if len(rows) > 1}
    later = [i for rows in same.values() for i in rows[1:]]
    return np.setdiff1d(np.arange(m), later), same


def _distances(A: Matrix, i: IntArray, k: IntArray) -> FloatArray:
    """The distances of the gradients of rows, pair by pair."""
    parts = [np.zeros(0)]
    for start in range(0, len(i), TOGETHER):
        some = slice(start, start + TOGETHER)
        parts.append(np.linalg.norm(dense_rows(A, i[some]) - dense_rows(A, k[some]), axis=1))
    return np.concatenate(parts)
