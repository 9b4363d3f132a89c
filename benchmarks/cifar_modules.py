"""The architectures of two published CIFAR-10 classifiers, whose state dicts do not hold them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


def convolutional() -> nn.Sequential:
    """Two strided convolutions and two linear layers: ``cifar_base_kw``."""
    front = (nn.Conv2d(3, 8, 4, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 4, 2, 1), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*front, nn.Linear(1024, 100), nn.ReLU(), nn.Linear(100, 10))


class Block(nn.Module):
    """Two convolutions and a shortcut, which is a third where sizes differ."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        differ = stride != 1 or channels != out
        self.shortcut = nn.Sequential(*[nn.Conv2d(channels, out, 1, stride)] if differ else [])

    def forward(self, x: Tensor) -> Tensor:
        """``[n, channels, s, s]`` to ``[n, out, s / stride, s / stride]``."""
        return relu(self.conv2(relu(self.conv1(x))) + self.shortcut(x))


class Residual(nn.Module):
    """Two blocks between a convolution and two linear layers: ``cifar_resnet2b``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.layer1 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
        self.linear1 = nn.Linear(1024, 100)
        self.linear2 = nn.Linear(100, 10)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, 3, 32, 32]`` to ``[n, 10]``."""
        flat = torch.flatten(self.layer1(relu(self.conv1(x))), 1)
        return self.linear2(relu(self.linear1(flat)))
