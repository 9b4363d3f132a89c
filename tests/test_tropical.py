"""Tropical forms equal the network exactly; essential monomials, zonotopes, Hoffman constants, radii."""

import json
import pickle
from fractions import Fraction
from math import comb

import numpy as np
import pytest

import polytope as pt
from polytope import Layer, Signomial, errors, newton_polytope, upper_hull, zonotope
from polytope.ir import Dense, absolute, leaky_relu, relu
from polytope.measures.signomial import essential
from tests.networks import NETWORKS, file_network, integer, nearly_symmetric, needs_shared, seeded
from tests.rational_measures import distance, hoffman, winners
from tests.rational_programs import deepest, origin, rational, row_of


def small_residual(seed: int) -> pt.Network:
    """The input and the first layer into the second; both layers into two outputs."""
    rng = np.random.default_rng(seed)

    def dense(n: int, m: int) -> Dense:
        return Dense(rng.standard_normal((n, m)))

    layers = (
        Layer((0,), (dense(3, 2),), rng.standard_normal(3), relu()),
        Layer((1, 0), (dense(3, 3), dense(3, 2)), rng.standard_normal(3), relu()),
        Layer((1, 2), (dense(2, 3), dense(2, 3)), rng.standard_normal(2)),
    )
    return pt.Network((2,), layers)


SMALL = {
    "generic": seeded(3, 2, 4, 3, 1),
    "leaky": seeded(3, 2, 4, 3, 1, activation=leaky_relu(0.1)),
    "integer": NETWORKS["integer_2-5-4-1"](),
    "absolute": integer(4, 2, 3, 3, 1, activation=absolute()),
    "products": nearly_symmetric(),
    "one input": NETWORKS["relu_1-6-6-1"](),
}
FLOATS = {"skips": small_residual(0), "max groups": NETWORKS["grouped"]()}


def fractions(array: np.ndarray) -> np.ndarray:
    """The same numbers as fractions, in an object array."""
    flat = [Fraction(float(v)) for v in array.ravel()]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(array.shape)


def exactly(network: pt.Network, x: np.ndarray) -> np.ndarray:
    """A ReLU or absolute-value chain in fractions."""
    h = x
    for layer in network.layers:
        for factor in reversed(layer.maps[0].chain()):
            h = h @ fractions(factor.to_sparse().toarray()).T
        h = h + fractions(layer.bias)
        if layer.activation is not None:
            slope = Fraction(float(layer.activation.affine(np.zeros(layer.width, np.int8)).slope[0]))
            h = np.where(h > 0, h, slope * h)
    return h


@pytest.mark.parametrize("name", SMALL)
def test_the_form_is_the_network_exactly(name: str) -> None:
    network = SMALL[name]
    x = fractions(np.random.default_rng(0).uniform(-3, 3, size=(20, network.input_dim)))
    form = pt.tropical_form(network)
    assert (form(x) == exactly(network, x)).all()
    for kept, formal in zip(form.monomials, form.monomials_before, strict=True):
        assert kept[0] <= formal[0]
        assert kept[1] <= formal[1]


