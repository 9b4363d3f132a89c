"""Compiled steps of the crossing count in chains of dense layers and ReLU: only what a point needs.

Around one point most units keep their piece. A unit that is off at all vertices adds nothing behind it: its
column is skipped. A unit that is on at all of them is affine there, so that the vertices x + r v and x - r v
share one product. Sums run over eight rows of weights at a time, which are read where they lie.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from polytope.ir.maps import IntArray

Reals = NDArray[np.float32] | NDArray[np.float64]

Tally = NDArray[np.int32]

STEP = 8
"""Rows of weights added at a time; lists of units are padded to a multiple with coefficients 0."""

RELAXED = {"nsz", "reassoc", "contract"}  # sums may be reordered and fused; infinities and NaN are kept


@njit(cache=True, fastmath=RELAXED, nogil=True)
def _add_products(z: Reals, c: Reals, units: IntArray, weights: Reals, used: int) -> None:
    """``z[v] += sum_k c[v, k] weights[units[k]]`` over the first ``used`` units, a multiple of ``STEP``."""
    n = z.shape[1]
    for k in range(0, used, 8):
        w0, w1, w2, w3 = (
            weights[units[k]],
            weights[units[k + 1]],
            weights[units[k + 2]],
            weights[units[k + 3]],
        )
        w4, w5, w6, w7 = (
            weights[units[k + 4]],
            weights[units[k + 5]],
            weights[units[k + 6]],
            weights[units[k + 7]],
        )
        for v in range(len(z)):
            row = z[v]
            c0, c1, c2, c3 = c[v, k], c[v, k + 1], c[v, k + 2], c[v, k + 3]
            c4, c5, c6, c7 = c[v, k + 4], c[v, k + 5], c[v, k + 6], c[v, k + 7]
            for j in range(n):
                row[j] += (
                    c0 * w0[j]
                    + c1 * w1[j]
                    + c2 * w2[j]
                    + c3 * w3[j]
                    + c4 * w4[j]
                    + c5 * w5[j]
                    + c6 * w6[j]
                    + c7 * w7[j]
                )


@njit(cache=True, nogil=True)
def _padded(units: IntArray, used: int) -> int:
    """Fill a list of units up to the next multiple of ``STEP`` with unit 0; its new length."""
    full = (used + 7) // 8 * 8
    units[used:full] = 0
    return full


@njit(cache=True, fastmath=RELAXED, nogil=True)
def second_layer(z1: Reals, offsets: Reals, weights: Reals, z2: Reals, out: Reals, crossed: IntArray) -> None:
    """Pre-activations of the second layer at the vertices, and how many units of the first layer cross.

    Arguments:
        z1: the first layer at the points, ``[B, n]``.
        offsets: what the directions add to it, ``[P, n]``.
        weights: the second layer's matrix, transposed, ``[n, m]``.
        z2: the second layer at the points, ``[B, m]``.
        out: filled with the second layer at the vertices, ``[B, 2P, m]``.
        crossed: filled with the number of units that cross, ``int[B]``.
    """
    n, m = weights.shape
    directions = len(offsets)
    half, zero = weights.dtype.type(0.5), weights.dtype.type(0)
    reach = np.zeros(n, weights.dtype)
    for p in range(directions):
        reach = np.maximum(reach, np.abs(offsets[p]))
    on, bent = np.empty(n + 8, np.int64), np.empty(n + 8, np.int64)
    odd, even = np.zeros((directions, n + 8), weights.dtype), np.zeros((directions, n + 8), weights.dtype)
    odd_sum, even_sum = np.empty((directions, m), weights.dtype), np.empty((directions, m), weights.dtype)
    for i in range(len(z1)):
        n_on, n_bent = 0, 0
        for j in range(n):
            if z1[i, j] + reach[j] > 0:
                on[n_on] = j
                n_on += 1
                if z1[i, j] - reach[j] <= 0:
                    bent[n_bent] = j
                    n_bent += 1
        crossed[i] = n_bent
        for p in range(directions):
            for k in range(n_on):
                z, t = z1[i, on[k]], offsets[p, on[k]]
                up, down = z + t, z - t
                odd[p, k] = half * ((up if up > zero else zero) - (down if down > zero else zero))
            for k in range(n_bent):
                even[p, k] = half * max(abs(offsets[p, bent[k]]) - abs(z1[i, bent[k]]), zero)
            odd[p, n_on : n_on + 8] = 0
            even[p, n_bent : n_bent + 8] = 0
            odd_sum[p] = 0
            even_sum[p] = z2[i]
        _add_products(odd_sum, odd, on, weights, _padded(on, n_on))
        _add_products(even_sum, even, bent, weights, _padded(bent, n_bent))
        for p in range(directions):
            for j in range(m):
                out[i, p, j] = even_sum[p, j] + odd_sum[p, j]
                out[i, directions + p, j] = even_sum[p, j] - odd_sum[p, j]


@njit(cache=True, nogil=True)
def _positives(z: Reals, positive: Tally) -> None:
    """At how many vertices every unit is positive, ``z [V, n]``."""
    n = z.shape[1]
    positive[:n] = 0
    for v in range(len(z)):
        row = z[v]
        for j in range(n):
            positive[j] += row[j] > 0


@njit(cache=True, nogil=True)
def _sorted_out(z: Reals, positive: Tally, on: IntArray, c: Reals) -> tuple[int, int]:
    """List the units that are on at some vertex, and their outputs; their number and how many cross."""
    _positives(z, positive)
    used, crossed = 0, 0
    for j in range(z.shape[1]):
        if positive[j] > 0:
            on[used] = j
            used += 1
            crossed += positive[j] < len(z)
    zero = c.dtype.type(0)
    for v in range(len(z)):
        for k in range(used):
            value = z[v, on[k]]
            c[v, k] = value if value > zero else zero
        c[v, used : used + 8] = 0
    return used, crossed


@njit(cache=True, nogil=True)
def next_layer(z: Reals, weights: Reals, bias: Reals, out: Reals, crossed: IntArray) -> None:
    """Pre-activations of the next layer at the vertices, ``z [B, V, n]`` to ``out [B, V, m]``.

    ``weights [n, m]`` is the matrix, transposed; ``crossed`` gets how many units of z cross, ``int[B]``.
    """
    _, vertices, n = z.shape
    on, c = np.empty(n + 8, np.int64), np.empty((vertices, n + 8), weights.dtype)
    positive = np.empty(n, np.int32)
    for i in range(len(z)):
        used, crossed[i] = _sorted_out(z[i], positive, on, c)
        for v in range(vertices):
            out[i, v] = bias
        _add_products(out[i], c, on, weights, _padded(on, used))


@njit(cache=True, fastmath=RELAXED, nogil=True)
def _farthest(z: Reals, centre: Reals) -> float:
    r"""The largest :math:`\|relu(z_v) - relu(centre)\|_2` over the vertices."""
    zero = z.dtype.type(0)
    h = np.maximum(centre, zero)
    far = zero
    for v in range(len(z)):
        row, total = z[v], zero
        for j in range(len(h)):
            difference = (row[j] if row[j] > zero else zero) - h[j]
            total += difference * difference
        far = max(far, total)
    return float(np.sqrt(far))


@njit(cache=True, nogil=True)
def last_layer(
    z: Reals,
    z_centre: Reals,
    weights: Reals,
    bias: Reals,
    norms: Reals,
    next_centre: Reals,
    slack: float,
    crossed: IntArray,
    next_crossed: IntArray,
) -> None:
    r"""How many units of ``z [B, V, n]`` and of the last layer behind it cross.

    Unit k of the last layer differs from its value at the centre by at most :math:`\|w_k\| \max_v
    \|h_v - h_c\|`: where that cannot change its sign, it is not computed at all.

    Arguments:
        z, z_centre: the layer in front at the vertices, and at the points, ``[B, n]``.
        weights, bias, norms: the last layer's matrix, transposed, ``[n, m]``, bias and norms of its rows.
        next_centre: the last layer at the points, ``[B, m]``.
        slack: room for rounding, relative to the size of the terms.
        crossed, next_crossed: filled with the counts of both layers, ``int[B]``.
    """
    _, vertices, n = z.shape
    m = weights.shape[1]
    on, c = np.empty(n + 8, np.int64), np.empty((vertices, n + 8), weights.dtype)
    positive = np.empty(max(n, m + 32), np.int32)
    chosen, places = np.empty(m + 32, np.int64), np.arange(n + 8)
    rows, sums = np.empty((n + 8) * (m + 32), weights.dtype), np.empty(vertices * (m + 32), weights.dtype)
    for i in range(len(z)):
        used, crossed[i] = _sorted_out(z[i], positive, on, c)
        far = _farthest(z[i], z_centre[i])
        size = np.sqrt(np.sum(np.maximum(z_centre[i], 0) ** 2)) + far
        n_chosen = 0
        for k in range(m):
            if abs(next_centre[i, k]) <= norms[k] * (far + slack * size) + slack * abs(bias[k]):
                chosen[n_chosen] = k
                n_chosen += 1
        full = _padded(on, used)
        width = (n_chosen + 7) // 8 * 8  # whole vectors: the rest repeats unit 0
        chosen[n_chosen:width] = 0
        w = rows[: full * width].reshape(full, width)
        out = sums[: vertices * width].reshape(vertices, width)
        for q in range(full):
            source = weights[on[q]]
            for k in range(width):
                w[q, k] = source[chosen[k]]
        for v in range(vertices):
            for k in range(width):
                out[v, k] = bias[chosen[k]]
        _add_products(out, c, places, w, full)
        _positives(out, positive)
        total = 0
        for k in range(n_chosen):
            total += 0 < positive[k] < vertices
        next_crossed[i] = total


@njit(cache=True, nogil=True)
def crossings(z: Reals, crossed: IntArray) -> None:
    """How many units take both signs over the vertices, ``z [B, V, n]`` to ``int[B]``."""
    positive = np.empty(z.shape[2], np.int32)
    for i in range(len(z)):
        _positives(z[i], positive)
        crossed[i] = np.sum((positive > 0) & (positive < z.shape[1]))
