"""Distances to the decision boundary: closed forms, brute force over complete complexes, attacks, budgets."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

import polytope as pt
from adapters import load
from polytope.geometry.norm_distance import nearest_where_zero, proved_length
from polytope.measures.robustness import Radius
from tests.networks import NETWORKS, SHARED, integer, needs_shared, seeded

NORMS = (1, 2, np.inf)


def margins(network: pt.Network, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What the class of x leads by, rows of values."""
    if network.output_dim == 1:
        return values * (1 if network(x)[0] > 0 else -1)
    label = int(network(x).argmax())
    return np.delete(values[:, [label]] - values, label, axis=1)


def nearest_by_scipy(A: np.ndarray, b: np.ndarray, x: np.ndarray, norm: float, inside: np.ndarray) -> float:
    """The distance of x from {A y <= b}, by other solvers than the library's."""
    d = len(x)
    if norm == 2:
        found = minimize(
            lambda y: float((y - x) @ (y - x)),
            inside,
            jac=lambda y: 2 * (y - x),
            constraints={"type": "ineq", "fun": lambda y: b - A @ y, "jac": lambda y: -A},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 300},
        )
        return float(np.linalg.norm(found.x - x))
    eye, many = np.eye(d), norm == 1
    t = eye if many else np.ones((d, 1))
    rows = np.block([[A, np.zeros((len(A), t.shape[1]))], [eye, -t], [-eye, -t]])
    limits = np.concatenate([b, x, -x])
    found = linprog(np.append(np.zeros(d), np.ones(t.shape[1])), rows, limits, bounds=(None, None))
    return float(found.fun)


def brute_force(network: pt.Network, x: np.ndarray, norm: float, domain: pt.Polyhedron) -> float:
    """The distance over all regions of a complete complex, one after the other."""
    best = np.inf
    for region in pt.enumerate_regions(network, domain):
        A, b = region.halfspaces
        J, c = region.jacobian
        rows = margins(network, np.concatenate([J, c[:, None]], axis=1).T, x).T
        for row in rows:
            a, e = np.vstack([A, row[:-1]]), np.append(b, -row[-1])
            least = linprog(row[:-1], A, b, bounds=(None, None))
            if least.fun + row[-1] <= 0:
                best = min(best, nearest_by_scipy(a, e, x, norm, least.x))
    return best


def check_witness(network: pt.Network, x: np.ndarray, norm: float, found: Radius) -> None:
    assert found.witness is not None
    assert np.linalg.norm(found.witness - x, norm) == pytest.approx(found.value, rel=1e-12)
    assert np.abs(margins(network, network(found.witness[None]), x)).min() < 1e-9
    inside = x + np.linspace(0, 0.999, 50)[:, None] * (found.witness - x)
    assert (margins(network, network(inside), x) > 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_an_affine_classifier_has_its_closed_form(norm: float) -> None:
    rng = np.random.default_rng(0)
    W, b, x = rng.standard_normal((4, 6)), rng.standard_normal(4), rng.standard_normal(6)
    network = pt.mlp([(W, b)])
    label = int(network(x).argmax())
    difference = np.delete(W[label] - W, label, axis=0)
    lead = np.delete(network(x)[label] - network(x), label)
    dual = {1: np.inf, 2: 2, np.inf: 1}[norm]
    expected = (lead / np.linalg.norm(difference, dual, axis=1)).min()
    found = pt.robustness_radius(network, x, norm)
    assert found.exact
    assert found.value == pytest.approx(expected, rel=1e-12)
    check_witness(network, x, norm, found)


@pytest.mark.parametrize(
    ("found", "number"),
    [
        (pt.Radius(0.5, 0.5, None, True, 3), pt.Exact(0.5)),
        (pt.Radius(0.5, 0.25, None, False, 3), pt.Bound(0.25, 0.5)),
        (pt.Radius(np.inf, 0.25, None, False, 3), pt.Bound(0.25)),
        (pt.Radius(np.inf, np.inf, None, True, 3), pt.Missing("there is no other class")),
    ],
)
def test_a_radius_is_a_labelled_number(found: pt.Radius, number: object) -> None:
    assert found.number == number


@pytest.mark.parametrize(("norm", "distance"), [(1, 0.7), (2, 0.7 / np.sqrt(2)), (np.inf, 0.35)])
def test_inside_a_diamond(norm: float, distance: float) -> None:
    """|x| + |y| = 1 seen from (0.1, 0.2), and its corner at (1, 0) from outside."""
    network = pt.mlp([([[1.0, 0], [-1, 0], [0, 1], [0, -1]], [0.0] * 4), ([[1.0] * 4], [-1.0])])
    found = pt.robustness_radius(network, [0.1, 0.2], norm)
    assert (found.value, found.exact) == (pytest.approx(distance, rel=1e-12), True)
    assert found.value == np.nextafter(found.lower, 1)  # of 0.7 less the rounding of 0.1 and 0.2
    outside = pt.robustness_radius(network, [3.0, 0.0], norm)
    assert outside.value == pytest.approx(2, rel=1e-9)
    check_witness(network, np.array([3.0, 0.0]), norm, outside)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["relu_3-5-4-2", "residual", "integer_2-5-4-1"])
