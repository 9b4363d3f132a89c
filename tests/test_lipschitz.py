"""Lipschitz constants: hand-worked answers, enclosures on all families, partial complexes as lower bounds."""

from fractions import Fraction
from itertools import product
from operator import mul

import numpy as np
import pytest

import polytope as pt
from polytope import errors
from polytope.exact.network import ExactNetwork
from polytope.ir import Dense, Layer, Network, clip, hard_tanh, max_groups, piecewise_linear
from polytope.measures.operator_norm import lower_norm, operator_norms, upper_norms
from tests.map_cases import MAPS
from tests.networks import KNOWN_REGIONS, NETWORKS, SHARED, file_network, needs_shared, seeded, unit_box_of

NORMS = [(p, q) for p in (1, 2, np.inf) for q in (1, 2, np.inf)]
EXTREME = {  # unit balls of the 1- and inf-norm in R^3 by their corners
    1: np.concatenate([np.eye(3), -np.eye(3)]),
    np.inf: np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T,
}


@pytest.mark.parametrize(("p", "q"), NORMS)
def test_operator_norms_are_attained_on_the_unit_ball(p: float, q: float) -> None:
    rng = np.random.default_rng(0)
    matrices = rng.standard_normal((4, 2, 3))
    found = operator_norms(matrices, p, q)
    if p == 2:
        x = rng.standard_normal((200_000, 3))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    else:
        x = EXTREME[p]
    reached = np.linalg.norm(x @ matrices.swapaxes(1, 2), q, axis=2).max(axis=1)
    # corners attain the maximum of a convex function; 200,000 directions come within 1e-3 of it
    np.testing.assert_allclose(found, reached, rtol=1e-3 if p == 2 else 1e-12)
    np.testing.assert_allclose(operator_norms(1e200 * matrices, p, q), 1e200 * found, rtol=1e-12)


def test_norms_that_are_too_hard_or_unknown_are_refused() -> None:
    with pytest.raises(ValueError, match="NP-hard"):
        operator_norms(np.ones((1, 17, 17)), np.inf, 1)
    assert operator_norms(np.ones((1, 2, 17)), np.inf, 1) == 34
    with pytest.raises(ValueError, match=r"must be 1, 2 or np\.inf"):
        operator_norms(np.ones((1, 2, 2)), 3, 2)


def test_a_function_of_known_slopes() -> None:
    """The gradients of 3 |x| + y: (3, 1) and (-3, 1)."""
    net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 0, 0, 0]), ([[3, 3, 1, -1]], [0])])
    box = pt.Polyhedron.box([-1, -1], [1, 1])
    regions = pt.enumerate_regions(net, box)
    for p, expected in ((1, 3.0), (2, np.sqrt(10)), (np.inf, 4.0)):
        found = pt.lipschitz_constant(regions, p)
        assert found == pytest.approx(expected, rel=1e-14)
        assert found.lower <= expected <= found.upper
        assert found.label == "exact"
        bounds = pt.lipschitz_bounds(net, box, p)
        assert bounds.lower == pytest.approx(expected, rel=1e-13)
        # the bounds cannot know that the two units of a pair are never on together
        assert expected <= bounds.upper <= 2 * expected
    inside = pt.Polyhedron.box([0.5, 0.5], [1, 1])  # where no unit changes its piece both bounds are tight
    assert pt.lipschitz_bounds(net, inside).interval == pytest.approx(np.sqrt(10), rel=1e-9)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "convolutional"])
