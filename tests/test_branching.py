"""Branch and bound around a point: bounds that hold, and the same distances as by the walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

import polytope as pt
from polytope.bounds.branching.around import Around
from polytope.bounds.branching.bounding import Bounding
from polytope.bounds.branching.halves import lines_of
from polytope.bounds.branching.relaxed import Known, Relaxed, lines_around, piece_of
from polytope.bounds.branching.search import Branching
from polytope.ir import Activation, Network, absolute, hard_tanh, leaky_relu, piecewise_linear, prelu, relu
from polytope.measures import robustness
from polytope.measures.margins import class_of, margin_network
from tests.networks import convolutional, grouped, layer_values, pooled, residual, seeded

ENDS = ("low", "high", "first", "last", "floor", "ceiling")
STAIR = piecewise_linear([-0.5, 0.0, 1.0], [0.0, 1.0, -1.0, 2.0], [0.0, 0.5, 0.5, -2.5])
KINDS: dict[str, Activation] = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "absolute": absolute(),
    "concave": leaky_relu(2.0),
    "tanh": hard_tanh(),
    "stair": STAIR,
}


def networks() -> dict[str, Network]:
    """A small network of each kind of unit and of each shape."""
    few = (2, 3, 2, 3)  # units with several breakpoints are split often
    widths = {name: few if name in ("tanh", "stair") else (2, 5, 4, 3) for name in KINDS}
    out = {name: seeded(5, *widths[name], activation=kind) for name, kind in KINDS.items()}
    slopes = prelu([0.5, 1.0, -0.5, 0.0])
    return out | {"prelu": seeded(6, 2, 4, 4, 3, activation=slopes), "residual": residual(1)}


def pooling() -> dict[str, Network]:
    """Small networks with maxima of groups."""
    relus = pooled(1, [[0, 1, 2, 3], [2, 4, 5, -1]], front=relu())
    return {"grouped": grouped(3), "pooled": relus, "convolutional": convolutional(6)}


@pytest.mark.parametrize("name", networks())
@pytest.mark.parametrize("seed", range(3))
def test_affine_functions_lie_below(name: str, seed: int) -> None:
    """Whatever the shares are, within the ends that are told of the units."""
    network, rng = networks()[name], np.random.default_rng(seed)
    d = network.input_dim
    box = np.sort(rng.uniform(-2, 2, size=(2, d)), axis=0)
    relaxed = Relaxed(network, box)
    x = rng.uniform(*box, size=(2_000, d))
    z = [step.T for step, _ in layer_values(network, x.T)]
    known: list[Known | None] = []
    for layer, values in zip(network.layers, z, strict=True):
        if layer.activation is None:
            known.append(None)
            continue
        low, high = (torch.tensor(end[None]) for end in (values.min(axis=0), values.max(axis=0)))
        tables = relaxed.tables(layer.activation)
        lines = lines_around(tables, low, high, piece_of(tables[0], low), piece_of(tables[0], high))
        known.append(Known(lines, torch.tensor(rng.uniform(size=(4, values.shape[1])))))
    for number, values in enumerate(z, start=1):
        weights = rng.normal(size=(4, values.shape[1]))
        found = relaxed.below(number, torch.tensor(weights), known)
        lower = x @ found.weights.numpy().T + (found.constant - found.room).numpy()
        assert (lower <= values @ weights.T + 1e-12 * (1 + np.abs(lower))).all()
        assert (found.room >= 0).all()


def least_by_program(w: np.ndarray, low: np.ndarray, high: np.ndarray, radius: float, norm: float) -> float:
    """The least ``w @ step`` over steps in a box and a ball: linear programs, or a general solver."""
    d = len(w)
    if norm == 2:
        inside = {"type": "ineq", "fun": lambda t: radius**2 - t @ t, "jac": lambda t: -2 * t}
        start, ends = np.zeros(d), list(zip(low, high, strict=True))
        options = {"ftol": 1e-14, "maxiter": 500}
        found = minimize(
            lambda t: w @ t,
            start,
            jac=lambda t: w,
            bounds=ends,
            constraints=[inside],
            method="SLSQP",
            options=options,
        )
        return float(found.fun)
    if norm == np.inf:
        low, high = np.maximum(low, -radius), np.minimum(high, radius)
        return float(linprog(w, bounds=list(zip(low, high, strict=True))).fun)
    parts = [*zip(np.zeros(d), high, strict=True), *zip(np.zeros(d), -low, strict=True)]
    return float(linprog(np.append(w, -w), A_ub=np.ones((1, 2 * d)), b_ub=[radius], bounds=parts).fun)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
@pytest.mark.parametrize("seed", range(6))
def test_least_values_around_a_point(norm: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, radius = 5, float(rng.uniform(0.2, 2))
    point, w = rng.normal(size=d), rng.normal(size=(6, d))
    low, high = point - rng.exponential(0.5, size=d), point + rng.exponential(0.5, size=d)
    around = Around(*(torch.tensor(a) for a in (point, low, high)), norm)
    none, reach = torch.zeros(6).double(), torch.tensor(np.array(radius))
    bound = around.least(torch.tensor(w), none, reach).numpy()
    expected = [v @ point + least_by_program(v, low - point, high - point, radius, norm) for v in w]
    assert (bound <= np.array(expected) + 1e-7).all()  # as accurate as the solvers are
    assert (bound >= np.array(expected) - 1e-3).all()
    steps = rng.normal(size=(10_000, d))
    steps *= radius / np.linalg.norm(steps, norm, axis=1, keepdims=True)
    assert (bound <= (np.clip(point + steps, low, high) @ w.T).min(axis=0) + 1e-12).all()


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_least_values_of_whole_balls(norm: float) -> None:
    w = np.array([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0]])
    ends = [torch.zeros(3).double(), torch.full((3,), -np.inf).double(), torch.full((3,), np.inf).double()]
    least = Around(*ends, norm).least(torch.tensor(w), torch.ones(2).double(), torch.tensor(np.array(2.0)))
    size = {1: 4.0, 2: 5.0, np.inf: 7.0}[norm]
    assert least.tolist() == pytest.approx([1 - 2 * size, 1.0], abs=1e-12)
    assert least[0] <= 1 - 2 * size


NORMS = (1, 2, np.inf)
KNOWN = networks() | pooling()
CASES = [(name, norm) for name in KNOWN for norm in NORMS]
SOON = {(name, NORMS[i % 3]) for i, name in enumerate(KNOWN)} | {("relu", norm) for norm in NORMS}


@pytest.mark.parametrize(
    ("name", "norm"), [pytest.param(*c, marks=[] if c in SOON else [pytest.mark.slow]) for c in CASES]
)
def test_distances_are_those_of_the_walk(name: str, norm: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those of the listing; all are exact: in the whole space, where a witness was found, and in a box.

    In the suite every kind of unit by one norm, and ReLU by all three: norms do not depend on the kind.
    """
    network = KNOWN[name]
    rng = np.random.default_rng(7)
    compared = 0
    square = pt.Polyhedron.box([-1.5] * network.input_dim, [1.5] * network.input_dim)
    for domain in (None, square) if norm == 2 else (None,):
        for x in rng.uniform(-1, 1, size=(1, network.input_dim)):
            listed = pt.robustness_radius(network, x, norm, domain=domain)
            monkeypatch.setattr(robustness, "LISTED_DIMENSIONS", 0)
            monkeypatch.setattr(robustness, "FEW_DIMENSIONS", 10**9)
            walked = pt.robustness_radius(network, x, norm, domain=domain)
            monkeypatch.setattr(robustness, "FEW_DIMENSIONS", 0)
            branched = pt.robustness_radius(network, x, norm, domain=domain)
            monkeypatch.undo()
            assert (branched.value, branched.lower) == (walked.value, walked.lower)
            assert (listed.value, listed.lower) == (walked.value, walked.lower)
            assert branched.exact
            assert walked.exact
            assert listed.exact
            compared += np.isfinite(walked.value)
    assert compared


