"""A dozen small models of our own making, one of each kind of architecture that people bring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions with a skip around them, and global average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm, self.skip, self.head = nn.BatchNorm2d(4), nn.Conv2d(2, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, [B, ...]."""
        h = torch.relu(self.norm(self.second(torch.relu(self.first(x)))) + self.skip(x))
        out: Tensor = self.head(h.mean(dim=(2, 3)))
        return out


class Branches(nn.Module):
    """Branches of unlike kernels that are joined by channels, as in Inception."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 3, padding=1)
        self.head = nn.Linear(7 * 9, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, [B, ...]."""
        pooled = nn.functional.max_pool2d(x, 3, stride=1, padding=1)
        out: Tensor = self.head(
            torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x)), pooled], 1).flatten(1)
        )
        return out


class Dense(nn.Module):
    """Every layer reads all earlier ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4 + 3 * i, 3) for i in range(3))
        self.head = nn.Linear(13, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, [B, ...]."""
        for layer in self.layers:
            x = torch.cat([x, torch.relu(layer(x))], dim=1)
        out: Tensor = self.head(x)
        return out


class Arithmetic(nn.Module):
    """Clips, absolute values, minima and maxima between layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, [B, ...]."""
        a, b = self.a((x - 0.5) / 0.25), self.b(x)
        return torch.clamp(torch.maximum(a, b), -1.0, 2.0) - torch.minimum(a.abs(), 3.0 - b)


class Mixer(nn.Module):
    """Linear maps of one axis after the other, with transpositions between."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.channels, self.head = nn.Linear(3, 3), nn.Linear(4, 4), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The outputs, [B, ...]."""
        x = x + torch.relu(self.tokens(x.transpose(1, 2))).transpose(1, 2)
        out: Tensor = self.head(torch.relu(self.channels(x)).flatten(1))
        return out


def _mlp(activation: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), activation, nn.Linear(6, 5), activation, nn.Linear(5, 3))


def _small_cnn() -> nn.Module:
    features = (nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(16, 3))


def _mobile() -> nn.Module:
    depthwise = (nn.Conv2d(4, 4, 3, groups=4, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU6())
    return nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.ReLU6(), *depthwise, nn.AvgPool2d(3), nn.Flatten(), nn.Linear(4, 2)
    )


def _decoder() -> nn.Module:
    up = (nn.ConvTranspose2d(2, 3, 2, stride=2), nn.LeakyReLU(0.1), nn.Upsample(scale_factor=2))
    return nn.Sequential(*up, nn.Conv2d(3, 4, 1), nn.PixelShuffle(2), nn.Hardtanh())


VECTOR, IMAGE, SEQUENCE = (4,), (2, 6, 6), (3, 4)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: _mlp(nn.ReLU()), VECTOR),
    "leaky_mlp": (lambda: _mlp(nn.LeakyReLU(0.2)), VECTOR),
    "prelu_mlp": (lambda: _mlp(nn.PReLU()), VECTOR),
    "hard_swishless_mlp": (lambda: _mlp(nn.Hardtanh(-0.5, 1.5)), VECTOR),
    "dense": (Dense, VECTOR),
    "arithmetic": (Arithmetic, VECTOR),
    "mixer": (Mixer, SEQUENCE),
    "cnn": (_small_cnn, IMAGE),
    "residual": (Residual, IMAGE),
    "branches": (Branches, (2, 3, 3)),
    "mobile": (_mobile, IMAGE),
    "decoder": (_decoder, (2, 3, 3)),
}


def small_model(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A model in evaluation mode, its weights and statistics drawn at random, and the shape of one input."""
    torch.manual_seed(sorted(MODELS).index(name))
    make, shape = MODELS[name]
    module = make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean = torch.randn(part.num_features)
            part.running_var = torch.rand(part.num_features) + 0.5
    return module.eval(), shape
