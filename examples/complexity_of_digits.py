"""Compare the local complexity of the CNN around digits that it classifies right and wrong.

    python examples/complexity_of_digits.py

Local complexity is the number of units with a crossing in a small cross-polytope around an image: exact in
the first layer, a lower bound in deeper ones.
"""

from pathlib import Path

import numpy as np

import polytope as pt
from adapters import load

HERE = Path(__file__).parent


def main() -> None:
    """Mean counts by radius and by whether the prediction is right."""
    network = load(HERE / "models" / "digits_cnn.onnx")
    with np.load(HERE / "data" / "digits_test.npz") as data:
        images, labels = data["X"].astype(float), data["y"]
    right = network(images).argmax(axis=1) == labels
    print(f"{right.sum()} of {len(labels)} images classified right; {network.n_units} units")
    print("radius   mean count, right   mean count, wrong   by layer, all images")
    for radius in (0.01, 0.1, 0.5):
        counts = pt.local_complexity(network, images, radius, frames=16)
        layers = " ".join(f"{mean:.1f}" for mean in counts.per_layer.mean(axis=0))
        means = counts.total[right].mean(), counts.total[~right].mean()
        print(f"{radius:6}   {means[0]:17.1f}   {means[1]:17.1f}   {layers}")


if __name__ == "__main__":
    main()