def test_brute_force_over_a_complete_complex_agrees(name: str, norm: float) -> None:
    network = NETWORKS[name]()
    domain = pt.Polyhedron.box([-1.5] * network.input_dim, [1.2] * network.input_dim)
    x = np.random.default_rng(3).uniform(-1, 1, network.input_dim)
    found = pt.robustness_radius(network, x, norm, domain=domain)
    assert found.exact
    expected = brute_force(network, x, norm, domain)
    assert found.value == pytest.approx(expected, rel=1e-7)  # what SLSQP resolves
    if np.isfinite(expected):
        check_witness(network, x, norm, found)


@pytest.mark.parametrize("seed", range(2))
def test_degenerate_networks(seed: int) -> None:
    """Small integer weights: ties, duplicates, parallel crossings; x on them."""
    network = integer(seed, 2, 6, 4, 3)
    domain = pt.Polyhedron.box([-2, -2], [2, 2])
    for x in ([0.0, 0.0], [0.5, -1.0]):
        for norm in NORMS:
            found = pt.robustness_radius(network, x, norm, domain=domain)
            point = np.array(x)
            assert found.exact
            grid = np.stack(np.meshgrid(*[np.linspace(-2, 2, 161)] * 2), axis=-1).reshape(-1, 2)
            lost = grid[(margins(network, network(grid), point) <= 0).any(axis=1)]
            away = np.linalg.norm(lost - point, norm, axis=1).min(initial=np.inf)
            assert found.value <= away + 1e-12
            assert (
                away <= found.value + 0.026 or found.value == np.inf
            )  # the grid's step: all crossings are on it or near


def attack(network: pt.Network, x: np.ndarray, radius: float) -> bool:
    """Projected gradient descent on the margin in a max-norm ball, from 20 starts, in torch."""
    weights = [
        (torch.tensor(layer.maps[0].to_sparse().toarray()), torch.tensor(layer.bias))
        for layer in network.layers
    ]
    label = int(network(x).argmax())
    torch.manual_seed(0)
    centre = torch.tensor(x)
    y = centre + radius * (2 * torch.rand(20, len(x), dtype=torch.float64) - 1)
    for _ in range(60):
        y.requires_grad_(True)
        h = y
        for number, (W, b) in enumerate(weights):
            h = h @ W.T + b
            if number < len(weights) - 1:
                h = h.relu()
        rest = h.clone()
        rest[:, label] = -torch.inf
        margin = h[:, label] - rest.max(dim=1).values
        if bool((margin < 0).any()):
            return True
        (slope,) = torch.autograd.grad(margin.sum(), y)
        y = (y.detach() - 0.1 * radius * slope.sign()).clamp(centre - radius, centre + radius)
    return False


def test_no_attack_finds_a_nearer_point() -> None:
    succeeded = 0
    for seed in (0, 1):
        network = seeded(seed, 3, 6, 5, 3)
        x = np.random.default_rng(seed).standard_normal(3)
        found = pt.robustness_radius(network, x, np.inf)
        assert found.exact
        assert not attack(network, x, 0.999 * found.value)
        succeeded += attack(network, x, 1.2 * found.value)
    assert succeeded == 2


def digits() -> tuple[pt.Network, np.ndarray]:
    from tests.examples import EXAMPLES

    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        return load(EXAMPLES / "models" / "digits_mlp.onnx"), data["X"].astype(float)


def test_a_budget_gives_a_certified_lower_bound_on_digits() -> None:
    network, images = digits()
    box = pt.Polyhedron.box([0] * 64, [1] * 64)
    partial = pt.robustness_radius(network, images[0], np.inf, domain=box, max_regions=1)
    more = pt.robustness_radius(network, images[0], np.inf, domain=box, max_regions=2)
    assert not partial.exact
    assert 0 < partial.lower < more.lower < more.value <= partial.value
    assert not attack(network, images[0], partial.lower)
    assert attack(network, images[0], 1.1 * partial.value)


