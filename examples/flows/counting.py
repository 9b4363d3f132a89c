"""Regression on images: canvases with digits, changed along the data until a network counts more or fewer.

    python examples/flows/counting.py [--share 0.2] [--seed 1] [--out counting.svg]

A canvas has nine cells, each empty or with a digit of scikit-learn, under uniform noise. A convolutional ReLU
network is trained to count the digits; a Glow of one cell is trained on cells, and nine copies side by side
are the flow of a canvas. Canvases with many digits are asked to lose two, canvases with few to gain two: by
gradient ascent in base space, and in data space, where the count changes and the picture does not. A
nearest-neighbour classifier that had no part in the search counts what is there then.

Near the data means: no farther from the nearest canvas that training digits make than 95 percent of held-out
canvases with the asked count are. That distance is found exactly, cell by cell, up to rounding. Percentiles
are those of the flow's log-density on such canvases. All figures are measured: estimates.
"""

from pathlib import Path

import numpy as np
import torch
from experiment import descend, pyplot, show
from scipy.spatial import KDTree
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from polytope import flows

SIDE, PIXELS = 3, 64  # cells along a canvas, pixels of a cell
CELLS = SIDE**2
NOISE = 0.1  # width of the noise on every pixel; ink goes from 0 to 1
KEPT = 360  # digits that nothing is trained on
ASKED, SEARCHES = 2, 32  # change of the count, and canvases for each direction
FEW, MANY = (2, 3, 4), (5, 6, 7)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images to train on and images kept apart, ``[N, 64]``."""
    images = load_digits().data / 16
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[KEPT:]], images[order[:KEPT]]


def canvases(rng: np.random.Generator, images: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Canvases with so many digits in random cells, ``[B, 9, 64]``."""
    shape = len(counts), CELLS
    filled = rng.random(shape).argsort(axis=1) < np.asarray(counts)[:, None]
    ink = images[rng.integers(len(images), size=shape)] * filled[:, :, None]
    return ink + NOISE * rng.random(ink.shape)


def picture(x: torch.Tensor) -> torch.Tensor:
    """Cells side by side: ``[B, 1, 24, 24]``."""
    cells = x.reshape(-1, SIDE, SIDE, 8, 8)
    return cells.transpose(2, 3).reshape(-1, 1, 8 * SIDE, 8 * SIDE)


