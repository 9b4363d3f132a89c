"""Two networks: bounds of their difference against samples, answers against all regions of both at once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import adapters
import polytope as pt
from polytope.bounds.differences import bounds_of_difference, same_architecture
from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import Composition, Dense, Layer, Network, PiecewiseLinear, relu, stack
from polytope.ir.activations import leaky_relu
from tests.command_line import MODEL, answer, polytope
from tests.networks import NETWORKS, box, changed, convolutions, diamond, nearly_symmetric, seeded


def rescaled() -> tuple[Network, Network]:
    """One function twice: with its units in another order, and times 4."""
    one = seeded(1, 2, 5, 4, 2)
    (A, a), (B, b), (C, c) = (
        (layer.maps[0].rows(np.arange(len(layer.bias))), layer.bias) for layer in one.layers
    )
    order = [3, 1, 0, 2, 4]
    return one, pt.mlp([(4 * A[order], 4 * a[order]), (B[:, order] / 4, b), (C, c)])


def farthest_of_all_regions(first: Network, second: Network, domain: pt.Polyhedron) -> float:
    """The largest difference at the vertices of all regions of both: the slow way."""
    regions = pt.enumerate_regions(stack(first, second), domain)
    assert regions.complete
    return max(
        float(np.abs(first(vertices) - second(vertices)).max())
        for vertices in (region.vertices() for region in regions)
    )


@pytest.mark.parametrize("name", [*NETWORKS, "convolutions", "composed"])
@pytest.mark.parametrize("size", [1e-13, 1e-6, 0.05])
def test_differences_keep_their_bounds(name: str, size: float) -> None:
    own = {"convolutions": lambda: convolutions(1), "composed": nearly_symmetric}
    network = (NETWORKS | own)[name]()
    other, d = changed(network, size), network.input_dim
    assert same_architecture(network, other)
    low, high = bounds_of_difference(network, other, np.array([[-1.0] * d, [1.0] * d]))
    assert (low < high).any()
    assert np.abs([low, high]).max() < 1e7 * size
    exact = ExactNetwork(stack(network, other))
    for x in np.random.default_rng(1).uniform(-1, 1, (20, d)):
        y = values_at(exact, tuple(map(Fraction, x.tolist())))
        apart = [a - b for a, b in zip(y[: len(low)], y[len(low) :], strict=True)]
        assert all(a <= v <= b for a, v, b in zip(low.tolist(), apart, high.tolist(), strict=True))


def pieces(change: float, *, per_unit: bool) -> PiecewiseLinear:
    """Three pieces, that jump nowhere at a change of 0; slopes and intercepts off by about the change."""
    n = 5 if per_unit else 1
    by = change * np.random.default_rng(3).standard_normal((2, n, 3))
    breakpoints = np.tile([-0.5, 0.25], (n, 1))
    slopes = np.tile([0.1, -1.0, 0.3], (n, 1)) + by[0]
    lifts = np.diff(-slopes, axis=1) * breakpoints
    intercepts = by[1][:, :1] + np.concatenate([np.zeros((n, 1)), np.cumsum(lifts, axis=1)], axis=1)
    return PiecewiseLinear(breakpoints, slopes, intercepts)


@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize("size", [1e-13, 1e-8, 0.05])
def test_differences_of_slopes_keep_their_bounds(size: float, *, per_unit: bool) -> None:
    """Activations with other slopes and intercepts, in fractions; the bound is of the size of the change."""
    one = seeded(4, 2, 5, 5, 2, activation=pieces(0.0, per_unit=per_unit))
    other = seeded(4, 2, 5, 5, 2, activation=pieces(size, per_unit=per_unit))
    assert same_architecture(one, other)
    low, high = bounds_of_difference(one, other, np.array([[-1.0] * 2, [1.0] * 2]))
    assert (low < high).all()
    assert np.abs([low, high]).max() < 1e4 * size
    exact = ExactNetwork(stack(one, other))
    for x in np.random.default_rng(1).uniform(-1, 1, (50, 2)):
        y = values_at(exact, tuple(map(Fraction, x.tolist())))
        apart = [a - b for a, b in zip(y[:2], y[2:], strict=True)]
        assert all(a <= v <= b for a, v, b in zip(low.tolist(), apart, high.tolist(), strict=True))


def test_an_export_whose_slopes_are_rounded_is_the_module() -> None:
    """A slope of 0.1 is the float32 number next to it in a file; bounds prove what that changes."""
    module = torch.nn.Sequential(
        torch.nn.Linear(12, 16), torch.nn.LeakyReLU(0.1), torch.nn.Linear(16, 3)
    ).double()
    ours = pt.from_torch(module, torch.zeros(1, 12, dtype=torch.float64))
    rounded = leaky_relu(float(np.float32(0.1)))
    theirs = replace(
        ours,
        layers=tuple(
            replace(layer, activation=rounded) if layer.activation else layer for layer in ours.layers
        ),
    )
    found = pt.equivalent(ours, theirs, box(12, 1.0), tolerance=1e-6)
    assert (found.status, found.proof) == ("within", "bounds")
    assert 0 < found.upper < 1e-7
    beyond = replace(
        theirs,
        layers=tuple(
            replace(layer, activation=leaky_relu(-1.7e308)) if layer.activation else layer
            for layer in ours.layers
        ),
    )
    huge = replace(
        theirs,
        layers=tuple(
            replace(layer, activation=leaky_relu(1.7e308)) if layer.activation else layer
            for layer in ours.layers
        ),
    )
    assert not same_architecture(beyond, huge)  # their slopes differ by more than float64 holds


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_itself(name: str) -> None:
    network = NETWORKS[name]()
    same = changed(network, 0.0)
    found = pt.equivalent(network, same, box(network.input_dim, 1.0))
    assert (found.status, found.lower, found.upper, found.proof) == ("equal", 0.0, 0.0, "bounds")


SOME = ("relu_2-5-5-1", "hard_tanh_2-5-5-1", "relu_3-5-4-2", "residual", "grouped")
SIZES = (1e-9, 0.1)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, marks=[] if i % 2 == k else [pytest.mark.slow])
        for i, name in enumerate(SOME)
        for k, size in enumerate(SIZES)
    ],
)
def test_the_largest_difference_is_that_of_all_regions(name: str, size: float) -> None:
    """In the suite of each network by one size, by both among the slow tests."""
    network = NETWORKS[name]()
    other, domain = changed(network, size), box(network.input_dim, 1.0)
    expected = farthest_of_all_regions(network, other, domain)
    found = pt.difference_bounds(network, other, domain, gap=0.05)
    assert found.lower * (1 - 1e-6) <= expected <= found.upper * (1 + 1e-6)
    assert found.upper - found.lower <= 0.05 * found.upper
    within = pt.equivalent(network, other, domain, tolerance=1.02 * expected)
    beyond = pt.equivalent(network, other, domain, tolerance=0.9 * expected)
    assert (within.status, beyond.status) == ("within", "different")
    assert within.upper <= 1.02 * expected
    assert beyond.witness is not None
    assert beyond.outputs is not None
    apart = float(np.abs(np.subtract(*beyond.outputs)).max())
    assert apart == pytest.approx(beyond.lower, rel=1e-5)
    assert 0.9 * expected < beyond.lower <= expected * (1 + 1e-6)


def test_one_function_of_other_weights_is_equal() -> None:
    found = pt.equivalent(*rescaled(), box(2, 1.0))
    assert (found.status, found.upper) == ("equal", 0.0)
    assert found.proof in ("branching", "enumeration")


def test_the_last_bit_of_one_weight_is_seen() -> None:
    one, other = rescaled()
    last = other.layers[-1]
    bias = last.bias.copy()
    bias[1] = np.nextafter(bias[1], np.inf)
    other = replace(other, layers=(*other.layers[:-1], replace(last, bias=bias)))
    found = pt.equivalent(one, other, box(2, 1.0))
    assert found.status == "different"
    assert 0 < found.lower <= np.spacing(bias[1]) * 1.01


def test_units_that_are_zero_may_be_missing() -> None:
    """In 40 dimensions: two units that the box never turns on, and one that nothing reads."""
    network = seeded(3, 40, 9, 6, 3)
    first, second, last = network.layers
    bias, weights = first.bias.copy(), second.maps[0].rows(np.arange(6))
    bias[[2, 7]] = -500.0
    weights[:, 4] = 0.0
    network = replace(
        network, layers=(replace(first, bias=bias), replace(second, maps=(pt.ir.Dense(weights),)), last)
    )
    left = [0, 1, 3, 5, 6, 8]
    A, C = first.maps[0].rows(np.arange(9)), last.maps[0].rows(np.arange(3))
    pruned = pt.mlp([(A[left], bias[left]), (weights[:, left], second.bias), (C, last.bias)])
    assert not same_architecture(network, pruned)
    found = pt.equivalent(network, pruned, box(40, 1.0), max_seconds=60)
    assert (found.status, found.upper, found.proof) == ("equal", 0.0, "bounds")
    assert pt.equivalent(network, pruned, box(40, 100.0), max_seconds=60).status == "different"


def test_what_simplify_leaves_is_within_rounding() -> None:
    """Two layers whose units have become part of the maps, in 64 dimensions."""
    network = adapters.load(MODEL)
    middle = np.full(64, 0.4)
    domain = pt.Polyhedron.box(middle - 0.02, middle + 0.02)
    smaller = pt.simplify(network, domain).network
    assert smaller.n_units < network.n_units // 2
    found = pt.equivalent(network, smaller, domain, tolerance=1e-9, max_seconds=60)
    assert (found.status, found.proof) == ("within", "bounds")
    apart = network(middle[None]) - smaller(middle[None])
    assert np.abs(apart).max() <= found.upper < 1e-9


def test_products_of_maps_are_not_rounded_on_the_way() -> None:
    """A dead unit in front of a product of two maps, against the network without it and with the product."""
    factors = Composition(Dense(np.array([[-0.1]])), Dense(np.array([[0.3, 0.3, 1.0]])))
    W, b, c = np.array([[1.0], [-1.0], [1.0]]), np.array([-0.3, 0.3, -5.0]), np.array([1e-6])
    layers = (
        Layer((0,), (Dense(W),), b, relu()),
        Layer((1,), (factors,), c, relu()),
        Layer((2,), (Dense(np.ones((1, 1))),), np.zeros(1)),
    )
    one, rounded = Network((1,), layers), factors.to_sparse().toarray()
    other = pt.mlp([(W[:2], b[:2]), (rounded[:, :2], c), ([[1.0]], [0.0])])
    found = pt.equivalent(one, other, box(1, 1.0))
    assert found.status != "equal"
    assert found.upper > 0


def test_a_domain_that_is_no_box() -> None:
    """|x| + |y| - 1 against half of it on a triangle, where they are 1/2 apart at most, at the origin."""
    triangle = pt.Polyhedron([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])
    one = diamond(2)
    other = one.then(pt.mlp([([[0.5]], [0.0])]))
    found = pt.difference_bounds(one, other, triangle, gap=1e-3)
    assert found.lower <= 0.5 <= found.upper <= 0.501
    assert found.witness is not None
    assert triangle.contains(found.witness).all()


def test_no_time_is_no_answer_and_no_bound() -> None:
    network = seeded(1, 8, 20, 20, 3)
    found = pt.equivalent(network, changed(network, 0.1), box(8, 1.0), max_seconds=1e-9)
    assert (found.status, found.lower, found.upper) == ("undecided", 0.0, np.inf)
    assert found.proof is found.witness is None
    bounds = pt.difference_bounds(network, changed(network, 0.1), box(8, 1.0), max_seconds=1e-9)
    assert (bounds.low == -np.inf).all()
    assert (bounds.high == np.inf).all()
    assert (bounds.lower, bounds.upper) == (0.0, np.inf)


def test_what_time_leaves_is_an_interval() -> None:
    network = seeded(1, 30, 40, 40, 3)
    other = changed(network, 0.1)
    found = pt.difference_bounds(network, other, box(30, 1.0), max_seconds=3)
    x = np.random.default_rng(0).uniform(-1, 1, (10_000, 30))
    apart = network(x) - other(x)
    assert 0 < found.lower <= found.upper < np.inf
    assert np.abs(apart).max() <= found.upper
    assert (found.low <= apart.min(axis=0)).all()
    assert (apart.max(axis=0) <= found.high).all()


@pytest.mark.parametrize(
    ("other", "domain", "tolerance", "words"),
    [
        (seeded(1, 3, 4, 1), box(2, 1.0), 0.0, "2 and 3 inputs"),
        (seeded(1, 2, 4, 2), box(2, 1.0), 0.0, "1 and 2 outputs"),
        (seeded(1, 2, 4, 1), box(3, 1.0), 0.0, "domain lies in"),
        (seeded(1, 2, 4, 1), box(2, 1.0), -1.0, "tolerance"),
        (seeded(1, 2, 4, 1), box(2, 1.0), np.nan, "tolerance"),
        (pt.mlp([(np.full((1, 2), np.nan), [0.0])]), box(2, 1.0), 0.0, "not finite"),
    ],
)
def test_what_cannot_be_compared(other: Network, domain: pt.Polyhedron, tolerance: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pt.equivalent(seeded(1, 2, 4, 1), other, domain, tolerance=tolerance)


def test_domains_without_end_or_interior() -> None:
    network = seeded(1, 2, 4, 1)
    with pytest.raises(UnboundedDomainError):
        pt.equivalent(network, network, pt.Polyhedron([[1.0, 0.0]], [1.0]))
    empty = pt.Polyhedron([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.0, 0.0, 1.0, 1.0])
    with pytest.raises(EmptyDomainError):
        pt.equivalent(network, network, empty)


def test_two_files_of_one_model(tmp_path: Path) -> None:
    """An ONNX file against a program of PyTorch made from it, and against one with a weight changed."""
    network = adapters.load(MODEL)
    layers: list[torch.nn.Module] = []
    for layer in network.layers:
        linear = torch.nn.Linear(*reversed(layer.maps[0].shape))
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.maps[0].rows(np.arange(len(layer.bias)))))
            linear.bias.copy_(torch.tensor(layer.bias))
        layers += [linear, torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers[:-1])
    same, other = tmp_path / "same.pt2", tmp_path / "other.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 64),)), same)
    with torch.no_grad():
        layers[-2].bias[3] += 0.25  # type: ignore[index,operator]
    torch.export.save(torch.export.export(module, (torch.zeros(1, 64),)), other)
    assert answer("compare", MODEL, same)["status"] == "equal"
    assert polytope("compare", MODEL, other, "--box", "0", "1", "--tolerance", "0.3").stdout.startswith(
        "Within 0.3"
    )
    found = answer("compare", MODEL, other, "--box", "0", "1", "--tolerance", "0.2", code=1)
    assert (found["status"], found["confirmed"]) == ("different", True)
    assert found["lower"] == pytest.approx(0.25)
    wrong = polytope("compare", MODEL, MODEL.with_name("digits_cnn.onnx"), "--tolerance", "-1")
    assert wrong.returncode == 2


def test_a_cut_holds_for_the_file_that_has_it(tmp_path: Path) -> None:
    """A softmax behind the outputs is cut off by the name that the refusal gives, in the file that has it."""
    logits, soft = onnx.load(MODEL), onnx.load(MODEL)
    [end] = soft.graph.output
    soft.graph.node.add(op_type="Softmax", input=[end.name], output=["chances"])
    cut, end.name = end.name, "chances"
    [kept] = [node for node in logits.graph.node if cut in node.output]
    kept.output[0] = logits.graph.output[0].name = "raw"
    files = tmp_path / "logits.onnx", tmp_path / "soft.onnx"
    for model, file in zip((logits, soft), files, strict=True):
        onnx.save(model, file)
    assert polytope("compare", *files).returncode == 3
    for pair in (files, files[::-1]):
        assert answer("compare", *pair, "--until", cut)["status"] == "equal"
    nowhere = polytope("compare", *files, "--until", "neither")
    assert (nowhere.returncode, "no tensor 'neither'" in nowhere.stderr) == (3, True)
