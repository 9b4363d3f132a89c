"""Compiled steps of the crossing count in chains of dense layers and ReLU: only what a point needs.

Around one point most units keep their piece. A unit that is off at all vertices adds nothing behind it: its
column is skipped. A unit that is on at all of them is affine there, so that the vertices x + r v and x - r v
share one product; and what it adds is the same around all points: only units that are not as at most points
are added point by point. Sums run over eight rows of weights at a time, which are read where they lie; they
are written out in both places, because calls to one function made the small layers half as fast.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from polytope.ir.maps import IntArray

Reals = NDArray[np.float32] | NDArray[np.float64]

Tally = NDArray[np.int32]

Flags = NDArray[np.bool_]

STEP = 8
"""Rows of weights added at a time; lists of units are padded to a multiple, with factors 0."""

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
def second_layer(
    z1: Reals,
    offsets: Reals,
    usual: Flags,
    shared: Reals,
    noise: Reals,
    weights: Reals,
    z2: Reals,
    out: Reals,
    crossed: IntArray,
) -> None:
    """Pre-activations of the second layer at the vertices, and how many units of the first layer cross.

    Arguments:
        z1: the first layer at the points, ``[B, n]``.
        offsets: what the directions add to it, ``[P, n]``.
        usual: ``bool[n]``, the units that are on at most points.
        shared: what these add to the second layer, ``offsets[:, usual] @ weights[usual]``, ``[P, m]``.
        noise: ``[B, m]``, the size up to which values of the second layer are rounding: they are 0.
        weights: the second layer's matrix, transposed, ``[n, m]``.
        z2: the second layer at the points, ``[B, m]``.
        out: filled with the second layer at the vertices, ``[B, 2P, m]``.
        crossed: filled with the number of units that cross, ``int[B]``.
    """
    n, m = weights.shape
    directions = len(offsets)
    reach = np.zeros(n, weights.dtype)
    for p in range(directions):
        reach = np.maximum(reach, np.abs(offsets[p]))
    other, bent = np.empty(n + 8, np.int64), np.empty(n + 8, np.int64)
    odd, even = np.zeros((directions, n + 8), weights.dtype), np.zeros((directions, n + 8), weights.dtype)
    odd_sum, even_sum = np.empty((directions, m), weights.dtype), np.empty((directions, m), weights.dtype)
    for i in range(len(z1)):
        n_other, n_bent, alone = _unusual(z1[i], reach, usual, other, bent)
        crossed[i] = n_bent
        for p in range(directions):
            _odd_factors(z1[i], offsets[p], usual, other[:n_other], alone, odd[p])
            _even_factors(z1[i], offsets[p], bent[:n_bent], even[p])
            if alone:
                odd_sum[p] = 0
            else:
                odd_sum[p] = shared[p]
            even_sum[p] = z2[i]
        _add_products(odd_sum, odd, other, weights, _padded(other, n_other))
        _add_products(even_sum, even, bent, weights, _padded(bent, n_bent))
        _store_both(even_sum, odd_sum, noise[i], out[i])


@njit(cache=True, nogil=True)
def _unusual(z: Reals, reach: Reals, usual: Flags, other: IntArray, bent: IntArray) -> tuple[int, int, bool]:
    """List the units that are not as at most points, and those that cross, at one point.

    Returns:
        How many of each, and whether ``other`` lists all units that are on, because these are fewer.
    """
    n_on, n_other, n_bent = 0, 0, 0
    for j in range(len(z)):
        on, off = z[j] + reach[j] > 0, z[j] - reach[j] <= 0
        n_on += on
        n_other += on != usual[j] or (on and off)
        if on and off:
            bent[n_bent] = j
            n_bent += 1
    alone = n_on <= n_other
    n_other = 0
    for j in range(len(z)):
        on = z[j] + reach[j] > 0
        if on if alone else on != usual[j] or (on and z[j] - reach[j] <= 0):
            other[n_other] = j
            n_other += 1
    return n_other, n_bent, alone


@njit(cache=True, nogil=True)
def _odd_factors(z: Reals, t: Reals, usual: Flags, units: IntArray, alone: bool, out: Reals) -> None:
    """``(relu(z + t) - relu(z - t)) / 2`` of some units, without what is usual, and zeros behind."""
    half, zero = z.dtype.type(0.5), z.dtype.type(0)
    for k in range(len(units)):
        j = units[k]
        up, down = z[j] + t[j], z[j] - t[j]
        moved = half * ((up if up > zero else zero) - (down if down > zero else zero))
        out[k] = moved - t[j] if usual[j] and not alone else moved
    out[len(units) : len(units) + 8] = 0


@njit(cache=True, nogil=True)
def _even_factors(z: Reals, t: Reals, units: IntArray, out: Reals) -> None:
    """``(relu(z + t) + relu(z - t)) / 2 - relu(z)`` of some units, and zeros behind."""
    half, zero = z.dtype.type(0.5), z.dtype.type(0)
    for k in range(len(units)):
        out[k] = half * max(abs(t[units[k]]) - abs(z[units[k]]), zero)
    out[len(units) : len(units) + 8] = 0


@njit(cache=True, nogil=True)
def _store_both(even: Reals, odd: Reals, noise: Reals, out: Reals) -> None:
    """``even + odd`` and ``even - odd``, ``[P, m]`` each, one behind the other; rounding becomes 0."""
    zero = even.dtype.type(0)
    for p in range(len(even)):
        for j in range(even.shape[1]):
            up, down = even[p, j] + odd[p, j], even[p, j] - odd[p, j]
            out[p, j] = up if abs(up) > noise[j] else zero
            out[len(even) + p, j] = down if abs(down) > noise[j] else zero


@njit(cache=True, nogil=True)
def _positives(z: Reals, positive: Tally) -> None:
    """At how many vertices every unit is positive, ``z [V, n]``."""
    n = z.shape[1]
    positive[:n] = 0
    for v in range(len(z)):
        row = z[v]
        for j in range(n):
            positive[j] += row[j] > 0


@njit(cache=True, fastmath=RELAXED, nogil=True)
def _add_relu_products(out: Reals, z: Reals, units: IntArray, weights: Reals) -> None:
    """``out[v] += sum_k relu(z[v, units[k]]) weights[k]`` over the rows, a multiple of ``STEP``."""
    full, n = weights.shape
    zero = weights.dtype.type(0)
    for k in range(0, full, 8):
        w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        w4, w5, w6, w7 = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        u0, u1, u2, u3 = units[k], units[k + 1], units[k + 2], units[k + 3]
        u4, u5, u6, u7 = units[k + 4], units[k + 5], units[k + 6], units[k + 7]
        for v in range(len(z)):
            h, row = z[v], out[v]
            c0, c1, c2, c3 = max(h[u0], zero), max(h[u1], zero), max(h[u2], zero), max(h[u3], zero)
            c4, c5, c6, c7 = max(h[u4], zero), max(h[u5], zero), max(h[u6], zero), max(h[u7], zero)
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
def _listed(positive: Tally, vertices: int, on: IntArray) -> tuple[int, int]:
    """List the units that are on at some vertex; their number and how many cross."""
    used, crossed = 0, 0
    for j in range(len(positive)):
        if positive[j] > 0:
            on[used] = j
            used += 1
            crossed += positive[j] < vertices
    return used, crossed


@njit(cache=True, nogil=True)
def next_layer(z: Reals, weights: Reals, bias: Reals, out: Reals, crossed: IntArray) -> None:
    """Pre-activations of the next layer at the vertices, ``z [B, V, n]`` to ``out [B, V, m]``.

    ``weights [n, m]`` is the matrix, transposed; ``crossed`` gets how many units of z cross, ``int[B]``.
    """
    _, vertices, n = z.shape
    on, positive = np.empty(n + 8, np.int64), np.empty(n, np.int32)
    w = np.empty((n + 8, weights.shape[1]), weights.dtype)
    for i in range(len(z)):
        _positives(z[i], positive)
        used, crossed[i] = _listed(positive, vertices, on)
        full = _padded(on, used)
        for k in range(used):
            w[k] = weights[on[k]]
        w[used:full] = 0
        for v in range(vertices):
            out[i, v] = bias
        _add_relu_products(out[i], z[i], on, w[:full])


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


@njit(cache=True, fastmath=RELAXED, nogil=True)
def _lengths(squares: Reals, positive: Tally, centre: Reals, out: Reals) -> None:
    """The norms of the columns of a matrix, from its squares, on the units that are on somewhere."""
    m = squares.shape[1]
    out[:m] = 0
    for i in range(len(centre)):
        if positive[i] > 0 or centre[i] > 0:
            row = squares[i]
            for j in range(m):
                out[j] += row[j]
    for j in range(m):
        out[j] = np.sqrt(out[j])


@njit(cache=True, nogil=True)
def last_layer(
    z: Reals,
    z_centre: Reals,
    weights: Reals,
    bias: Reals,
    squares: Reals,
    next_centre: Reals,
    slack: float,
    crossed: IntArray,
    next_crossed: IntArray,
) -> None:
    r"""How many units of ``z [B, V, n]`` and of the last layer behind it cross.

    Unit k of the last layer differs from its value at the centre by at most :math:`\|w_k\| \max_v
    \|h_v - h_c\|`, with the weights of units that are on somewhere: where that cannot change its sign, it is
    not computed at all.

    Arguments:
        z, z_centre: the layer in front at the vertices, and at the points, ``[B, n]``.
        weights, bias: the last layer's matrix, transposed, ``[n, m]``, and bias.
        squares: the squares of its weights, ``[n, m]``.
        next_centre: the last layer at the points, ``[B, m]``.
        slack: room for rounding, relative to the size of the terms.
        crossed, next_crossed: filled with the counts of both layers, ``int[B]``.
    """
    _, vertices, n = z.shape
    m = weights.shape[1]
    on, chosen = np.empty(n + 8, np.int64), np.empty(m + 32, np.int64)
    positive = np.empty(max(n, m + 32), np.int32)
    lengths = np.empty(m, weights.dtype)
    rows, sums = np.empty((n + 8) * (m + 32), weights.dtype), np.empty(vertices * (m + 32), weights.dtype)
    for i in range(len(z)):
        _positives(z[i], positive)
        used, crossed[i] = _listed(positive[:n], vertices, on)
        far = _farthest(z[i], z_centre[i])
        size = np.sqrt(np.sum(np.maximum(z_centre[i], 0) ** 2)) + far
        _lengths(squares, positive, z_centre[i], lengths)
        n_chosen = 0
        for k in range(m):
            if abs(next_centre[i, k]) <= lengths[k] * (far + slack * size) + slack * abs(bias[k]):
                chosen[n_chosen] = k
                n_chosen += 1
        full = _padded(on, used)
        width = (n_chosen + 7) // 8 * 8  # whole vectors: the rest repeats unit 0
        chosen[n_chosen:width] = 0
        w = rows[: full * width].reshape(full, width)
        out = sums[: vertices * width].reshape(vertices, width)
        for q in range(used):
            source = weights[on[q]]
            for k in range(width):
                w[q, k] = source[chosen[k]]
        w[used:] = 0
        for v in range(vertices):
            for k in range(width):
                out[v, k] = bias[chosen[k]]
        _add_relu_products(out, z[i], on, w)
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
