"""Exact geometry of flows: regions and densities, masses that add up to 1, boundaries in both spaces."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import dblquad

import polytope as pt
from polytope import flows
from polytope.errors import IncompleteComplexError, NotPiecewiseLinearError, UnboundedDomainError
from polytope.flows.base import BASES
from polytope.flows.exact.measure import cell_masses, divided_exponentials
from tests.flow_cases import disturbed
from tests.networks import seeded


def box(d: int, size: float) -> pt.Polyhedron:
    return pt.Polyhedron.box([-size] * d, [size] * d)


def small(base: flows.BaseName = "normal", dim: int = 2, seed: int = 0) -> flows.Flow:
    """A flow whose regions have different log-determinants."""
    return disturbed(flows.nice(dim, couplings=2, hidden=(4,), knots=2, base=base), seed, 0.3)


POLYGONS = [
    np.array([[0.3, 0.2], [1.5, -0.4], [2.0, 1.0], [0.5, 1.2]]),  # away from the origin
    np.array([[-1.0, -0.5], [1.5, -1.0], [0.5, 1.5]]),  # around it
    np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]]),  # a corner on it
    np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]),  # a side through it
    np.array([[6.0, 6.0], [6.5, 6.0], [6.0, 6.5]]),  # far out
]


@pytest.mark.parametrize("polygon", POLYGONS)
def test_normal_masses_of_polygons(polygon: np.ndarray) -> None:
    """Against adaptive quadrature over a fan of triangles, in the triangles' own coordinates."""
    expected = 0.0
    for p, q in pairwise(polygon[1:]):
        edges = np.stack([p - polygon[0], q - polygon[0]])

        def density(v: float, u: float, edges: np.ndarray = edges) -> float:
            at = polygon[0] + np.array([u, v]) @ edges
            return float(np.exp(-at @ at / 2) / (2 * np.pi))

        value, _ = dblquad(density, 0, 1, 0, lambda u: 1 - u, epsabs=1e-13)
        expected += value * abs(np.linalg.det(edges))
    found = cell_masses(BASES["normal"], [np.random.default_rng(0).permutation(polygon)], 2)
    assert found[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_laplace_masses_of_simplices(dim: int) -> None:
    """The corner simplex {z >= 0, sum z <= t} has the mass of a Gamma(dim) variable below t, over 2^dim."""
    for t in (0.01, 1.0, 30.0):
        corners = np.concatenate([np.zeros((1, dim)), t * np.eye(dim)])
        found = cell_masses(BASES["laplace"], [corners], dim)[0]
        assert found == pytest.approx(stats.gamma(dim).cdf(t) / 2**dim, rel=1e-12)


def test_divided_differences_of_the_exponential() -> None:
    """By their recursion in 200 digits: points far apart, close together, and equal."""
    rng = np.random.default_rng(0)
    t = np.sort(-rng.exponential(1, (40, 5)) * 10.0 ** rng.uniform(-6, 2, (40, 1)), axis=1)
    t[:3] = [[-1.0] * 5, [-900.0, -900.0, -2.0, -2.0, 0.0], [-40.0, -1e-9, 0.0, 0.0, 0.0]]
    with mpmath.workdps(200):
        for row, found in zip(t, divided_exponentials(rng.permuted(t, axis=1)), strict=True):
            apart = [
                mpmath.mpf(v) + mpmath.mpf(k) * mpmath.mpf(10) ** -25 for k, v in enumerate(row.tolist())
            ]
            table = [mpmath.exp(v) for v in apart]
            for n in range(1, 5):
                table = [(q - p) / (apart[k + n] - apart[k]) for k, (p, q) in enumerate(pairwise(table))]
            assert found == pytest.approx(float(table[0]), rel=1e-11)


@pytest.mark.parametrize(
    ("base", "dim"), [("normal", 1), ("normal", 2), ("laplace", 2), ("laplace", 3), ("uniform", 2)]
)
def test_masses_and_the_rest_add_up(base: flows.BaseName, dim: int) -> None:
    flow = small(base, dim) if dim > 1 else flows.Flow([flows.MonotoneLinearSpline(1, [-1.0, 0.5])])
    found = flows.region_mass(flow, box(dim, 3.0))
    assert found.label == "closed form"
    assert found.values.sum() + found.outside == pytest.approx(1, abs=1e-12)
    cut = pt.Polyhedron(np.concatenate([box(dim, 3.0).A, np.ones((1, dim))]), np.append(box(dim, 3.0).b, 0.5))
    part = flows.region_mass(flow, cut)
    assert part.values.sum() < found.values.sum()
    assert part.outside == pytest.approx(1 - part.values.sum(), abs=1e-15)


@pytest.mark.parametrize("base", ["normal", "laplace", "uniform"])
def test_masses_are_the_frequencies_of_samples(base: flows.BaseName) -> None:
    flow = small(base)
    regions = flows.flow_regions(flow, box(2, 4.0))
    found = flows.region_mass(flow, box(2, 4.0))
    n = 40_000
    z = flow.base.draw(np.random.default_rng(3), (n, 2))
    hits = np.bincount(regions.complex.locate(z)[regions.complex.locate(z) >= 0], minlength=len(regions))
    spread = np.sqrt(found.values * (1 - found.values) / n)
    assert (np.abs(hits / n - found.values) <= 5 * spread + 2 / n).all()


def test_masses_in_three_dimensions_are_estimates() -> None:
    """Between their bounds lie the exact masses of a product: here of a flow that changes one coordinate."""
    spline = flows.MonotoneLinearSpline(3, [0.0], np.array([[1.0, 2.0], [1.0, 1.0], [1.0, 1.0]]))
    found = flows.region_mass(flows.Flow([spline]), box(3, 2.0), samples=20_000, confidence=0.9999)
    assert (found.label, found.samples, found.regions) == ("estimate", 20_000, 8)
    one = stats.norm.cdf(2) - stats.norm.cdf(-2)
    assert ((found.lower <= one**3 / 8) & (one**3 / 8 <= found.upper)).all()
    assert found.outside == pytest.approx(1 - one**3, abs=1e-12)


def test_log_densities_are_those_of_the_flow() -> None:
    flow = small()
    regions = flows.flow_regions(flow, box(2, 6.0))
    x = flow.sample(200, np.random.default_rng(0)).numpy()
    np.testing.assert_allclose(regions.log_density(x), flow.log_prob(x).detach().numpy(), atol=1e-10)
    assert np.ptp(regions.logdet) > 0.1
    assert np.isnan(regions.log_density(flow.forward([[7.0, 0.0]])[0].detach().numpy())).all()


def test_additive_flows_have_one_log_determinant() -> None:
    regions = flows.flow_regions(disturbed(flows.nice(2, couplings=3, hidden=(5,))), box(2, 4.0))
    assert len(regions) > 10
    assert np.ptp(regions.logdet) < 1e-12


@pytest.mark.parametrize("outputs", [1, 3])
def test_class_masses(outputs: int) -> None:
    """They add up to the domain's mass, and agree with the classes of samples."""
    flow, classifier = small(), seeded(5, 2, 6, outputs)
    found = flows.class_mass(classifier, flow, box(2, 4.0))
    inside = (stats.norm.cdf(4) - stats.norm.cdf(-4)) ** 2
    assert found.values.sum() == pytest.approx(inside, abs=1e-12)
    x = flow.sample(40_000, np.random.default_rng(1)).numpy()
    values = classifier(x)
    classes = values.argmax(axis=1) if outputs > 1 else (values[:, 0] > 0).astype(int)
    shares = np.bincount(classes, minlength=len(found.values)) / len(x)
    assert np.abs(shares - found.values).max() < 5 * 0.5 / 200 + found.outside


@pytest.mark.parametrize(("base", "dim"), [("normal", 2), ("laplace", 3), ("normal", 3)])
def test_a_budget_leaves_masses_that_hold(base: flows.BaseName, dim: int) -> None:
    """What was measured is a lower bound, and what is missing is added to the upper ones."""
    flow, classifier, square = small(base, dim), seeded(5, dim, 4, 3), box(dim, 4.0)
    exact = flows.class_mass(classifier, flow, square)
    assert (exact.complete, exact.missing) == (True, 0.0)
    for budget in ({"max_regions": 5}, {"max_seconds": 1e-3}):
        part = flows.class_mass(classifier, flow, square, **budget)
        assert not part.complete
        assert part.missing > 0
        slack = 1e-12 if part.label == "closed form" else 0.0  # the same samples
        assert (part.values <= exact.values + slack).all()
        assert (part.values + part.missing >= exact.values - slack).all()
        assert (part.lower <= part.values).all()
        assert (part.values + part.missing <= part.upper + slack).all()
        total = part.values.sum() + part.missing + part.outside
        assert total == pytest.approx(1, abs=1e-12 if part.label == "closed form" else 0.01)
    corner = pt.Polyhedron(np.concatenate([square.A, np.ones((1, dim))]), np.append(square.b, 0.5))
    part = flows.region_mass(flow, corner, max_regions=3)
    assert part.values.sum() + part.missing <= 1
    assert np.isnan(part.outside) == (part.label == "closed form")


def test_half_planes_have_half_the_mass() -> None:
    """A torch classifier by the sign of x_1 behind a shear: the class of z is that of z_1."""
    shear = flows.Flow([flows.LULinear(2, matrix=[[1.0, 0.0], [5.0, 1.0]])])
    sign = torch.nn.Sequential(torch.nn.Linear(2, 2)).double()
    sign[0].weight.data, sign[0].bias.data = (
        torch.tensor([[1.0, 0], [-1, 0]]).double(),
        torch.zeros(2).double(),
    )
    found = flows.class_mass(sign, shear, box(2, 9.0))
    assert found.values.tolist() == pytest.approx([0.5, 0.5], abs=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_boundary_in_both_spaces(outputs: int) -> None:
    """Its facets are where logits tie, in data space too; lengths there are those of the moved corners."""
    flow, classifier = small(seed=4), seeded(8, 2, 6, outputs)
    found = flows.pullback_decision_boundary(classifier, flow, box(2, 3.0))
    assert len(found.base)
    for facet, (z, x) in enumerate(zip(found.base.points, found.points, strict=True)):
        np.testing.assert_allclose(flow.forward(z)[0].detach().numpy(), x, atol=1e-9)
        values = classifier(x)
        i, j = found.base.classes[facet]
        gap = values[:, 0] if outputs == 1 else values[:, i] - values[:, j]
        assert np.abs(gap).max() < 1e-9
        assert found.areas[facet] == pytest.approx(np.linalg.norm(x[1] - x[0]), rel=1e-9)


def test_what_has_no_exact_answer_is_refused() -> None:
    smooth = flows.realnvp(2, couplings=2, hidden=(4,))
    for ask in (flows.flow_regions, flows.region_mass):
        with pytest.raises(
            NotPiecewiseLinearError, match=rf"{ask.__name__} needs the regions.*AffineCoupling"
        ):
            ask(smooth, box(2, 1.0))
    with pytest.raises(NotPiecewiseLinearError, match="class_mass needs the regions"):
        flows.class_mass(seeded(0, 2, 3, 1), smooth, box(2, 1.0))
    with pytest.raises(ValueError, match=r"reads R\^3, the flow makes R\^2"):
        flows.class_mass(seeded(0, 3, 3, 1), small(), box(2, 1.0))
    with pytest.raises(TypeError, match="must be a Network"):
        flows.class_mass(np.sum, small(), box(2, 1.0))
    with pytest.raises(TypeError, match="give the flow itself"):
        flows.flow_regions(flows.lower(small()), box(2, 1.0))
    with pytest.raises(ValueError, match="domain lies in"):
        flows.flow_regions(small(), box(3, 1.0))
    space, pair = pt.Polyhedron.whole_space(2), seeded(0, 2, 3, 1)
    with pytest.raises(UnboundedDomainError, match="region_mass: the domain is unbounded"):
        flows.region_mass(small(), space)
    with pytest.raises(UnboundedDomainError, match="class_mass: the domain is unbounded"):
        flows.class_mass(pair, small(), space)
    with pytest.raises(UnboundedDomainError, match="pullback_decision_boundary: the domain is unbounded"):
        flows.pullback_decision_boundary(pair, small(), space)
    for samples, confidence in ((0, 0.9), (1.5, 0.9), (10, 1.0), (10, "a")):
        with pytest.raises(ValueError, match="samples must be positive whole numbers"):
            flows.region_mass(small(), box(2, 1.0), samples=samples, confidence=confidence)
    with pytest.raises(ValueError, match=r"domain lies in R\^3"):
        flows.region_mass(small(), box(3, 1.0))
    with pytest.raises(TypeError, match="domain"):
        flows.region_mass(small(), "everywhere")
    with pytest.raises(TypeError, match="domain: a Polyhedron is expected"):
        flows.class_mass(pair, small(), [[-1, 1]] * 3)
    with pytest.raises(IncompleteComplexError):
        flows.pullback_decision_boundary(seeded(8, 2, 6, 1), small(seed=4), box(2, 3.0), max_regions=2)
    with pytest.raises(IncompleteComplexError):
        flows.pullback_decision_boundary(seeded(8, 2, 6, 1), small(seed=4), box(2, 3.0), max_seconds=1e-3)
    partial = flows.flow_regions(small(), box(2, 3.0), max_regions=2)
    assert not partial.complex.complete
    with pytest.raises(IncompleteComplexError):
        pt.decision_boundary(partial.complex)
