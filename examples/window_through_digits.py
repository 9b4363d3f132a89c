"""Cut the plane through three digit images into the linear regions of the trained MLP.

    python examples/window_through_digits.py

The plane's coordinates t are barycentric: (0, 0), (1, 0) and (0, 1) are the three images.
"""

from pathlib import Path

import numpy as np

import polytope as pt
from adapters import load

HERE = Path(__file__).parent
DIGITS = (3, 5, 8)


def main() -> None:
    """Enumerate, then ask the complex a few questions."""
    network = load(HERE / "models" / "digits_mlp.onnx")
    with np.load(HERE / "data" / "digits_test.npz") as data:
        images = [data["X"][data["y"] == digit][0] for digit in DIGITS]
    on_the_plane = network.restrict(pt.Slice.through(*images))
    regions = pt.enumerate_regions(on_the_plane, pt.Polyhedron.box([-1, -1], [2, 2]))

    graph = regions.adjacency()
    degree = 2 * graph.number_of_edges() / graph.number_of_nodes()
    print(f"The plane through images of the digits {DIGITS}: exact counts for t in [-1, 2]^2.")
    print(f"activation regions   {len(regions)} (complete: {regions.complete})")
    print(f"linear regions       {len(np.unique(regions.merged()))}")
    print(f"affine pieces        {regions.pieces()}")
    print(f"adjacent pairs       {graph.number_of_edges()}, mean degree {degree:.2f}")

    classes = on_the_plane(regions.interior_points).argmax(axis=1)
    area = np.bincount(classes, weights=regions.volumes() / 9)
    shares = ", ".join(f"{digit}: {area[digit]:.0%}" for digit in np.argsort(-area) if area[digit] > 0)
    print(f"share of the area, by the class at a region's interior point (an estimate): {shares}")


if __name__ == "__main__":
    main()
