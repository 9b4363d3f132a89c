"""Compiled exact arithmetic: expansions add up exactly, and rows that almost coincide are told apart."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope import Network, Polyhedron
from polytope.ir import Dense, Layer, Selection, max_groups, relu
from polytope.regions.kernels_exact import SMALL, TERMS, grow_product, store_difference, total_of
from polytope.regions.vertex_cell import explore
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
@pytest.mark.parametrize("seed", range(6))
def test_groups_of_proportional_rows(seed: int, nearly: bool) -> None:
    network = pooled(seed, nearly=nearly)
    assert_same_as_lp_cells(network, Polyhedron.box([-1] * 2, [1] * 2))


@pytest.mark.parametrize("nearly", [False, True])
def test_proportional_rows_are_decided_exactly(nearly: bool) -> None:
    box = Polyhedron.box([-1] * 2, [1] * 2)
    found = [explore(pooled(seed, nearly=nearly), box.A, box.b) for seed in range(6)]
    assert sum(f.n_exact for f in found) > 50
