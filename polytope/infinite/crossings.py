r"""How often units cross a breakpoint on average at initialisation: the formula of Kac and Rice.

Along a line a pre-activation of an infinitely wide layer is a Gaussian process z(s) of variance k, with
:math:`c = \mathrm{Cov}(z, z')` and :math:`v = \mathrm{Var} z'`. It passes the level t with the density

.. math:: \frac{e^{-t^2 / 2 k}}{\sqrt{2 \pi k}} \, \mathrm E \, |N(c t / k, v - c^2 / k)| ,

for t = 0 :math:`\tfrac{1}{\pi} \sqrt{v / k - (c / k)^2}`. In a plane the length of the crossings in a
unit of area has the mean norm of the gradient in place of that of the derivative. What
a layer makes of k, c and v are moments of one Gaussian variable, for every piecewise-linear activation. All
of this is of the infinite width; counts of finite networks differ by a relative order of 1 / width.

References: Rice (1944), "Mathematical analysis of random noise"; Hanin, Rolnick (2019), "Complexity of linear
regions in deep networks", https://arxiv.org/abs/1901.09021
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import ellipe, ndtr

from polytope.infinite.activations import Bend
from polytope.infinite.given import numbers
from polytope.infinite.operations import Average, Linear, Sum
from polytope.infinite.quadrature import integral
from polytope.infinite.steps import Architecture, an_architecture
from polytope.ir.maps import FloatArray
from polytope.labelled import Estimate

TOLERANCE = 1e-8  # relative, of the quadrature along a segment
LENGTH_TOLERANCE = 1e-6  # of that in a window
BLOCK = 2**20  # coordinates of points that are looked at together
ANGLES = 256  # of directions in a plane, for breakpoints other than 0


@dataclass(frozen=True, eq=False)
class Expected:
    """Expected crossings at initialisation: estimates, of infinite width.

    Arguments:
        per_layer: for each layer with breakpoints, ``[layers]``: numbers on a segment, lengths in a plane.
        widths: units of these layers.
    """

    per_layer: FloatArray
    widths: tuple[int, ...]

    @property
    def total(self) -> Estimate:
        """The sum over the layers."""
        return Estimate(
            float(self.per_layer.sum()), "expected at initialisation, in the limit of infinite width"
        )


def expected_crossings(architecture: Architecture, a: ArrayLike, b: ArrayLike) -> Expected:
    """Expected number of crossings on the segment between two points, by layer.

    One more than the sum is the expected number of activation regions on the segment.

    Arguments:
        architecture: dense layers, convolutions and skips of known widths; no pooling in front of units.
        a, b: the ends, ``[d]`` or of the input's shape.

    Returns:
        The estimate, layer by layer in the order of the steps.

    Raises:
        ValueError: an unknown width, pooling or layers that mix sites in front of units, points of another
            dimension, or a point of the segment at which all pre-activations are 0.

    Example:
        >>> from polytope.infinite.steps import mlp
        >>> net = mlp(2, 1, bias_std=0.0, width=100)  # through the origin: every angle crosses alike
        >>> round(expected_crossings(net, [1.0, 0.0], [0.0, 1.0]).total.value, 6)  # a quarter of a turn
        50.0
    """
    layers = _layers(an_architecture(architecture, "expected_crossings"))
    ends = _ends(architecture, [a, b])
    start, direction = ends[0], ends[1:] - ends[:1]
    if not direction.any():
        return Expected(np.zeros(len(layers)), tuple(width for _, _, width in layers))

    def rates(x: FloatArray) -> FloatArray:
        moments = _moments(architecture, x, direction)
        return np.stack([width * _rate(bend, moments[k]) for k, bend, width in layers], axis=1)

    def density(s: FloatArray) -> FloatArray:
        return rates(start + s[:, :, None] * direction)

    if not layers:
        return Expected(np.zeros(0), ())
    with np.errstate(over="ignore", invalid="ignore"):
        rates(_nearest_to_zero(start, direction[0])[None])  # at 0 all units without biases cross at once
    return _expected(architecture, layers, integral(density, _block(architecture, start), 1, TOLERANCE))


def expected_crossing_length(
    architecture: Architecture,
    base: ArrayLike,
    directions: ArrayLike,
    low: Sequence[float],
    high: Sequence[float],
) -> Expected:
    """Expected length of the crossings in a window of a plane, by layer.

    Lengths are in the window's coordinates t; with orthonormal directions they are those of the input space.

    Arguments:
        architecture: as of ``expected_crossings``.
        base: a point of the plane, ``[d]``.
        directions: two of the plane, ``[2, d]``: a ``Slice``'s.
        low, high: the window, ``low <= t <= high``, two numbers each.

    Returns:
        The estimate, layer by layer in the order of the steps.

    Raises:
        ValueError: as of ``expected_crossings``, or the window is empty.
    """
    layers = _layers(an_architecture(architecture, "expected_crossing_length"))
    origin, two = numbers(base, "base").ravel(), numbers(directions, "directions")
    if two.shape[:1] != (2,) or two.size != 2 * origin.size:
        raise ValueError(f"directions: two of {origin.size} coordinates are expected, not {list(two.shape)}.")
    ends = _ends(architecture, [origin, *(origin + two.reshape(2, -1))])
    start, along = ends[0], ends[1:] - ends[:1]
    corners = numbers([low, high], "low and high")
    if corners.shape != (2, 2) or not (np.isfinite(corners).all() and (corners[0] < corners[1]).all()):
        raise ValueError(f"The window from {low} to {high} is empty, or not one of two coordinates.")

    def density(s: FloatArray) -> FloatArray:
        places = corners[0] + s * (corners[1] - corners[0])
        moments = _moments(architecture, start + np.einsum("nq,qca->nca", places, along), along)
        return np.stack([width * _rate(bend, moments[k]) for k, bend, width in layers], axis=1)

    if not layers:
        return Expected(np.zeros(0), ())
    found = integral(density, _block(architecture, start), 2, LENGTH_TOLERANCE)
    return _expected(architecture, layers, found * np.prod(corners[1] - corners[0]))


def _block(architecture: Architecture, start: FloatArray) -> int:
    """Points that are looked at together."""
    most = max(architecture.channels * max(architecture.sites), start.size)
    return max(BLOCK // most, 1)


def _expected(architecture: Architecture, layers: list[tuple[int, Bend, int]], found: FloatArray) -> Expected:
    """What was found for each layer.

    Raises:
        ValueError: it is not finite.
    """
    if not np.isfinite(found).all():
        raise ValueError("The points are so far from 0 that the variances overflow.")
    return Expected(found, tuple(width * architecture.sites[k] for k, _, width in layers))


def _nearest_to_zero(start: FloatArray, direction: FloatArray) -> FloatArray:
    """The point of a segment nearest to zero; zero itself where it is one up to its rounding errors."""
    s = min(max(-float((start * direction).sum() / (direction * direction).sum()), 0.0), 1.0)
    point = start + s * direction
    rounding = (start.size + 4) * np.finfo(float).eps * (np.abs(start).max() + np.abs(direction).max())
    return np.asarray(np.where(np.abs(point).max() <= rounding, 0.0, point))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of the values at n points on all sites, and of their derivatives along q directions.

    Arguments:
        k: variances, ``[n, A]``.
        c: covariances of values and derivatives, ``[n, A, q]``.
        v: covariances of derivatives, ``[n, A, q, q]``.
    """

    k: FloatArray
    c: FloatArray
    v: FloatArray