def side_by_side(cell: flows.Flow, cells: int = CELLS) -> flows.Flow:
    """The flow of independent cells from that of one: log-determinants add up."""

    def way(direction: str):
        def move(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            moved, logdet = getattr(cell, direction)(points.reshape(-1, cell.dim))
            return moved.reshape(points.shape), logdet.reshape(len(points), cells).sum(dim=1)

        return move

    return flows.wrap(way("forward"), way("inverse"), (cells, cell.dim))


def train_flow(images: np.ndarray, steps: int, seed: int) -> flows.Flow:
    """A Glow of cells, half of them empty."""
    rng = np.random.default_rng(seed)
    core = flows.glow((1, 8, 8), levels=2, steps=4, hidden=32, rng=rng)
    cell = flows.Flow([*core.ordered, flows.ActNorm(PIXELS)], shape=(1, 8, 8)).float()

    def some(rng: np.random.Generator, n: int) -> np.ndarray:
        ink = images[rng.integers(len(images), size=n)] * (rng.random(n) < 0.5)[:, None]
        return ink + NOISE * rng.random(ink.shape)

    flows.fit(cell, some, steps=steps, batch_size=128, learning_rate=3e-3, rng=rng)
    return cell.double()


def train_counter(images: np.ndarray, steps: int, seed: int) -> torch.nn.Sequential:
    """Two convolutions and two linear layers; the squared error of counts from 0 to 9."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    nn = torch.nn
    features = [nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU()]
    net = nn.Sequential(*features, nn.Flatten(), nn.Linear(400, 32), nn.ReLU(), nn.Linear(32, 1))

    def loss() -> torch.Tensor:
        counts = rng.integers(CELLS + 1, size=64)
        x = torch.tensor(canvases(rng, images, counts)).float()
        return (net(picture(x))[:, 0] - torch.tensor(counts).float()).square().mean()

    descend(net, loss, steps, 3e-3, weight_decay=1e-3)
    return net.double()


def distances(x: np.ndarray, images: np.ndarray) -> np.ndarray:
    """From canvases ``[B, cells, D]`` to the nearest canvas of these images and empty cells, ``[B]``.

    Cells do not depend on each other, so that the nearest canvas has the nearest image in each. The noise
    stands at its mean.
    """
    known = np.concatenate([images, np.zeros((1, images.shape[1]))]) + NOISE / 2
    nearest = KDTree(known).query(x.reshape(-1, images.shape[1]))[0]
    return np.linalg.norm(nearest.reshape(x.shape[:2]), axis=1)


def oracle(images: np.ndarray) -> KNeighborsClassifier:
    """Whether a cell has a digit, by five nearest neighbours."""
    empty = np.zeros((200, PIXELS))
    label = np.repeat([1, 0], [len(images), len(empty)])
    return KNeighborsClassifier(5).fit(np.concatenate([images, empty]) + NOISE / 2, label)


def measure(full: bool = False, share: float = 1.0, seed: int = 0) -> dict:
    """Figures, and the canvases of all searches; ``share`` of the steps, to try the script."""
    train, kept = digits()
    cell = train_flow(train, int(share * (2000 if full else 700)), seed)
    net = train_counter(train, int(share * 3000), seed)
    flow, judge = side_by_side(cell), oracle(train)
    rng = np.random.default_rng(1 + seed)

    def told(x: torch.Tensor) -> torch.Tensor:
        return net(picture(x.reshape(-1, CELLS, PIXELS)))[:, 0]

    def counted(x: np.ndarray) -> np.ndarray:
        return judge.predict(x.reshape(-1, PIXELS)).reshape(-1, CELLS).sum(axis=1)

    usual = np.repeat(np.arange(CELLS + 1), 100)
    held_out = canvases(rng, kept, usual)
    with torch.no_grad():
        off = told(torch.tensor(held_out)).numpy() - usual
        density = flow.log_prob(held_out).numpy().reshape(CELLS + 1, -1)
    near = np.quantile(distances(held_out, train).reshape(CELLS + 1, -1), 0.95, axis=1)
    likely = np.quantile(density, 0.05, axis=1)
    figures = {
        "network: root mean square error of the count": float(np.sqrt(np.square(off).mean())),
        "network: percent of counts that round right": 100 * float((np.abs(off) < 0.5).mean()),
        "oracle: percent of counts that are right": 100 * float((counted(held_out) == usual).mean()),
    }
    searches = {}
    for way, sign, counts in (("fewer", -1, MANY), ("more", 1, FEW)):
        before = rng.choice(counts, SEARCHES)
        start, wanted = canvases(rng, kept, before), before + sign * ASKED
        for space in ("base", "data"):
            found = flows.counterfactual(
                told,
                flow,
                start,
                wanted,
                space=space,
                optimiser="ascent" if space == "base" else "adam",
                learning_rate=0.3 if space == "base" else 0.01,
                steps=200,
            )
            after = counted(found.x)
            with torch.no_grad():
                value = flow.log_prob(found.x).numpy()
            near_data = distances(found.x.reshape(start.shape), train) <= near[wanted]
            name = f"{space}, {way}"
            figures |= {
                f"{name}: reached, of {SEARCHES}": int(found.success.sum()),
                f"{name}: oracle's mean change of the count": float((after - before).mean()),
                f"{name}: oracle counts as asked, percent": 100 * float((after == wanted).mean()),
                f"{name}: near the data, percent": 100 * float(near_data.mean()),
                f"{name}: above the 5th percentile, percent": 100 * float((value >= likely[wanted]).mean()),
            }
            searches[name] = {"before": before, "wanted": wanted, "after": after, "found": found}
    return {"figures": figures, "searches": searches}


def plot(result: dict, path: Path) -> None:
    """Canvases before, and what both searches made of them, with the counts of network and oracle."""
    plt = pyplot()
    figure, axes = plt.subplots(6, 8, figsize=(10, 8.4))
    for part, way in enumerate(("fewer", "more")):
        base, data = (result["searches"][f"{space}, {way}"] for space in ("base", "data"))
        rows = [("start", base["found"].start, None), ("base space", base["found"].x, base)]
        rows.append(("data space", data["found"].x, data))
        for line, (name, images, search) in zip(axes[3 * part :], rows, strict=False):
            for column, place in enumerate(line):
                x = torch.tensor(images[column]).reshape(1, CELLS, PIXELS)
                place.imshow(picture(x)[0, 0].numpy(), cmap="gray_r", vmin=0, vmax=1 + NOISE)
                place.set(xticks=[], yticks=[])
                said = f"{base['before'][column]} digits, asked {base['wanted'][column]}"
                if search:
                    said = f"net {search['found'].value[column]:.1f}, oracle {search['after'][column]}"
                place.set_xlabel(said, fontsize=7)
            line[0].set_ylabel(f"{way}: {name}" if search else name, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["full", "share", "seed"])
