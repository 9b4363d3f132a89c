"""Exact arithmetic in the core: expansions add up exactly, and rows that almost coincide are told apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope import Network, Polyhedron, _core
from polytope.core.exact_signs import ExactSigns
from polytope.core.vertex_cells import explore, vertex_problem
from polytope.ir import Dense, Layer, Selection, leaky_relu, max_groups, relu
from tests.networks import integer, seeded, seeds
from tests.vertex_cases import assert_same_as_lp_cells


def pairs(rng: np.random.Generator, *, size: int) -> list[float]:
    """A row of the plane, each number as two floats that do not overlap."""
    high = rng.standard_normal(3) * 2.0 ** rng.integers(-size, size + 1, 3)
    return np.stack([high, high * 2.0**-55 * rng.standard_normal(3)], axis=1).ravel().tolist()


def exactly(row: list[float]) -> list[Fraction]:
    return [Fraction(row[2 * t]) + Fraction(row[2 * t + 1]) for t in range(3)]


def determinant(g: list[Fraction], f: list[Fraction], e: list[Fraction]) -> Fraction:
    return sum((g[i - 2] * (f[i - 1] * e[i] - f[i] * e[i - 1]) for i in range(3)), Fraction(0))


@pytest.mark.parametrize("size", [0, 3, 60])
@pytest.mark.parametrize("seed", range(5))
def test_values_at_vertices_of_polygons_are_exact(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(50):
        g, f, e = (pairs(rng, size=size) for _ in range(3))
        top = determinant(*map(exactly, (g, f, e)))
        below = exactly(f)[0] * exactly(e)[1] - exactly(f)[1] * exactly(e)[0]
        assert _core.planar_value(g, f, e) == pytest.approx(float(top / below), rel=2.0**-50)
        assert _core.planar_value(f, f, e) == 0.0
        parallel = [*(2 * x for x in f[:4]), *e[4:]]
        assert _core.planar_value(g, f, parallel) is None, "parallel rows do not meet"


def pooled(seed: int, *, nearly: bool) -> Network:
    """Max groups over rows that are multiples of few rows, exactly or up to rounding; then ReLU."""
    rng = np.random.default_rng(seed)
    base = rng.integers(-3, 4, (4, 3)) + np.array([0.5, 0.25, 0.0])
    rows = rng.integers(-3, 4, 12)[:, None] * base[rng.integers(0, 4, 12)]
    rows = rows + rng.integers(0, 2, 12)[:, None] * base[rng.integers(0, 4, 12)]
    if nearly:
        rows = rows / 255.0
    groups = max_groups(rng.permutation(12).reshape(3, 4))
    return Network(
        (2,),
        (
            Layer((0,), (Dense(rows[:, :2]),), rows[:, 2], relu()),
            Layer((1,), (Selection(np.arange(12), 12),), np.zeros(12), groups),
            Layer((2,), (Dense(rng.standard_normal((4, 3))),), rng.standard_normal(4), relu()),
            Layer((3,), (Dense(np.ones((1, 4))),), np.zeros(1)),
        ),
    )


@pytest.mark.parametrize("nearly", [False, True])
@pytest.mark.parametrize("seed", seeds(6, 3))
def test_groups_of_proportional_rows(seed: int, nearly: bool) -> None:
    network = pooled(seed, nearly=nearly)
    assert_same_as_lp_cells(network, Polyhedron.box([-1] * 2, [1] * 2))


@pytest.mark.parametrize("nearly", [False, True])
def test_proportional_rows_are_decided_exactly(nearly: bool) -> None:
    box = Polyhedron.box([-1] * 2, [1] * 2)
    found = [explore(pooled(seed, nearly=nearly), box) for seed in range(6)]
    assert sum(f.statistics["exact_signs"] for f in found) > 50


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["integer", "random", "grouped"])
def test_pairs_of_floats_prove_only_true_signs(seed: int, kind: str) -> None:
    """Rows pulled back in pairs of floats are within their bounds of the exact ones; signs agree."""
    network = {
        "integer": integer(seed, 2, 6, 6, 5, 1),
        "random": seeded(seed, 2, 9, 8, 7, 1, activation=leaky_relu(0.1)),
        "grouped": pooled(seed, nearly=True),
    }[kind]
    box = Polyhedron.box([-1] * 2, [1] * 2)
    net = vertex_problem(network, box, 1).net
    exact = ExactSigns(network, net)
    rng = np.random.default_rng(seed)
    proved = 0
    for _ in range(40):
        seg = rng.integers(0, np.maximum(net.n_seg, 1))
        rows = []
        for r in rng.integers(0, net.Z0.shape[1], 3).tolist():
            first = exact._named(int(r), -1, float(rng.integers(0, 2)), seg)
            rows.append(first)
        whole = []
        for row in rows:
            numbers = exact.row(*row, seg)
            whole.append([Fraction(x, 1 << numbers.exponent) for x in numbers.integers])
            for x, y, error in zip(whole[-1], *exact._double_row(*row, seg), strict=True):
                assert abs(x - y) <= error
        g, f, e = whole
        cross = [f[i - 2] * e[i - 1] - f[i - 1] * e[i - 2] for i in range(3)]
        value = sum(x * y for x, y in zip(g, cross, strict=True))
        quick = exact._quick(rows[1:], rows[0], seg)
        if quick:
            assert quick == pytest.approx(float(value / cross[2]), rel=1e-9)
            proved += 1
        assert quick or not value or not cross[2] or kind == "grouped"
    assert proved > 2