def _layers(architecture: Architecture) -> list[tuple[int, Bend, int]]:
    """Values that activations with breakpoints read, and their channels."""
    found = []
    channels: list[int | None] = [architecture.channels]
    for number, step in enumerate(architecture.steps, start=1):
        operation, first = step.operation, step.inputs[0]
        channels.append(operation.width if isinstance(operation, Linear) else channels[first])
        if isinstance(operation, Bend) and operation.hinges:
            width = channels[first]
            if width is None:
                raise ValueError(f"Step {number}: the width of its layer is not known: give it as width=.")
            found.append((first, operation, width))
    return found


def _ends(architecture: Architecture, points: list[ArrayLike]) -> FloatArray:
    """Points as channels on sites, ``[n, C, A]``, of a map in front of the weights that is affine."""
    flat = [numbers(p, "a point").ravel() for p in points]
    sizes = sorted({len(p) for p in flat})
    if len(sizes) > 1:
        raise ValueError(f"The points have {sizes[0]} and {sizes[-1]} coordinates.")
    rows = np.stack(flat)
    ends = architecture.points(rows).numpy()
    if architecture.prepare is not None:
        middle = architecture.points(rows.mean(axis=0)[None]).numpy()[0]
        if not np.allclose(middle, ends.mean(axis=0), rtol=1e-12, atol=1e-12 * np.abs(ends).max()):
            raise ValueError(
                "What is done in front of the first weights is not affine: no crossings are expected."
            )
    return np.asarray(ends)


def _moments(architecture: Architecture, x: FloatArray, along: FloatArray) -> dict[int, _Moments]:
    """Of all values at points ``[n, C, A]``, along directions ``[q, C, A]``."""
    channels = x.shape[1]
    c, v = np.einsum("nca,qca->naq", x, along), np.einsum("pca,qca->apq", along, along)
    found = {0: _Moments((x * x).mean(axis=1), c / channels, v[None].repeat(len(x), axis=0) / channels)}
    for number, step in enumerate(architecture.steps, start=1):
        read = [found[k] for k in step.inputs]
        match step.operation:
            case Linear() as linear:
                found[number] = _behind_linear(linear, read[0], number)
            case Bend() as bend:
                found[number] = _behind_bend(bend, read[0])
            case Average() as average:
                if any(isinstance(later.operation, Bend) for later in architecture.steps[number:]):
                    raise ValueError(
                        f"Step {number} ({average.name}) pools in front of units: no closed form is known."
                    )
                break  # only the readout is left
            case Sum():
                if sum(not architecture.centred[k] for k in step.inputs) > 1:
                    raise ValueError(f"Step {number} adds values with means: no closed form is known here.")
                found[number] = _Moments(
                    sum((m.k for m in read), np.zeros(1)),
                    sum((m.c for m in read), np.zeros(1)),
                    sum((m.v for m in read), np.zeros(1)),
                )
    return found