@pytest.mark.parametrize("name", ["relu", "absolute"])
def test_a_stopped_search_is_an_interval_around_the_distance(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks()[name]
    x = np.array([0.3, -0.2])
    exact = pt.robustness_radius(network, x)
    label, _ = class_of(network, x)
    margins = margin_network(network, label)
    box = np.array([[-np.inf] * 2, [np.inf] * 2])
    branch = Branching(margins, x, box, 2, 4 * exact.value)
    before = 0.0
    for _ in range(400):
        if branch.least >= exact.value:
            break
        assert before <= branch.least
        before = branch.least
        regions, points = branch.step(4 * exact.value)
        away = np.linalg.norm(points - x, axis=1)
        changed = (margins(points) <= 0).any(axis=1) if len(points) else np.zeros(0, dtype=bool)
        assert (away[changed] >= exact.value * (1 - 1e-9)).all()
        if regions:
            assert min(bound for bound, _, _ in regions) <= exact.value * 4
            break
    assert before <= exact.value


def test_what_cancels_leaves_room_and_lines_turn_between_their_slopes() -> None:
    """A multiplier as large as the weight: what is rounded then stands with neither of them any more."""
    network = seeded(1, 2, 3, 1, activation=leaky_relu(0.3))
    relaxed = Relaxed(network, np.array([[-1.0, -1.0], [1.0, 1.0]]))
    low, high = torch.full((1, 3), -1.0).double(), torch.full((1, 3), 1.0).double()
    tables = relaxed.tables(network.layers[0].phi)
    lines = lines_around(tables, low, high, piece_of(tables[0], low), piece_of(tables[0], high))
    for share in (0.0, 0.1, 1 / 3, 1.0):
        (slope, _), _ = lines.turned(torch.full((1, 3), share).double())
        assert ((slope >= 0.3) & (slope <= 1.0)).all()
    none = torch.zeros(1, 3).double()
    one = torch.ones(1, 1).double()
    plain = relaxed.below(2, one, [Known(lines, none), None]).room
    push = torch.full((1, 2, 3), 1e6).double()
    pushed = relaxed.below(2, one, [Known(lines, none, push, none, none), None]).room
    assert pushed > 1e5 * plain


@pytest.mark.parametrize("name", [*networks(), *pooling()])
def test_halves_are_told_as_nodes_are(name: str) -> None:
    """Units and lines of halves, put together from those of their nodes, are those computed afresh."""
    network = (networks() | pooling())[name]
    d = network.input_dim
    bounding = Bounding(network, np.full(d, 0.1), np.array([[-3.0] * d, [3.0] * d]), np.inf, lambda: False)
    bounding.look_within(2.0)
    level = torch.full((network.output_dim,), torch.inf, dtype=torch.float64)
    nodes = bounding.bounded(bounding.begin(torch.arange(network.output_dim)), level)[0]
    for _ in range(3):
        nodes = nodes.take(nodes.unit[:, 0] >= 0)
        each = nodes.take(torch.arange(len(nodes)).repeat_interleave(nodes.unit.shape[1]))
        children = bounding.halves(each, nodes.unit.reshape(-1), nodes.piece.reshape(-1))
        there = (nodes.unit.reshape(-1) >= 0).repeat(2)
        assert there.any()
        units, lines = bounding.halved(nodes, children)
        for u, line, fresh in zip(units, lines, bounding.units(children), strict=True):
            assert all(torch.equal(getattr(u, end)[there], getattr(fresh, end)[there]) for end in ENDS)
            parts, again = line.parts(), lines_of(fresh).parts()
            assert all(torch.equal(a[there], b[there]) for a, b in zip(parts, again, strict=True))
        nodes = bounding.bounded(bounding.split(nodes, level), level)[0]