def test_bounds_enclose_the_exact_constant(name: str) -> None:
    network = NETWORKS[name]()
    box = pt.Polyhedron.box(*unit_box_of(network))
    regions = pt.enumerate_regions(network, box)
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(500, network.input_dim))
    y = x + 0.1 * rng.uniform(-1, 1, size=x.shape)
    x, y = (points[box.contains(y)] for points in (x, y))
    for p, q in NORMS:
        exact = pt.lipschitz_constant(regions, p, q)
        assert exact.label == "exact"
        assert exact == pytest.approx(pt.region_lipschitz(regions, p, q).max(), rel=1e-12)
        assert exact.lower <= exact <= exact.upper <= exact.lower * (1 + 2e-9)
        bounds = pt.lipschitz_bounds(network, box, p, q, samples=300)
        assert bounds.lower <= exact * (1 + 1e-12)
        assert exact <= bounds.norm_product
        assert exact <= bounds.interval
        at = network.jacobian(bounds.witness[None])
        assert operator_norms(at, p, q)[0] == pytest.approx(bounds.lower, rel=1e-12)
        rise = np.linalg.norm(network(x) - network(y), q, axis=1)
        assert (rise <= exact * np.linalg.norm(x - y, p, axis=1) * (1 + 1e-9) + 1e-12).all()


def norm_exactly(rows: list[list[Fraction]], p: float, q: float) -> Fraction:
    """The norm of a matrix by fractions, squared where the 2-norm is in it."""
    columns = list(zip(*rows, strict=True))
    size = {
        1: lambda v: sum(map(abs, v)),
        2: lambda v: sum(x * x for x in v),
        np.inf: lambda v: max(map(abs, v)),
    }
    if p == 1:
        return max(size[q](column) for column in columns)
    if q == np.inf:
        return max(size[{2: 2, np.inf: 1}[p]](row) for row in rows)
    return max(
        size[q]([sum(map(mul, row, s)) for row in rows]) for s in product((-1, 1), repeat=len(columns))
    )


