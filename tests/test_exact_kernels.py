"""Compiled exact arithmetic: expansions add up exactly, and rows that almost coincide are told apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope import Network, Polyhedron
from polytope.ir import Dense, Layer, Selection, leaky_relu, max_groups, relu
from polytope.regions.exact import ExactSigns
from polytope.regions.kernels_exact import SMALL, TERMS, grow_product, store_difference, total_of
from polytope.regions.vertex_cell import _problem, explore
from tests.networks import integer, seeded, seeds
from tests.test_vertex_cells import assert_same_as_lp_cells


def value_of(S: np.ndarray, n: int) -> Fraction:
    return sum((Fraction(float(x)) for x in S[TERMS : TERMS + n]), Fraction(0))


@pytest.mark.parametrize("seed", range(5))
def test_expansions_add_products_without_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((60, 3)) * 2.0 ** rng.integers(-150, 150, (60, 3))
    S, n, exact = np.zeros(1024), 0, Fraction(0)
    for x in [*factors, *(factors[rng.permutation(60)] * [-1.0, 1.0, 1.0])]:
        n = grow_product(S, n, *x)
        exact += Fraction(float(x[0])) * Fraction(float(x[1])) * Fraction(float(x[2]))
        assert value_of(S, n) == exact
        assert abs(Fraction(float(total_of(S, n))) - exact) <= abs(exact) * Fraction(2) ** -52
    assert n == 0


def test_differences_are_exact_or_refused() -> None:
    S = np.zeros(2)
    assert store_difference(S, 0, 1.0, 2.0**-80 / 3)
    assert Fraction(float(S[0])) + Fraction(float(S[1])) == 1 - Fraction(2.0**-80 / 3)
    assert store_difference(S, 0, 0.0, 0.0)
    assert not S.any()
    assert not store_difference(S, 0, 1.0, SMALL)


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
    found = [explore(pooled(seed, nearly=nearly), box.A, box.b) for seed in range(6)]
    assert sum(f.n_exact for f in found) > 50


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
    net, _, _ = _problem(network, box, 1)
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
