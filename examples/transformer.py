"""Train a small vision transformer on the digits, with ReLU or GELU, and draw what is said of its tokens.

    python examples/transformer.py --out figures

The weights in ``models/digits_vit.npz`` and ``models/digits_vit_gelu.npz`` are what
``python examples/transformer.py --train DIR`` writes, in half a minute of one core.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import adapters
import polytope as pt

HERE = Path(__file__).resolve().parent


class Attention(nn.Module):
    """Attention of two heads, without biases."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.mixed, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Every token as a weighted mean of the values of all."""
        n, tokens, d = x.shape
        q, k, v = self.mixed(x).view(n, tokens, 3, 2, d // 2).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * (d // 2) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(n, tokens, d))


class Block(nn.Module):
    """Attention and an MLP, each behind a norm and beside a skip, without biases."""

    def __init__(self, d: int, activation: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, bias=False), nn.LayerNorm(d, bias=False)
        self.attention = Attention(d)
        self.up, self.down = nn.Linear(d, 2 * d, bias=False), nn.Linear(2 * d, d, bias=False)
        self.phi = getattr(nn.functional, activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens behind the block."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(self.phi(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Digits of 8 x 8 pixels, ``[n, 64]``, as 16 tokens of 2 x 2, into scores of ten classes."""

    def __init__(self, activation: str = "relu", d: int = 24, depth: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(4, d)
        self.places = nn.Parameter(0.02 * torch.randn(16, d))
        self.blocks = nn.ModuleList(Block(d, activation) for _ in range(depth))
        self.head = nn.Linear(d, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The scores."""
        patches = images.view(-1, 4, 2, 4, 2).permute(0, 1, 3, 2, 4).reshape(-1, 16, 4)
        x = self.embed(patches) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def pretrained(activation: str = "relu") -> VisionTransformer:
    """The transformer with the committed weights."""
    model = VisionTransformer(activation)
    with np.load(HERE / "models" / _file(activation)) as stored:
        model.load_state_dict({name: torch.tensor(stored[name]) for name in stored.files})
    return model.eval()


def held_out() -> tuple[torch.Tensor, np.ndarray]:
    """The held-out digits, and their classes."""
    with np.load(HERE / "data" / "digits_test.npz") as data:
        return torch.tensor(data["X"], dtype=torch.float32), data["y"]


def train(activation: str, epochs: int, folder: Path) -> tuple[float, pt.ComplexityRecorder]:
    """Train on the digits that are not held out; the accuracy on those that are, and the record."""
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    test, labels = held_out()
    pixels, classes = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32)
    known = {row.tobytes() for row in test.numpy()}
    kept = torch.tensor([row.tobytes() not in known for row in images.numpy()])
    images, targets = images[kept], torch.tensor(classes)[kept]
    model = VisionTransformer(activation)
    steps = epochs * (len(images) // 64)
    at = {int(step) for step in np.geomspace(1, steps - 1, 12)} | {0}
    recorder = pt.ComplexityRecorder(model, test[:40].numpy(), 0.1, at, frames=16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    with recorder:
        for _ in range(steps):
            chosen = torch.randint(len(images), (64,))
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), targets[chosen]).backward()
            optimizer.step()
            rates.step()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _file(activation), **{k: v.numpy() for k, v in model.state_dict().items()})
    with torch.no_grad():
        right = model.eval()(test).argmax(1).numpy() == labels
    return float(right.mean()), recorder


def _file(activation: str) -> str:
    """The name of a weights file."""
    return "digits_vit.npz" if activation == "relu" else f"digits_vit_{activation}.npz"


def draw_tokens(model: VisionTransformer, images: torch.Tensor) -> plt.Figure:
    """The features of one digit's tokens, and its local complexity by layer and token."""
    features = pt.spline_features(model, images)
    counts = pt.local_complexity(model, images.numpy(), 0.1, frames=16)
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    axes[0].imshow(images[0].reshape(8, 8), cmap="gray_r")
    axes[0].set_title("a digit, and its 16 tokens")
    for line in (1.5, 3.5, 5.5):
        axes[0].axhline(line, color="tab:red", lw=0.8)
        axes[0].axvline(line, color="tab:red", lw=0.8)
    pt.plot_spline_features(features, axes[1], what="angle")
    image = axes[2].imshow(np.stack([count[0] for count in counts.per_token]), aspect="auto")
    axes[2].set_yticks(range(len(counts.layers)), counts.layers)
    axes[2].set_xlabel("token")
    fig.colorbar(image, ax=axes[2], label="units that change sign within 0.1")
    return fig


def draw_cones(model: VisionTransformer, images: torch.Tensor) -> plt.Figure:
    """Cones in front of a norm, in the plane of two tokens; regions around a digit with attention frozen."""
    block = adapters.mlp_blocks(model, images[:1])[0]
    tokens = adapters.activations(model, images[:1], at=block.norm.start).reshape(16, -1)
    plane = pt.Slice(np.zeros(tokens.shape[1]), tokens[5:7])
    cones = pt.enumerate_regions(block.cones().restrict(plane), pt.Polyhedron.box([-1.2] * 2, [1.2] * 2))
    window = pt.Slice.through(*images[:3].double().numpy())
    frozen = adapters.freeze_attention(model, images[:1]).restrict(window)
    around = pt.enumerate_regions(frozen, pt.Polyhedron.box([-0.05] * 2, [0.05] * 2))
    fig, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
    pt.plot_regions(cones, axes[0], values=(cones.patterns > 0).sum(1), label="units that are on")
    axes[0].plot([0, 1, 0], [0, 0, 1], "r.")
    axes[0].set_title(f"{len(cones)} cones of two tokens", fontsize="medium")
    pt.plot_regions(around, axes[1], values=(around.patterns > 0).sum(1), label="units that are on")
    axes[1].plot([0], [0], "r.")
    axes[1].set_title(f"{len(around)} regions around a digit, frozen", fontsize="medium")
    return fig


def main() -> None:
    """Train and say what was reached, or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="train, and write the weights into this folder")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--out", type=Path, help="draw into this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.train:
        for activation in ("relu", "gelu"):
            accuracy, recorder = train(activation, options.epochs, options.train)
            rows = zip(recorder.steps, recorder.per_layer.round(1).tolist(), strict=True)
            print(f"{activation}: {accuracy:.4f} of the held-out digits are right")
            print("units that change sign within 0.1 of an image, by block, at steps", *rows, sep="\n  ")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        model, (images, _) = pretrained(), held_out()
        draw_tokens(model, images[:40]).savefig(options.out / "transformer_tokens.png", dpi=110)
        draw_cones(model, images[:40]).savefig(options.out / "transformer_cones.png", dpi=110)


if __name__ == "__main__":
    main()