def _behind_linear(linear: Linear, before: _Moments, number: int) -> _Moments:
    if linear.slots.needs_diagonal_only:

        def spread(values: FloatArray) -> FloatArray:
            rows = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, 1, -1)))
            done = linear.slots.spread_diagonal(rows, linear.variances).numpy()
            return np.moveaxis(done, -1, 1)

        offset = (linear.bias**2).sum(axis=0)
        return _Moments(spread(before.k) + offset, spread(before.c), spread(before.v))
    raise ValueError(f"Step {number} ({linear.name}) mixes sites: no closed form is known here.")


def _behind_bend(bend: Bend, before: _Moments) -> _Moments:
    """Means of phi^2, phi phi' u and phi'^2 (1, u^2), piece by piece, and what they make of c and v.

    The derivative of u is (c / k) u and a part that is independent of u, of variance v - c c / k.
    """
    k = before.k
    if not (k > 0).all():
        raise ValueError(
            "All pre-activations are 0 at a point: with biases, or elsewhere, crossings are expected."
        )
    std = np.sqrt(k)
    ends = np.array([-np.inf, *bend.breakpoints, np.inf])
    value, mixed, slope, steep = (np.zeros_like(k) for _ in range(4))
    at = bend.offset  # the piece at 0
    for i, s in enumerate(bend.slopes):
        if i:
            at -= (s - bend.slopes[i - 1]) * bend.breakpoints[i - 1]
        m0, m1, m2 = _between(ends[i], ends[i + 1], std)
        value += s * s * m2 + 2 * s * at * m1 + at * at * m0
        mixed += s * s * m2 + s * at * m1
        slope += s * s * m0
        steep += s * s * m2
    share = before.c / k[..., None]
    rest = before.v - _outer(share, before.c)
    v = slope[..., None, None] * rest + steep[..., None, None] * _outer(share, share)
    return _Moments(value, mixed[..., None] * share, v)


def _outer(a: FloatArray, b: FloatArray) -> FloatArray:
    return a[..., :, None] * b[..., None, :]


def _between(low: float, high: float, std: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means of 1, u and u^2 where u lies between two numbers."""
    x, y = low / std, high / std
    px, py = (np.exp(-z * z / 2) / np.sqrt(2 * np.pi) for z in (x, y))
    m0 = ndtr(y) - ndtr(x)
    ends = np.where(np.isfinite(x), x, 0.0) * px - np.where(np.isfinite(y), y, 0.0) * py
    return m0, std * (px - py), std * std * (m0 + ends)


def _rate(bend: Bend, moments: _Moments) -> FloatArray:
    """Crossings of all breakpoints by one channel on all sites, in a unit of length or area, ``[n]``."""
    k, c, v = moments.k, moments.c, moments.v
    if not (k > 0).all():
        raise ValueError(
            "All pre-activations are 0 at a point: with biases, or elsewhere, crossings are expected."
        )
    rest = v - _outer(c / k[..., None], c)
    total = np.zeros(len(k))
    for t, _ in bend.hinges:
        density = np.exp(-t * t / (2 * k)) / np.sqrt(2 * np.pi * k)
        mean, line = c * (t / k)[..., None], c.shape[-1] == 1
        size = _mean_size(mean[..., 0], rest[..., 0, 0]) if line else _mean_norm(mean, rest, t)
        total += (density * size).sum(axis=1)
    return total


def _mean_size(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """The mean of |N(mean, variance)|."""
    std = np.sqrt(np.maximum(variance, 0.0))
    z = np.divide(mean, std, out=np.full_like(std, np.inf), where=std > 0)
    normal = np.sqrt(2 / np.pi) * std * np.exp(-z * z / 2) + np.abs(mean) * (1 - 2 * ndtr(-np.abs(z)))
    return np.asarray(normal)


def _mean_norm(mean: FloatArray, covariance: FloatArray, t: float) -> FloatArray:
    """The mean length of a Gaussian vector of the plane; with mean 0 by a complete elliptic integral."""
    if t == 0.0:
        low, high = np.moveaxis(np.maximum(np.linalg.eigvalsh(covariance), 0.0), -1, 0)
        share = np.divide(low, high, out=np.ones_like(high), where=high > 0)
        return np.asarray(np.sqrt(2 / np.pi * high) * ellipe(1 - share))
    angles = (
        np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    )  # |g| is pi/2 times the mean of |g . e| over directions e
    e = np.stack([np.cos(angles), np.sin(angles)])
    spread = np.einsum("qm,...qr,rm->...m", e, covariance, e)
    return np.asarray(np.pi / 2 * _mean_size(mean @ e, spread).mean(axis=-1))
