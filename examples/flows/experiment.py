"""What the experiments of this folder share: descent, beside what those of all folders do."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[1]))
from showing import pyplot, show

__all__ = ["descend", "pyplot", "show"]


def descend(
    net: torch.nn.Module,
    loss: Callable[[], torch.Tensor],
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> None:
    """Steps of Adam on a loss of fresh batches; weight decay apart from the loss, as in AdamW."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=weight_decay)
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