def test_a_clock_that_has_run_out_still_gives_an_interval() -> None:
    """The descent in front of the search ends with the first change of class, and does not slide on."""
    network, images = digits()
    box = pt.Polyhedron.box([0] * 64, [1] * 64)
    rushed = pt.robustness_radius(network, images[0], np.inf, domain=box, max_seconds=1e-9)
    slid = pt.robustness_radius(network, images[0], np.inf, domain=box, max_regions=1)
    assert not rushed.exact
    assert 0 < rushed.lower <= slid.value < rushed.value < np.inf


@needs_shared
@pytest.mark.parametrize("norm", [2, pytest.param(np.inf, marks=pytest.mark.slow)])
def test_a_budget_gives_an_interval_on_784_inputs(norm: float) -> None:
    network = load(SHARED / "models" / "mnist_fc_256x2.onnx")
    with np.load(SHARED / "data" / "mnist_10k.npz") as data:
        x = data["images"][0].ravel() / 255
    box = pt.Polyhedron.box([0] * 784, [1] * 784)
    found = pt.robustness_radius(network, x, norm, domain=box, max_regions=2)
    attacked = {2: 0.2594, np.inf: 0.01415}[norm]  # benchmarks/measures_points.py: 20 starts of 100 steps
    assert 0 < found.lower < found.value < 1.02 * attacked
    assert not found.exact
    assert box.contains(found.witness[None])[0]
    check_witness(network, x, norm, found)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_radii_scale_with_the_inputs(norm: float, whole: bool) -> None:
    """Inputs of size 1e-8 or 1e8, outputs the other way: the same radii, in a box and in the whole space."""
    for network in (seeded(0, 2, 5, 4, 1), integer(6, 3, 4, 4, 3)):
        d, out = network.input_dim, network.output_dim
        ends, x = np.ones(d), np.random.default_rng(1).uniform(-1, 1, d)
        expected = pt.robustness_radius(
            network, x, norm, domain=None if whole else pt.Polyhedron.box(-ends, ends)
        )
        for size in (2.0**-27, 2.0**27):
            small = pt.mlp([(np.eye(d) / size, np.zeros(d))]).then(network)
            small = small.then(pt.mlp([(np.eye(out) / size, np.zeros(out))]))
            scaled = None if whole else pt.Polyhedron.box(-size * ends, size * ends)
            found = pt.robustness_radius(small, size * x, norm, domain=scaled)
            assert found.exact == expected.exact
            assert found.value == pytest.approx(size * expected.value, rel=1e-9)


def test_what_cannot_be_lost_is_infinitely_far() -> None:
    constant = pt.mlp([([[1.0, 1.0]], [0.0]), ([[0.0], [0.0]], [1.0, 0.0])])
    found = pt.robustness_radius(constant, [0.0, 0.3])
    assert (found.value, found.witness, found.exact) == (np.inf, None, True)
    assert (
        pt.robustness_radius(pt.mlp([([[1.0]], [5.0])]), [0.0], domain=pt.Polyhedron.box([-1], [1])).value
        == np.inf
    )
    tie = pt.robustness_radius(pt.mlp([([[1.0], [-1.0]], [0.0, 0.0])]), [0.0])
    assert (tie.value, tie.exact) == (0.0, True)


def test_wrong_arguments_are_named() -> None:
    network = seeded(0, 2, 4, 3)
    with pytest.raises(ValueError, match=r"1, 2 or np\.inf"):
        pt.robustness_radius(network, [0.0, 0.0], 3)
    with pytest.raises(ValueError, match=r"finite point of R\^2"):
        pt.robustness_radius(network, [0.0, np.nan])
    with pytest.raises(ValueError, match="not a point of the domain"):
        pt.robustness_radius(network, [3.0, 0.0], domain=pt.Polyhedron.box([0, 0], [1, 1]))


@pytest.mark.parametrize("norm", [1.0, np.inf])
def test_multipliers_prove_no_more_than_is_true(norm: float) -> None:
    """Any multipliers bound the shortest step from below, and those of the optimum reach it."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        rows = rng.standard_normal((4, 6))
        rows /= np.linalg.norm(rows[:, :-1], axis=1, keepdims=True)
        low, high = -rng.uniform(0.5, 3, 5), rng.uniform(0.5, 3, 5)
        low[0], high[1] = -np.inf, np.inf
        found = nearest_where_zero(rows[:, :-1], rows[:, -1], 0, low, high, norm=norm)
        if found.point is None:
            continue
        length = np.linalg.norm(found.point, norm)
        assert found.bound == pytest.approx(length, rel=1e-7)
        for _ in range(10):
            assert proved_length(rows, rng.uniform(0, 1, 4), low, high, norm) <= length + 1e-9
