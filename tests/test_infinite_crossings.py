"""Expected crossings at initialisation: exact counts of drawn networks, closed forms, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import adapters
import polytope as pt
from polytope import infinite
from tests.infinite_cases import Residual, convolutional

SEGMENT = pt.Polyhedron.box([0.0], [1.0])


def drawn(
    rng: np.random.Generator, widths: list[int], weight_std: float, bias_std: float, activation: object
) -> pt.Network:
    """A dense network of normal weights."""
    layers = [
        (rng.standard_normal((n, m)) * weight_std / m**0.5, rng.standard_normal(n) * bias_std)
        for m, n in pairwise(widths)
    ]
    return pt.mlp(layers, activation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("d", "width", "depth", "bias_std", "bend"),
    [
        (3, 96, 1, 0.3, infinite.relu()),
        (2, 96, 2, 0.1, infinite.relu()),
        (20, 96, 2, 0.3, infinite.leaky_relu(0.2)),
        (3, 96, 2, 0.3, infinite.hard_tanh(-1.0, 0.7)),
        (5, 96, 3, 0.0, infinite.relu()),
    ],
    ids=["one layer", "two layers", "leaky", "hard tanh", "no bias"],
)
def test_expected_crossings_are_means_of_exact_counts(
    d: int, width: int, depth: int, bias_std: float, bend: infinite.Bend
) -> None:
    """Of 40 networks each: within 4 standard errors, and depth / width, by which finite width differs."""
    rng = np.random.default_rng(d)
    a, b = rng.standard_normal((2, d))
    activation = {
        infinite.relu(): None,
        infinite.leaky_relu(0.2): pt.ir.leaky_relu(0.2),
        infinite.hard_tanh(-1.0, 0.7): pt.ir.hard_tanh(-1.0, 0.7),
    }[bend]
    std = 1.5 if len(bend.breakpoints) > 1 else 2**0.5
    net = infinite.mlp(d, depth, bend, weight_std=std, bias_std=bias_std, width=width)
    found = infinite.expected_crossings(net, a, b)
    assert found.widths == (width,) * depth
    window = pt.Slice.through(a, b)
    counts = []
    for _ in range(40):
        network = drawn(rng, [d, *[width] * depth, 1], std, bias_std, activation)
        count = pt.count_regions(network.restrict(window), SEGMENT)
        assert count.complete
        counts.append(count.upper - 1)
    error = np.std(counts, ddof=1) / 40**0.5
    expected = found.total.value
    assert abs(np.mean(counts) - expected) <= 4 * error + depth / width * expected


@pytest.mark.parametrize("kind", ["residual", "convolution"])
def test_modules_expect_what_their_draws_have(kind: str) -> None:
    """Units that change sign between neighbours of 400 points of a segment, by 20 draws of width 64."""
    shape = (6,) if kind == "residual" else (2, 5, 5)

    def make() -> nn.Module:
        return Residual(width=64) if kind == "residual" else convolutional("flat", 64, padding=1)

    a, b = np.random.default_rng(0).standard_normal((2, int(np.prod(shape))))
    found = infinite.expected_crossings(infinite.architecture(make(), shape), a, b)
    counts = []
    rng = np.random.default_rng(0)
    for _ in range(20):
        module = infinite.draw(make(), rng)
        network = adapters.from_torch(module, torch.zeros(1, *shape, dtype=torch.float64))
        count = pt.count_regions(network.restrict(pt.Slice.through(a, b)), SEGMENT)
        counts.append(count.upper - 1)
    error = np.std(counts, ddof=1) / 20**0.5
    expected = found.total.value
    assert abs(np.mean(counts) - expected) <= 4 * error + 2 / 64 * expected


def test_without_biases_crossings_count_the_angle() -> None:
    """ReLU units without biases bend on hyperplanes through 0: angle / pi of them between two points."""
    net = infinite.mlp(2, 1, width=10)
    for angle in (0.1, 1.0, 3.0):
        found = infinite.expected_crossings(net, [1.0, 0.0], [2 * np.cos(angle), 2 * np.sin(angle)])
        assert found.per_layer == pytest.approx([10 * angle / np.pi], rel=1e-8)


def test_a_segment_that_passes_close_to_zero_has_a_sharp_peak() -> None:
    """Without biases the angle is nearly a half turn, whatever the distance from 0."""
    net = infinite.mlp(2, 1, width=10)
    for near in (1e-2, 1e-5, 1e-8):
        found = infinite.expected_crossings(net, [-1.0, near], [2.0, near])
        angle = np.pi - np.arctan(near) - np.arctan(near / 2)
        assert found.per_layer == pytest.approx([10 * angle / np.pi], rel=1e-7)


def test_crossings_add_up_along_a_segment_and_vanish_at_a_point() -> None:
    net, (a, b) = infinite.mlp(4, 3, bias_std=0.2, width=16), np.random.default_rng(0).standard_normal((2, 4))
    middle = 0.3 * a + 0.7 * b
    whole, first, second = (
        infinite.expected_crossings(net, *ends).per_layer for ends in ((a, b), (a, middle), (middle, b))
    )
    np.testing.assert_allclose(first + second, whole, rtol=1e-7)
    assert (infinite.expected_crossings(net, a, a).per_layer == 0).all()


def test_the_length_in_a_plane_is_that_of_exact_regions() -> None:
    """Of 20 networks 2-16-16: the lengths of all facets, within 4 standard errors and the 1 / width bias."""
    rng = np.random.default_rng(0)
    square = pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0])
    net = infinite.mlp(2, 2, bias_std=0.3, width=16)
    found = infinite.expected_crossing_length(net, [0.0, 0.0], np.eye(2), (-1, -1), (1, 1))
    lengths = []
    for _ in range(20):
        regions = pt.enumerate_regions(drawn(rng, [2, 16, 16, 1], 2**0.5, 0.3, None), square)
        around = sum(perimeter(regions[i].vertices()) for i in range(len(regions)))
        lengths.append((around - 8.0) / 2)  # every crossing is on two regions, the square's sides on one
    error = np.std(lengths, ddof=1) / 20**0.5
    assert abs(np.mean(lengths) - found.total.value) <= 4 * error + 2 / 16 * found.total.value


def perimeter(corners: np.ndarray) -> float:
    """Of a convex polygon."""
    around = corners - corners.mean(axis=0)
    corners = corners[np.argsort(np.arctan2(*around.T))]
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum())


def test_a_window_of_parallel_lines_is_a_segment_times_its_height() -> None:
    """One breakpoint t = 0.5 of units that read one coordinate: lines across the window."""
    bend = infinite.Bend((0.5,), (0.0, 1.0), 0.0)
    net = infinite.chain([infinite.dense(1.3, 0.4, width=7), bend, infinite.dense()], (2,))
    along = infinite.expected_crossings(net, [-1.0, 0.0], [1.0, 0.0]).total.value
    flat = np.array([[1.0, 0.0], [0.0, 1e-9]])
    length = infinite.expected_crossing_length(net, [0.0, 0.0], flat, (-1, 0), (1, 3)).total.value
    assert length == pytest.approx(3 * along, rel=1e-4)  # of directions, ANGLES of them
    zero = infinite.chain([infinite.dense(1.3, 0.4, width=7), infinite.relu(), infinite.dense()], (2,))
    along = infinite.expected_crossings(zero, [-1.0, 0.0], [1.0, 0.0]).total.value
    length = infinite.expected_crossing_length(zero, [0.0, 0.0], flat, (-1, 0), (1, 3)).total.value
    assert length == pytest.approx(3 * along, rel=1e-6)


def test_wrong_questions_are_refused() -> None:
    net = infinite.mlp(3, 1, bias_std=0.1, width=8)
    a, b = np.zeros(3), np.ones(3)
    with pytest.raises(ValueError, match="width of its layer is not known"):
        infinite.expected_crossings(infinite.mlp(3, 1), a, b)
    with pytest.raises(ValueError, match=r"expected points of shape \[B, 3\]"):
        infinite.expected_crossings(net, np.zeros(4), np.ones(4))
    with pytest.raises(ValueError, match="not a finite number"):
        infinite.expected_crossings(net, a, np.full(3, np.nan))
    with pytest.raises(ValueError, match="All pre-activations are 0"):
        infinite.expected_crossings(infinite.mlp(3, 1, width=8), -b, b)
    with pytest.raises(ValueError, match="All pre-activations are 0"):  # at a third, but for rounding
        infinite.expected_crossings(infinite.mlp(3, 1, width=8), [-0.1, -0.2, -0.7], [0.2, 0.4, 1.4])
    with pytest.raises(ValueError, match="variances overflow"):
        infinite.expected_crossings(net, a, b * 1e200)
    with pytest.raises(ValueError, match="is empty"):
        infinite.expected_crossing_length(net, a, np.eye(3)[:2], (0, 0), (1, 0))
    pooled = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4, 1),
    )
    with pytest.raises(ValueError, match="pools in front of units"):
        infinite.expected_crossings(infinite.architecture(pooled, (1, 6, 6)), np.zeros(36), np.ones(36))
