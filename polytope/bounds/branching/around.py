r"""Least values of affine functions around a point: over a ball in the norm 1, 2 or infinity, in a box.

For the norms 1 and 2 the least value over both is bounded by a multiplier :math:`\mu` of the ball:
:math:`\min_{d \in \text{box}} w d + \mu (|d| - r)` and :math:`\min_{d \in \text{box}} w d + \mu (d^2 - r^2)`,
coordinate by coordinate. Any multiplier gives a bound; a few rounds find a good one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from polytope.bounds.branching.folded import SHARE

ROUNDS = 8


@dataclass(frozen=True, eq=False)
class Around:
    """The inputs around a point.

    Arguments:
        point, low, high: ``[d]``; the box holds the point, and may be unbounded.
        norm: 1, 2 or infinity.
    """

    point: Tensor
    low: Tensor
    high: Tensor
    norm: float

    @cached_property
    def unbounded(self) -> bool:
        """Whether there is no box."""
        return bool(self.low.isinf().all() and self.high.isinf().all())

    def least(self, weights: Tensor, constant: Tensor, radius: Tensor) -> Tensor:
        """Lower bounds ``[B]`` of ``x @ weights + constant`` over the ball of a radius ``[]`` or ``[B]``.

        Rounding is part of the bound.
        """
        if self.norm == torch.inf and radius.dim() == 0:
            return self._in_box(weights, constant, radius)
        radius = radius.expand(len(weights)).unsqueeze(1)
        down = torch.maximum(self.low - self.point, -radius)
        up = torch.minimum(self.high - self.point, radius)
        away = torch.where(weights > 0, down, up)  # as far as the box lets it sink
        if self.norm == torch.inf:
            moved = (weights * away).sum(1)
        elif self.norm == 2:
            moved = self._by_squares(weights, away, radius)
        else:
            moved = self._by_sizes(weights, away, radius)
        at = weights @ self.point + constant
        size = weights.abs() @ self.point.abs() + (weights * away).abs().sum(1) + constant.abs()
        return at + moved - SHARE * (8 + 2 * len(self.point)) * size

    def _in_box(self, weights: Tensor, constant: Tensor, radius: Tensor) -> Tensor:
        """The least values where all sets are one box: products with its ends."""
        low = torch.maximum(self.low, self.point - radius)
        high = torch.minimum(self.high, self.point + radius)
        low, high = torch.nextafter(low, -self._far), torch.nextafter(high, self._far)
        up, down = weights.clamp_min(0.0), weights.clamp_max(0.0)
        with torch.no_grad():
            size = up @ low.abs() - down @ high.abs() + constant.abs()
        return up @ low + down @ high + constant - SHARE * (8 + 2 * len(self.point)) * size

    @cached_property
    def _far(self) -> Tensor:
        return torch.full_like(self.point, torch.inf)

    def _by_squares(self, weights: Tensor, away: Tensor, radius: Tensor) -> Tensor:
        """The multiplier is where the best step has the radius's length; all steps are in the box."""
        if self.unbounded:
            whole: Tensor = -radius[:, 0] * weights.norm(dim=1) * (1 + SHARE * (8 + weights.shape[1]))
            return whole
        w, reach = weights.detach(), away.detach().abs()
        r2 = radius**2
        scale = w.norm(dim=1, keepdim=True) / radius.clamp_min(1e-300)
        for _ in range(ROUNDS):  # steps of -w / scale, as far as the box lets them
            capped = w.abs() > reach * scale
            rest = (r2 - torch.where(capped, reach**2, 0.0).sum(1, keepdim=True)).clamp_min(0.0)
            free = torch.where(capped, 0.0, w).norm(dim=1, keepdim=True)
            scale = torch.where((rest > 0) & (free > 0), free / rest.sqrt().clamp_min(1e-300), scale)
        step = -torch.sign(weights) * torch.minimum(weights.abs() / scale.clamp_min(1e-300), away.abs())
        inside = weights * step + scale / 2 * step**2
        by_ball = inside.sum(1) - (scale / 2 * r2)[:, 0]
        room = SHARE * 8 * (scale / 2 * r2)[:, 0]
        box = (weights * away).sum(1)
        return torch.maximum(torch.where(by_ball.isfinite(), by_ball - room, -torch.inf), box)

    def _by_sizes(self, weights: Tensor, away: Tensor, radius: Tensor) -> Tensor:
        """The multiplier is the weight at which the steps in the box use up the radius."""
        order = weights.detach().abs().sort(dim=1, descending=True)
        used = away.detach().abs().gather(1, order.indices).cumsum(1)
        last = (used < radius).sum(1, keepdim=True).clamp_max(weights.shape[1] - 1)
        mu = order.values.gather(1, last)
        gain = ((weights.abs() - mu).clamp_min(0.0) * away.abs()).sum(1)
        by_ball = -gain - (mu * radius)[:, 0] * (1 + SHARE)
        return torch.maximum(by_ball, (weights * away).sum(1))
