"""Train a small residual network on the digits, and draw what is said of its layers.

    python examples/resnet.py --out figures

``models/digits_resnet.npz`` is what ``python examples/resnet.py --train DIR`` writes in seven seconds of one
core: weights, and what was counted around held-out digits during training.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import adapters
import polytope as pt

HERE = Path(__file__).resolve().parent
RADIUS = 0.1


class Block(nn.Module):
    """Two convolutions with normalisations over the batch, beside a skip."""

    def __init__(self, read: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(read, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        same = stride == 1 and read == width
        self.skip = nn.Identity() if same else nn.Conv2d(read, width, 1, stride)
        self.inner, self.outer = nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Their sum, cut off at zero."""
        return self.outer(self.second(self.inner(self.first(x))) + self.skip(x))


class ResNet(nn.Module):
    """Digits, ``[n, 1, 8, 8]``, into scores of ten classes: 8 x 8, max pooling, and three blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8))
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Block(8, 8), Block(8, 16, 2), Block(16, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores."""
        return self.head(self.blocks(self.pool(self.relu(self.stem(images)))).mean((2, 3)))


def digits() -> list[np.ndarray]:
    """Training images, held-out images, and their labels."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=360, random_state=0)


def pretrained() -> tuple[ResNet, np.ndarray, np.ndarray]:
    """The network with the committed weights; the steps counted at, and the counts by layer."""
    model = ResNet()
    with np.load(HERE / "models" / "digits_resnet.npz") as stored:
        model.load_state_dict({name: torch.tensor(stored[name]) for name in model.state_dict()})
        return model.eval(), stored["steps"], stored["per_layer"]


def accuracy(model: nn.Module) -> float:
    """The share of the held-out digits that are right."""
    _, images, _, labels = digits()
    with torch.no_grad():
        return float((model.eval()(torch.tensor(images)).argmax(1).numpy() == labels).mean())


def train(epochs: int) -> tuple[ResNet, pt.ComplexityRecorder]:
    """Train on the digits that are not held out, and count around some of those that are."""
    torch.manual_seed(0)
    pixels, held_out, classes, _ = digits()
    images, targets, model = torch.tensor(pixels), torch.tensor(classes), ResNet()
    steps = epochs * (len(images) // 64)
    at = {int(step) for step in np.geomspace(1, steps - 1, 16)} | {0}
    recorder = pt.ComplexityRecorder(model, held_out[:40], RADIUS, at, frames=16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    with recorder:
        for _ in range(steps):
            chosen = torch.randint(len(images), (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), targets[chosen]).backward()
            optimizer.step()
            rates.step()
    return model.eval(), recorder


def layers(network: pt.Network) -> dict[str, int]:
    """Names and numbers of units of the layers with an activation, in order."""
    names = ["stem", "pool", *(f"block {i} {part}" for i in (1, 2, 3) for part in ("inner", "outer"))]
    return dict(zip(names, (layer.width for layer in network.layers if layer.activation), strict=True))


def on_segments(network: pt.Network, pairs: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Mean numbers of crossings by layer on segments between held-out digits: of one class, and of two."""
    _, images, _, labels = digits()
    a, b = np.random.default_rng(0).integers(len(images), size=(2, 20 * pairs))
    same = np.flatnonzero((labels[a] == labels[b]) & (a != b))[:pairs]
    chosen = np.concatenate([same, np.flatnonzero(labels[a] != labels[b])[:pairs]])
    found = pt.segment_crossings(network, images[a[chosen]], images[b[chosen]])
    last = np.cumsum(list(layers(network).values()))
    table = np.zeros((len(chosen), len(last)))
    np.add.at(table, (found.segment, np.searchsorted(last, found.units, side="right")), 1)
    return table[:pairs].mean(0), table[pairs:].mean(0)


def draw() -> plt.Figure:
    """Units that change sign in training, crossings between digits, and the regions around one."""
    model, steps, per_layer = pretrained()
    network, (_, images, _, _) = adapters.from_torch(model, torch.zeros(1, 1, 8, 8)), digits()
    sizes = layers(network)
    within, between = on_segments(network)
    window = pt.Slice.through(*images[:3].reshape(3, 64).astype(float))
    around = pt.enumerate_regions(network.restrict(window), pt.Polyhedron.box([-0.1] * 2, [0.2] * 2))
    fig, axes = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained")
    for name, counts in zip([name for name in sizes if name != "pool"], per_layer.T, strict=True):
        axes[0].plot(np.maximum(steps, 0.5), counts, ".-", label=name)
    axes[0].set(xscale="log", yscale="log", xlabel="step", ylabel=f"units that change sign within {RADIUS}")
    axes[0].legend(fontsize="x-small", ncols=2)
    place = np.arange(len(sizes))
    axes[1].barh(place - 0.2, within, 0.4, label="same class")
    axes[1].barh(place + 0.2, between, 0.4, label="two classes")
    axes[1].set_yticks(place, [f"{name} ({units})" for name, units in sizes.items()])
    axes[1].invert_yaxis()
    axes[1].set_xlabel("crossings between two digits")
    axes[1].legend(fontsize="small")
    pt.plot_regions(around, axes[2], values=(around.patterns > 0).sum(1), label="units that are on")
    axes[2].plot([0], [0], "r.")
    axes[2].set_title(f"{len(around):,} regions around a digit, all", fontsize="medium")
    return fig


def main() -> None:
    """Train and say what was reached, or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="train, and write the weights into this folder")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, help="draw into this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in filter(None, (options.train, options.out)):
        folder.mkdir(parents=True, exist_ok=True)
    if options.train:
        model, recorder = train(options.epochs)
        counted = {"steps": recorder.steps, "per_layer": recorder.per_layer}
        weights = {name: value.numpy() for name, value in model.state_dict().items()}
        np.savez_compressed(options.train / "digits_resnet.npz", **weights, **counted)
        print(f"{accuracy(model):.4f} of the held-out digits are right")
        print("units that change sign within", RADIUS, "of an image, by ReLU, at steps")
        print(*zip(recorder.steps, recorder.per_layer.round(1).tolist(), strict=True), sep="\n")
    if options.out:
        draw().savefig(options.out / "resnet.png", dpi=110)


if __name__ == "__main__":
    main()