@pytest.mark.parametrize("name", FLOATS)
def test_the_form_in_floats(name: str) -> None:
    network = FLOATS[name]
    x = np.random.default_rng(0).uniform(-3, 3, size=(200, network.input_dim))
    form = pt.tropical_form(network, exact=False)
    np.testing.assert_allclose(form(x), network(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_monomials_of_one_layer_are_its_cells(seed: int) -> None:
    """With positive weights behind it, a layer is one convex function: a monomial for each cell."""
    network = seeded(seed, 2, 5, 1)
    layer = network.layers[0]
    convex = pt.mlp([(layer.maps[0].to_sparse().toarray(), layer.bias), (np.ones((1, 5)), [0.0])])
    form = pt.tropical_form(convex)
    assert form.monomials == ((1 + 5 + comb(5, 2), 1),)
    assert form.monomials_before == ((2**5, 1),)
    assert len(upper_hull(form.F[0])) == 16
    unpruned = pt.tropical_form(convex, prune=False)
    assert unpruned.monomials == ((32, 1),)
    np.testing.assert_allclose(upper_hull(unpruned.F[0]), upper_hull(form.F[0])[:], atol=1e-12)
    corners = newton_polytope(unpruned.F[0])
    spanned = zonotope(layer.maps[0].to_sparse().toarray())
    np.testing.assert_allclose(
        corners[np.lexsort(corners.round(9).T)], spanned[np.lexsort(spanned.round(9).T)], atol=1e-9
    )


def test_essential_monomials_by_hand() -> None:
    """max(0, x, 2x - 1, x - 5, x): at 1 three lines meet in a point, so x is nowhere alone the greatest."""
    a, b = np.array([[0], [1], [2], [1], [1]]), np.array([0, 0, 0, -5, 0])
    touching = Signomial(fractions(a.astype(float)), fractions(b.astype(float)))
    assert essential(touching).tolist() == [0, 2]
    above = Signomial(touching.exponents, touching.coefficients + fractions(np.array([0, 2.0**-40, 0, 0, 0])))
    assert essential(above).tolist() == [0, 1, 2]  # alone the greatest on an interval of 2^-39
    assert essential(Signomial(a.astype(float), b.astype(float))).tolist() == [0, 2]


@pytest.mark.parametrize("far", [0.0, 1e17])
def test_essential_monomials_are_those_that_win_somewhere(far: float) -> None:
    """Against rational programs: ties, near ties, and exponents that are far from 0 and differ by little."""
    rng = np.random.default_rng(2)
    for n, d in ((6, 1), (12, 2), (12, 2), (14, 3), (9, 4), (9, 6)):
        a, b = rng.integers(-2, 3, (n, d)), rng.integers(-3, 4, n)
        close = Fraction(1, 2**70) * rng.integers(-1, 2, n).astype(object)
        F = Signomial(fractions(a.astype(float)) + Fraction(far), fractions(b.astype(float)) + close)
        assert essential(F).tolist() == winners(F.exponents.tolist(), F.coefficients.tolist())


@pytest.mark.parametrize(("n", "d"), [(4, 2), (5, 3), (6, 3), (5, 4), (3, 1)])
def test_zonotopes_have_as_many_vertices_as_the_arrangement_cells(n: int, d: int) -> None:
    w = np.random.default_rng(n).standard_normal((n, d))
    assert len(zonotope(w)) == 2 * sum(comb(n - 1, i) for i in range(d))
    flat = np.concatenate([w, np.zeros((n, 1))], axis=1)  # in a subspace
    assert len(zonotope(flat)) == len(zonotope(w))


def test_forms_that_are_too_large_or_not_convex_are_refused() -> None:
    with pytest.raises(ValueError, match="max_monomials=100"):
        pt.tropical_form(seeded(0, 3, 8, 8, 1), max_monomials=100)
    with pytest.raises(ValueError, match="not convex"):
        pt.tropical_form(NETWORKS["hard_tanh_2-5-5-1"]())


@pytest.mark.parametrize(
    ("A", "expected"),
    [
        (np.eye(3), 1.0),
        (np.vstack([np.eye(3), -np.ones(3)]), 3.0),
        (np.vstack([np.eye(3), -np.eye(3)]), 1.0),
        (np.array([[2.0]]), 0.5),
        (np.array([[1.0, 0.0], [-1.0, 2.0**-10]]), 1 + 2.0**11),  # v = (1, 1) / 2 leaves 2^-11
    ],
)
def test_hoffman_constants(A: np.ndarray, expected: float) -> None:
    if len(A) == 2:
        v = np.linspace(0, 1, 100_001)
        expected = 1 / np.abs(np.outer(v, A[0]) + np.outer(1 - v, A[1])).sum(axis=1).min()
    found = pt.hoffman_constant(A)
    assert found == pytest.approx(expected, rel=1e-7)
    assert found.number == pt.Exact(float(found))
    assert pickle.loads(pickle.dumps(found)).number == found.number
    assert json.loads(json.dumps(found)) == found == np.float64(found)


def test_fractions_that_floats_cannot_hold() -> None:
    """Rows 1 and 2 are opposite, which floats round away."""
    third, seventh = Fraction(1, 3), Fraction(1, 7)
    rows = [[third, seventh], [-third, -seventh], [third * 3, seventh * 3], [Fraction(0), Fraction(1)]]
    A = np.array(rows, dtype=object)
    # J = {1, 3}: |v (-1/3, -1/7) + (1 - v) (0, 1)| is least at v = 7/8, where the second entry is 0
    assert pt.hoffman_constant(A) == pytest.approx(24 / 7)


def test_hoffman_constants_bound_distances() -> None:
    """The law itself: the distance to {A x <= b} is at most H times the largest violation."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        A = rng.integers(-2, 3, size=(5, 2)).astype(float)
        A = A[np.abs(A).max(axis=1) > 0]
        H = pt.hoffman_constant(A)
        for x in rng.uniform(-2, 2, size=(10, 2)):
            b = A @ rng.uniform(-2, 2, size=2) + rng.exponential(size=len(A)) * rng.integers(0, 2, len(A))
            rows = [
                row_of([*map(Fraction, a), -Fraction(c)]) for a, c in zip(A.tolist(), b.tolist(), strict=True)
            ]
            sign, y = deepest(rows, [], origin(2))
            assert sign >= 0
            far = distance(rows, y, rational(x.tolist()), np.inf)
            assert float(far) <= H * np.maximum(A @ x - b, 0).max() * (1 + 1e-12)  # of the maximum
    with pytest.raises(ValueError, match="max_programs=1"):
        pt.hoffman_constant(np.vstack([np.eye(3), -np.ones(3)]), max_programs=1)
    with pytest.raises(ValueError, match="zero"):
        pt.hoffman_constant(np.zeros((2, 2)))
    assert pt.hoffman_constant([[1.0, 0.0], [-1.0, 0.0]]) == 1  # opposite rows: never both
    assert pt.hoffman_constant([[1.0, 0.0], [-1.0, 2.0**-40]]) == 2.0**41  # nearly opposite: both
    with pytest.raises(errors.SolverError, match="beyond the numbers of float64"):
        pt.hoffman_constant([[1.0, 0.0], [-1.0, 2.0**-1074]])


@pytest.mark.parametrize("size", [1.0, 2.0**-60])
def test_hoffman_constants_are_the_greatest_of_all_row_sets(size: float) -> None:
    """Rows that are opposite, nearly so, or multiples of each other, also of unlike sizes."""
    rng = np.random.default_rng(1)
    for _ in range(8):
        A = rng.integers(-2, 3, size=(5, int(rng.integers(1, 4)))) / rng.choice([1.0, 3.0])
        A[1], A[4] = -A[0], A[2] * size
        A[1, 0] += rng.choice([0.0, 2.0**-52])
        if A.any():
            assert pt.hoffman_constant(A) == float(hoffman(fractions(A).tolist())), A


def test_bounds_on_the_radius_hold_for_float64_signomials() -> None:
    """H of the one system x <= b is 1 / 0.3, times the spread 0.1: rounded up."""
    F = Signomial(np.array([[0.0], [0.3]]), np.array([0.1, 0.0]))
    bound = pt.radius_bound(F)
    assert Fraction(bound) >= Fraction(0.1) / Fraction(0.3) > Fraction(float(np.nextafter(bound, 0)))


def test_effective_radius_of_known_networks() -> None:
    """|x - 3| + |y + 1| has four linear regions; the one beyond x = 3 and y > -1 is the farthest."""
    W = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    network = pt.mlp([(W, [-3, 3, 1, -1]), ([[1, 1, 1, 1]], [0])])
    regions = pt.enumerate_regions(network, pt.Polyhedron.whole_space(2))
    radius = pt.effective_radius(regions)
    assert radius == radius.lower == radius.upper == 3
    assert radius.label == "exact"
    some = pt.enumerate_regions(network, pt.Polyhedron.box([-9, -9], [9, 9]), pt.Sampling(3))
    with pytest.raises(errors.IncompleteComplexError):
        pt.effective_radius(some)


@pytest.mark.parametrize(
    "network", [seeded(0, 2, 4, 1), seeded(1, 2, 3, 1), integer(3, 2, 3, 1), seeded(2, 1, 3, 2, 1)]
)
def test_the_published_bound_is_one(network: pt.Network) -> None:
    regions = pt.enumerate_regions(network, pt.Polyhedron.whole_space(network.input_dim))
    form = pt.tropical_form(network)
    bound = pt.radius_bound(form.F[0], form.G[0])
    assert pt.effective_radius(regions) <= bound
    assert bound.label == "bound"


@needs_shared
@pytest.mark.parametrize(
    ("name", "cells", "radius"),
    [("deg_concurrent", 8, 0.0), ("deg_parallel_grid", 16, 0.5), ("deg_near_1e-9", 7, 1e-9)],
)
def test_degenerate_arrangements_have_a_monomial_for_each_cell(name: str, cells: int, radius: float) -> None:
    """One layer, positive weights behind: also a cell of size 1e-9 between three lines."""
    network = file_network(name)
    assert pt.tropical_form(network).monomials == ((cells, 1),)
    regions = pt.enumerate_regions(network, pt.Polyhedron.whole_space(2))
    assert pt.effective_radius(regions) == pytest.approx(radius, rel=1e-6, abs=1e-15)
