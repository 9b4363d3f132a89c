"""Ask the digits model, and an ACAS Xu network, what their regions say about single inputs.

    python examples/measure_models.py [--acas MODEL.onnx PROPERTY.vnnlib] [--seconds 5]

Distances are exact, or certified intervals where the budget of seconds ends first.
"""

import argparse
from pathlib import Path

import numpy as np

import polytope as pt
from adapters import load

HERE = Path(__file__).parent


def measure_point(network: pt.Network, x: np.ndarray, box: pt.Polyhedron, seconds: float) -> None:
    """How far the point is from another class, and which inputs made it what it is."""
    print(f"class {network(x).argmax()}, outputs {np.round(network(x), 3).tolist()}")
    for norm in (1, 2, np.inf):
        found = pt.robustness_radius(network, x, norm, domain=box, max_seconds=seconds)
        size = (
            f"{found.value:.5f} (exact"
            if found.exact
            else f"{found.lower:.5f} .. {found.value:.5f} (certified"
        )
        print(f"distance to the decision boundary, norm {norm}: {size}, {found.regions} regions)")
    explained = pt.linear_explanation(network, x[None])
    reach = ", ".join(f"{r[0]:.2g} (norm {norm:g})" for norm, r in explained.reach.items())
    print(f"the affine function of its region holds as far as {reach}")
    center = box.inscribed_ball[0]
    parts = pt.integrated_gradients(network, x[None], center, explained.outputs)[0]
    gain = float(network(x)[explained.outputs[0]] - network(center)[explained.outputs[0]])
    largest = np.argsort(-np.abs(parts))[:3]
    named = ", ".join(f"input {i}: {parts[i]:+.3f}" for i in largest)
    print(f"integrated gradients from the centre: {named}")
    print(f"they add up to {gain:+.3f}, the difference of the outputs, but for {abs(parts.sum() - gain):.0e}")


def measure_units(network: pt.Network, box: pt.Polyhedron, seconds: float) -> None:
    """Which units a domain needs."""
    found = pt.simplify(network, box, max_seconds=seconds)
    print(
        f"of {network.n_units} units {found.dead.sum()} are dead and {found.always_on.sum()} always on, "
        f"proved; {found.network.n_units} are left, outputs differ by {found.difference:.0e}"
    )


def measure_plane(network: pt.Network, window: pt.Slice, i: int, j: int) -> None:
    """The decision boundary in a plane, its shape for two classes, and the graph of regions."""
    plane = network.restrict(window)
    square = pt.Polyhedron.box([-1, -1], [2, 2])
    regions = pt.enumerate_regions(plane, square)
    border = pt.decision_boundary(regions)
    graph = pt.dual_graph(regions)
    print("in a plane through three points, all regions, so these are exact:")
    print(f"{len(regions)} regions, mean degree {graph.mean_degree:.2f}, diameter {graph.diameter}")
    print(f"the decision boundary has {len(border)} facets of total length {border.area:.3f}")
    shape = pt.sublevel_topology(pt.enumerate_regions(plane.margin(i, j), square))
    print(f"where class {j} beats class {i}: {shape.betti[0]} components, {shape.betti[1]} holes")


def main() -> None:
    """Both models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--acas", nargs=2, type=Path, metavar=("MODEL", "PROPERTY"))
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()

    digits = load(HERE / "models" / "digits_mlp.onnx")
    with np.load(HERE / "data" / "digits_test.npz") as data:
        images = [data["X"][data["y"] == digit][0].astype(float) for digit in (3, 5, 8)]
    print("digits: an image of a 3")
    measure_point(digits, images[0], pt.Polyhedron.box([0] * 64, [1] * 64), options.seconds)
    measure_units(digits, pt.Polyhedron.box(images[0] - 0.02, images[0] + 0.02), options.seconds)
    measure_plane(digits, pt.Slice.through(*images), 3, 8)

    if options.acas:
        scores = load(options.acas[0])
        advisory = scores.then(pt.mlp([(-np.eye(5), np.zeros(5))]))  # the least score wins
        stated = pt.read_input_box(options.acas[1].read_text())
        box = pt.Polyhedron.box(stated.low, stated.high)
        print("\nACAS Xu: the centre of the property's box")
        center = (stated.low + stated.high) / 2
        measure_point(advisory, center + 0.1 * (stated.high - center), box, options.seconds)
        measure_units(advisory, box, options.seconds)
        corners = [center, center + (stated.high - center) * [1, 1, 0, 0, 0], stated.high]
        first, second = np.argsort(-advisory(center))[:2]
        measure_plane(advisory, pt.Slice.through(*corners), int(first), int(second))


if __name__ == "__main__":
    main()
