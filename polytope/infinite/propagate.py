r"""One pass of covariances through an architecture, of pairs of points or of points with themselves.

A value of A sites is ``[..., A]`` where the diagonal of its site matrix is enough, else ``[..., A, A]``. It
is enough in front of layers that read single sites, if it is enough behind them; averages and layers that
mix sites need the whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from polytope.infinite.activations import Bend
from polytope.infinite.operations import Average, Linear, Sum
from polytope.infinite.steps import Architecture
from polytope.ir.maps import FloatArray

Covariances = tuple[Tensor, Tensor | None]
"""K and Theta; ``None`` stands for zeros, in front of the first weights and where it is not asked for."""


class Points(Protocol):
    """The points on both sides of covariances."""

    def deviations(self, number: int, K: Tensor, full: bool) -> tuple[Tensor, Tensor]:
        """The standard deviations of value ``number`` on both sides, of shapes that fit K."""

    def mark_equal(self, rho: Tensor, full: bool) -> None:
        """Set correlations of a variable with itself to 1."""

    def add_means(self, number: int, K: Tensor, full: bool) -> None:
        """Add what the means of the parts of a sum contribute to its covariance."""


def whole_matrices(architecture: Architecture, output: bool) -> tuple[bool, ...]:
    """For each value whether its site matrix is needed as a whole.

    Arguments:
        architecture: the architecture.
        output: whether the output's is.

    Returns:
        One entry for each value, the input's first; never for a single site.
    """
    needed = [False] * len(architecture.steps) + [output and architecture.sites[-1] > 1]
    for number in range(len(architecture.steps), 0, -1):
        step = architecture.steps[number - 1]
        mixes = isinstance(step.operation, Linear | Average) and not step.operation.slots.needs_diagonal_only
        for k in step.inputs:
            needed[k] |= mixes or needed[number]
    return tuple(n and sites > 1 for n, sites in zip(needed, architecture.sites, strict=True))


def propagate(
    architecture: Architecture,
    start: Tensor,
    whole: tuple[bool, ...],
    points: Points,
    *,
    tangent: bool,
    look: Callable[[int, Tensor], None] | None = None,
) -> Covariances:
    """Covariances of the output.

    Arguments:
        architecture: the architecture.
        start: of the input.
        whole: which values are matrices.
        points: on both sides.
        tangent: whether Theta is asked for.
        look: called with the number and K of each value.

    Returns:
        K and Theta of the output.
    """
    values: dict[int, Covariances] = {0: (start, None)}
    last = {k: number for number, step in enumerate(architecture.steps, 1) for k in step.inputs}
    for number, step in enumerate(architecture.steps, start=1):
        if look:
            for k in step.inputs:
                look(k, values[k][0])
        read = [values[k] for k in step.inputs]
        match step.operation:
            case Linear() as linear:
                done = _linear(linear, read[0], whole[step.inputs[0]], whole[number], tangent)
            case Average() as average:
                done = _average(average, read[0], whole[step.inputs[0]], whole[number])
            case Bend() as bend:
                done = _bend(bend, step.inputs[0], read[0], whole[number], points)
            case Sum():
                done = _sum(read, whole, step.inputs, number)
                points.add_means(number, done[0], whole[number])
        values[number] = done
        for k in step.inputs:
            if last[k] == number:
                values.pop(k, None)
    return values[len(architecture.steps)]


def diagonal(K: Tensor, full: bool) -> Tensor:
    """The diagonal over sites, ``[..., A]``."""
    return torch.diagonal(K, dim1=-2, dim2=-1) if full else K


def _spread(step: Linear | Average, M: Tensor, shares: FloatArray, full_in: bool, full: bool) -> Tensor:
    """The sum over slots, as a matrix where that is asked for."""
    if full_in and not step.slots.needs_diagonal_only:
        done = step.slots.spread(M, shares)
        return done if full else diagonal(done, True)
    if full_in and full:
        return step.slots.spread(M, shares)
    if full:  # of a single site
        return step.slots.spread(M[..., None], shares)
    return step.slots.spread_diagonal(diagonal(M, full_in), shares)


def _linear(linear: Linear, value: Covariances, full_in: bool, full: bool, tangent: bool) -> Covariances:
    K, theta = value
    bias = torch.from_numpy(linear.bias).to(K.device)
    offset = bias.T @ bias if full else (bias**2).sum(0)
    new = _spread(linear, K, linear.variances, full_in, full).add_(offset)
    if not tangent:
        return new, None
    if theta is None:
        return new, new.clone()
    return new, _spread(linear, theta, linear.variances, full_in, full).add_(new)


def _average(average: Average, value: Covariances, full_in: bool, full: bool) -> Covariances:
    one = np.ones(1)
    K, theta = (None if M is None else _spread(average, M, one, full_in, full) for M in value)
    assert K is not None, "K is there at all times"
    return K, theta


def _bend(bend: Bend, number: int, value: Covariances, full: bool, points: Points) -> Covariances:
    K, theta = value
    first, second = points.deviations(number, K, full)
    size = first * second
    if not bool((first > 0).all() and (second > 0).all()):  # a variable that is 0 correlates with nothing
        size = torch.where(size > 0, size, torch.inf)
    rho = (K / size).clamp_(-1, 1)
    points.mark_equal(rho, full)
    new, slope = bend.products(K, first, second, rho)
    return new, None if theta is None else theta * slope


def _sum(
    read: list[Covariances], whole: tuple[bool, ...], inputs: tuple[int, ...], number: int
) -> Covariances:
    def added(tensors: list[tuple[Tensor, bool]]) -> Tensor:
        first, *rest = (M if whole[number] else diagonal(M, full) for M, full in tensors)
        total = first.clone()
        for M in rest:
            total.add_(M)
        return total

    K = added([(k, whole[i]) for (k, _), i in zip(read, inputs, strict=True)])
    tangents = [(t, whole[i]) for (_, t), i in zip(read, inputs, strict=True) if t is not None]
    return K, added(tangents) if tangents else None


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a pass of points with themselves finds.

    Arguments:
        deviations: standard deviations of the values that activations read, each ``[n, A]``.
        means: for each sum the means of its parts, ``[parts, n, A]``; absent where at most one has a mean.
    """

    deviations: dict[int, Tensor]
    means: dict[int, Tensor]

    def part(self, rows: slice) -> Statistics:
        """Of some points."""
        return Statistics(
            {number: std[rows] for number, std in self.deviations.items()},
            {number: mean[:, rows] for number, mean in self.means.items()},
        )

    @classmethod
    def joined(cls, parts: list[Statistics]) -> Statistics:
        """Of points in order, from those of some and of the next."""
        return cls(
            {k: torch.cat([p.deviations[k] for p in parts]) for k in parts[0].deviations},
            {k: torch.cat([p.means[k] for p in parts], dim=1) for k in parts[0].means},
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every point of some with every point of others: lead axes ``[n, m]``.

    Arguments:
        first, second: of the points on both sides.
        equal: numbers i, j of pairs of equal points.
    """

    first: Statistics
    second: Statistics
    equal: tuple[Tensor, Tensor]

    def deviations(self, number: int, K: Tensor, full: bool) -> tuple[Tensor, Tensor]:
        """``[n, 1, A]`` and ``[m, A]``, with an axis more for matrices."""
        a, b = self.first.deviations[number], self.second.deviations[number]
        return (a[:, None, :, None], b[:, None, :]) if full else (a[:, None, :], b)

    def mark_equal(self, rho: Tensor, full: bool) -> None:
        """Of pairs of equal points."""
        i, j = self.equal
        if len(i):
            diagonal(rho, full)[i, j] = 1.0

    def add_means(self, number: int, K: Tensor, full: bool) -> None:
        """Products of the means of different parts."""
        if number not in self.first.means:
            return
        a, b = self.first.means[number], self.second.means[number]
        K.add_(_outer(a.sum(0), b.sum(0), full))
        for one, other in zip(a, b, strict=True):
            K.sub_(_outer(one, other, full))


def _outer(a: Tensor, b: Tensor, full: bool) -> Tensor:
    """Products of numbers of points on both sides, ``[n, m, A]`` or ``[n, m, A, A]``."""
    return a[:, None, :, None] * b[None, :, None, :] if full else a[:, None, :] * b[None]


@dataclass(frozen=True, eq=False)
class Alone:
    """Every point with itself: lead axes ``[n]``; collects statistics on the way.

    Arguments:
        architecture: the architecture.
        found: what is collected.
        variances: of every value, ``[n, A]``.
    """

    architecture: Architecture
    found: Statistics
    variances: dict[int, Tensor]

    def look(self, number: int, K: Tensor) -> None:
        """Keep the variances of a value."""
        self.variances[number] = diagonal(K, K.ndim == 3)

    def deviations(self, number: int, K: Tensor, full: bool) -> tuple[Tensor, Tensor]:
        """Of the variable itself."""
        std = diagonal(K, full).clamp(min=0).sqrt()
        self.found.deviations[number] = std
        return (std[:, :, None], std[:, None, :]) if full else (std, std)

    def mark_equal(self, rho: Tensor, full: bool) -> None:
        """Every site with itself."""
        diagonal(rho, full).fill_(1.0)

    def add_means(self, number: int, K: Tensor, full: bool) -> None:
        """Products of the means of different parts, which are kept."""
        inputs = self.architecture.steps[number - 1].inputs
        if sum(not self.architecture.centred[k] for k in inputs) < 2:
            return
        means = torch.stack([self.mean(k) for k in inputs])
        self.found.means[number] = means
        total = means.sum(0)
        if full:
            K.add_(total[:, :, None] * total[:, None, :] - torch.einsum("pna,pnb->nab", means, means))
        else:
            K.add_(total**2 - (means**2).sum(0))

    def mean(self, number: int) -> Tensor:
        """The mean of a value over the weights, ``[n, A]``."""
        if self.architecture.centred[number]:
            return torch.zeros_like(self.variances[number])
        step = self.architecture.steps[number - 1]
        match step.operation:
            case Bend() as bend:
                return bend.mean(self.variances[step.inputs[0]])
            case Average() as average:
                P = torch.from_numpy(average.matrix).to(self.variances[number].device)
                return self.mean(step.inputs[0]) @ P.T
        return torch.stack([self.mean(k) for k in step.inputs]).sum(0)
