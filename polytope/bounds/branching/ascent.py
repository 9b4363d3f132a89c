"""Gradient ascent on parameters that stay between ends, by Adam.

``torch.optim`` has it too, but takes seconds to load.

References: Kingma, Ba (2015), "Adam: A Method for Stochastic Optimization", https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

FIRST, SECOND = 0.9, 0.999  # decay of the means of gradients and of their squares


@dataclass(eq=False)
class Ascent:
    """Steps uphill.

    Arguments:
        parameters: leaves that need gradients; changed in place.
        rates: the length of steps, for each.
    """

    parameters: Sequence[Tensor]
    rates: Sequence[float]
    steps: int = 0
    means: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def climb(self, total: Tensor) -> None:
        """One step for a sum ``[]`` that depends on the parameters."""
        gradients = torch.autograd.grad(total, self.parameters, allow_unused=True)
        self.steps += 1
        if not self.means:
            self.means = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]
        with torch.no_grad():
            for p, g, rate, (mean, square) in zip(
                self.parameters, gradients, self.rates, self.means, strict=True
            ):
                if g is None:
                    continue
                mean.mul_(FIRST).add_(g, alpha=1 - FIRST)
                square.mul_(SECOND).addcmul_(g, g, value=1 - SECOND)
                size = (square / (1 - SECOND**self.steps)).sqrt_().add_(1e-8)
                p.addcdiv_(mean, size, value=rate / (1 - FIRST**self.steps))