@pytest.mark.parametrize("name", [n for n in MAPS if n != "convolutional"])
def test_intervals_enclose_the_constant_of_the_exact_maps(name: str) -> None:
    network = MAPS[name]()
    regions = pt.enumerate_regions(network, pt.Polyhedron.box(*unit_box_of(network)))
    exact = ExactNetwork(network)
    maps = [exact.outputs(pattern) for pattern in regions.patterns]
    matrices = [
        [[Fraction(v, 1 << m.exponent) for v in row[:-1]] for row in m.integers.tolist()] for m in maps
    ]
    for p, q in NORMS:
        if p == 2 and q != np.inf:
            continue
        power = 2 if 2 in (p, q) else 1
        right = max(norm_exactly(rows, p, q) for rows in matrices)
        found = pt.lipschitz_constant(regions, p, q)
        assert Fraction(found.lower) ** power <= right <= Fraction(found.upper) ** power
        assert found.upper <= found.lower * (1 + 2e-9)
        assert float(right) ** (1 / power) == pytest.approx(float(found), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_spectral_norms_lie_between_their_bounds(seed: int) -> None:
    """sigma^2 is the greatest root: t I - A A^T has a determinant of one sign for all greater t."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, 5))
    A[2] = A[0] + 1e-9 * A[1]
    none = np.zeros_like(A)
    low, [high] = lower_norm(A, none), upper_norms(A[None], none[None])
    assert low <= high <= low * (1 + 1e-12)
    rows = [[Fraction(v) for v in row] for row in A.tolist()]
    gram = [[sum(map(mul, a, b)) for b in rows] for a in rows]

    def definite(t: Fraction) -> bool:
        S = [[t * (i == j) - g for j, g in enumerate(row)] for i, row in enumerate(gram)]
        for k in range(3):
            if S[k][k] <= 0:
                return False
            for i in range(k + 1, 3):
                S[i] = [x - S[i][k] / S[k][k] * y for x, y in zip(S[i], S[k], strict=True)]
        return True

    assert definite(Fraction(high) ** 2)
    assert not definite(Fraction(low) ** 2)


@pytest.mark.parametrize(("large", "slope"), [(1e17, 0.3), (1e9, 1e-8)])
def test_slopes_of_terms_that_cancel(large: float, slope: float) -> None:
    """They are relu(x), times a large number and minus that, beside slope (x + 5)."""
    network = pt.mlp([([[1.0], [1.0], [1.0]], [0.0, 5.0, 0.0]), ([[large, slope, -large]], [0.0])])
    for low in (-1.0, 0.1):
        box = pt.Polyhedron.box([low], [1])
        regions = pt.enumerate_regions(network, box)
        found = pt.lipschitz_constant(regions)
        assert (float(found), found.label) == (slope, "exact")
        assert pt.region_lipschitz(regions).tolist() == [slope] * len(regions)
        assert pt.lipschitz_bounds(network, box).lower == pytest.approx(slope, rel=1e-12)


def test_a_partial_complex_gives_a_lower_bound_and_says_so() -> None:
    network = seeded(0, 2, 16, 16, 1)
    box = pt.Polyhedron.box([-1, -1], [1, 1])
    some = pt.lipschitz_constant(pt.enumerate_regions(network, box, pt.Sampling(20)))
    whole = pt.lipschitz_constant(pt.enumerate_regions(network, box))
    assert some.label == some.number.label == "bound"
    assert "lower bound" in repr(some)
    assert some <= whole


def test_an_unbounded_domain_is_refused() -> None:
    network = seeded(0, 2, 4, 1)
    with pytest.raises(errors.UnboundedDomainError):
        pt.lipschitz_bounds(network, pt.Polyhedron.whole_space(2))
    with pytest.raises(ValueError, match=r"must be 1, 2 or np\.inf"):
        pt.lipschitz_bounds(network, pt.Polyhedron.box([-1, -1], [1, 1]), 1.5)


@needs_shared
def test_a_collision_avoidance_network() -> None:
    """ACAS Xu 2_9 in the box of property 3: 189 regions, six layers of 50 units."""
    from adapters import load

    network = load(SHARED / "models" / "acasxu_2_9.onnx")
    box = pt.read_input_box((SHARED / "models" / "vnnlib" / "acasxu_prop_3.vnnlib").read_text())
    domain = pt.Polyhedron.box(box.low, box.high)
    exact = pt.lipschitz_constant(pt.enumerate_regions(network, domain))
    bounds = pt.lipschitz_bounds(network, domain)
    assert bounds.lower <= exact * (1 + 1e-12)
    assert exact <= bounds.upper
    assert bounds.interval < bounds.norm_product


@needs_shared
@pytest.mark.parametrize("name", [n for n in KNOWN_REGIONS if n.startswith("deg_")])
def test_degenerate_networks(name: str) -> None:
    network = file_network(name)
    box = pt.Polyhedron.box(*unit_box_of(network))
    exact = pt.lipschitz_constant(pt.enumerate_regions(network, box))
    bounds = pt.lipschitz_bounds(network, box, samples=500)
    assert bounds.lower <= exact * (1 + 1e-12)
    assert exact <= bounds.upper


POOLS = max_groups([[0, 1], [2, 3]])
ON_A_BREAKPOINT = {
    "members that are the same": Network(
        (1,),
        (
            Layer((0,), (Dense(np.ones((4, 1))),), np.array([0.1, 0.1, 0.2, 0.2]), POOLS),
            Layer((1,), (Dense(np.array([[1.0, 2.0]])),), np.zeros(1)),
        ),
    ),
    "a constant unit": pt.mlp([([[0.0], [1.0]], [1.0, 0.0]), ([[1.0, 1.0]], [0.0])], hard_tanh()),
    "a constant unit of a narrow clip": pt.mlp(
        [([[0.0], [1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])], clip(0.0, 2.0**-30)
    ),
}


@pytest.mark.parametrize("name", ON_A_BREAKPOINT)
def test_units_that_are_on_a_breakpoint_everywhere(name: str) -> None:
    network, domain = ON_A_BREAKPOINT[name], pt.Polyhedron.box([-1], [1])
    exact = pt.lipschitz_constant(pt.enumerate_regions(network, domain))
    found = pt.lipschitz_bounds(network, domain, max_seconds=20)
    assert exact > 0
    assert found.lower <= exact * (1 + 1e-9)
    assert exact <= found.upper * (1 + 1e-9)


def test_a_function_that_jumps_has_no_constant() -> None:
    network = pt.mlp([([[1.0]], [0.0]), ([[1.0]], [0.0])], piecewise_linear([0.0], [0.0, 0.0], [0.0, 1.0]))
    with pytest.raises(ValueError, match="not continuous"):
        pt.lipschitz_bounds(network, pt.Polyhedron.box([-1], [1]))
