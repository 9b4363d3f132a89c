"""Activations of the representation on rows of torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise

import torch
from torch import Tensor

from polytope.batched.maps import Place
from polytope.ir.activations import Activation, MaxGroups, PiecewiseLinear


@dataclass(frozen=True, eq=False)
class RowActivation:
    """An activation on rows.

    Arguments:
        pattern: ``z [N, n]`` to the piece of every unit, ``int8 or bool [N, units]``.
        values: ``z [N, n]`` to ``h [N, units]``.
        pull_back: ``weights [N, m, units]`` and a pattern to the weights of z, ``[N, m, n]``.
        ordered: whether each unit's piece grows with its own pre-activation, so that the pieces on a set
            are equal exactly if those of the smallest and of the largest z are.
        relu: whether every unit is ``max(z, 0)``.
        breakpoints: for units that change their piece where z crosses numbers t: each t and whether the slope
            changes there (1 or 0), both ``[n]`` or ``[1]``; ``None`` for others.
    """

    pattern: Callable[[Tensor], Tensor]
    values: Callable[[Tensor], Tensor]
    pull_back: Callable[[Tensor, Tensor], Tensor]
    ordered: bool
    relu: bool = False
    breakpoints: tuple[tuple[Tensor, Tensor], ...] | None = None


@singledispatch
def row_activation(activation: Activation, n: int, place: Place) -> RowActivation:
    """An activation of the representation, on n pre-activations, on rows of tensors."""
    kind = type(activation).__name__
    raise TypeError(f"row_activation: {kind} has no torch form; give it one in polytope.batched.activations.")


@row_activation.register
def _piecewise_linear(activation: PiecewiseLinear, n: int, place: Place) -> RowActivation:
    thresholds = [place.numbers(column) for column in activation.breakpoints.T]
    slopes = [place.numbers(column) for column in activation.slopes.T]
    intercepts = [place.numbers(column) for column in activation.intercepts.T]

    def pattern(z: Tensor) -> Tensor:
        if len(thresholds) == 1:
            return z > thresholds[0]
        pieces = torch.zeros_like(z, dtype=torch.int8)
        for t in thresholds:
            pieces += z > t
        return pieces

    def values(z: Tensor) -> Tensor:
        h = slopes[0] * z + intercepts[0]
        for t, slope, intercept in zip(thresholds, slopes[1:], intercepts[1:], strict=True):
            h = torch.where(z > t, slope * z + intercept, h)
        return h

    def pull_back(weights: Tensor, pieces: Tensor) -> Tensor:
        table = torch.stack([s.expand(n) for s in slopes])
        return weights * table.gather(0, pieces.long()).unsqueeze(1)

    relu = _is_relu(activation)
    changes = [(after != before).to(place.dtype) for before, after in pairwise(slopes)]
    breakpoints = tuple(zip(thresholds, changes, strict=True))
    return RowActivation(pattern, torch.relu if relu else values, pull_back, True, relu, breakpoints)


def _is_relu(activation: PiecewiseLinear) -> bool:
    """Whether every unit is ``max(z, 0)``, for which torch has a faster form."""
    tables = activation.breakpoints, activation.slopes, activation.intercepts
    expected = [0.0], [0.0, 1.0], [0.0, 0.0]
    return all(t.shape[1] == len(e) and bool((t == e).all()) for t, e in zip(tables, expected, strict=True))


@row_activation.register
def _max_groups(activation: MaxGroups, n: int, place: Place) -> RowActivation:
    members = place.indices(activation.members)
    sources = members.clamp(min=0).unbind(1)
    absent = [None if bool((m >= 0).all()) else m < 0 for m in members.unbind(1)]

    def gathered(z: Tensor, member: int) -> Tensor:
        values, hole = z.index_select(1, sources[member]), absent[member]
        return values if hole is None else values.masked_fill(hole, -torch.inf)

    def race(z: Tensor) -> tuple[Tensor, Tensor]:
        best = gathered(z, 0)
        winner = torch.zeros_like(best, dtype=torch.int8)
        for member in range(1, len(sources)):
            other = gathered(z, member)
            winner.masked_fill_(other > best, member)
            best = torch.maximum(best, other)
        return winner, best

    def pull_back(weights: Tensor, pieces: Tensor) -> Tensor:
        winners = members.T.gather(0, pieces.long()).unsqueeze(1).expand_as(weights)
        return weights.new_zeros(*weights.shape[:2], n).scatter_add_(2, winners, weights)

    return RowActivation(lambda z: race(z)[0], lambda z: race(z)[1], pull_back, ordered=False)
