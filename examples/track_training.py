"""Follow the regions of a window through twenty checkpoints of an MLP that learns digits.

    python examples/track_training.py

The window holds three images (``--images 4`` makes it three-dimensional). In the last five epochs only the
output layer is trained: its regions are taken over, the others are searched.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import polytope as pt

DIGITS = (3, 5, 8, 0, 9)


def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images as 64 numbers in [0, 1], and their classes."""
    pixels, classes = load_digits(return_X_y=True)
    return pixels / 16, classes


def window(n: int) -> tuple[pt.Slice, pt.Polyhedron]:
    """The affine space through an image of each of n digits, and the domain [-1, 2]^(n - 1) of it."""
    images, classes = digits()
    chosen = [images[classes == digit][0] for digit in DIGITS[:n]]
    through = pt.Slice(chosen[0], np.array([image - chosen[0] for image in chosen[1:]]))
    return through, pt.Polyhedron.box([-1.0] * (n - 1), [2.0] * (n - 1))


def checkpoints(epochs: int, head_only: int) -> Iterator[pt.Network]:
    """64-32-16-10 with ReLU before training and after every epoch; in the last ones only the head learns."""
    torch.manual_seed(0)
    images, classes = (torch.tensor(a) for a in digits())
    linear = [nn.Linear(m, n, dtype=torch.float64) for m, n in ((64, 32), (32, 16), (16, 10))]
    model = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs + 1):
        yield pt.mlp([(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in linear])
        if epoch == epochs - head_only:
            optimizer = torch.optim.Adam(linear[2].parameters(), lr=1e-3)
        for some in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[some]), classes[some]).backward()
            optimizer.step()


def main() -> None:
    """Train, track, print a line for each checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--head-only", type=int, default=5)
    parser.add_argument("--images", type=int, default=3, choices=range(2, len(DIGITS) + 1))
    options = parser.parse_args()
    torch.set_num_threads(1)
    through, box = window(options.images)
    regions = None
    print("checkpoint  regions  stayed    born    died       ms")
    for number, network in enumerate(checkpoints(options.epochs, options.head_only)):
        on_the_window = network.restrict(through)
        if regions is None:
            regions = pt.enumerate_regions(on_the_window, box)
            print(f"{number:10} {len(regions):8}")
            continue
        start = time.perf_counter()
        tracked = pt.track(regions, on_the_window)
        ms = 1e3 * (time.perf_counter() - start)
        regions = tracked.regions
        assert regions.complete
        changes = (tracked.stayed, tracked.born, tracked.died)
        how = "" if tracked.searched else "  taken over"
        print(f"{number:10} {len(regions):8}" + "".join(f"{len(c):8}" for c in changes) + f"{ms:9.2f}{how}")


if __name__ == "__main__":
    main()
