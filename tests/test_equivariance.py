"""Certified equivariance: suprema by hand, against samples, on every route; radii on orbits; bad input."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope import Network, Polyhedron, enumerate_regions, mlp, robustness_radius, stack
from polytope.engines.sampling import random_points
from polytope.equivariant import (
    EquivarianceCertificate,
    Representation,
    certify_equivariance,
    cyclic,
    defect,
    equivariance_error,
    layerwise_symmetry,
    permutation,
    pieces_up_to_symmetry,
    region_equivariance,
    rotation2d,
    trivial,
)
from polytope.errors import EmptyDomainError, SymmetryError, UnboundedDomainError
from polytope.ir import Dense, Layer, absolute, hard_tanh
from tests.networks import nearly_symmetric, seeded
from tests.rational import combined, twin_of
from tests.rational_programs import highest
from tests.symmetric_networks import C2, C4, D4, SYMMETRIC, domain_of, group_network, natural

SQUARE = Polyhedron.box([-1, -1], [1, 1])
ALMOST = np.array([[0.1, 0.7], [0.7, 0.1 + 2.0**-56]])
FIVE = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
PLAIN = {
    "plane": (C4, trivial(C4.group), lambda: seeded(0, 2, 6, 6, 1), SQUARE),
    "outputs turned": (D4, D4, lambda: seeded(1, 2, 6, 2), SQUARE),
    "hard_tanh": (D4, trivial(D4.group), lambda: seeded(2, 2, 6, 1, activation=hard_tanh()), SQUARE),
    "absolute": (C4, C4, lambda: seeded(3, 2, 4, 4, 2, activation=absolute()), SQUARE),
    "thirds": (rotation2d(cyclic(3)), trivial(cyclic(3), 2), lambda: seeded(4, 2, 5, 2), SQUARE),
    "triangle": (
        C2,
        trivial(C2.group),
        lambda: seeded(5, 2, 8, 1),
        Polyhedron(np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 1.0])),
    ),
    "space": (
        natural(3),
        trivial(natural(3).group),
        lambda: seeded(6, 3, 4, 1),
        Polyhedron.box([0] * 3, [1] * 3),
    ),
}


def sampled(net: Network, rho_in: Representation, rho_out: Representation, domain: Polyhedron) -> np.ndarray:
    points = np.concatenate([*random_points(domain, 3000, np.random.default_rng(0)), domain.vertices()])
    return equivariance_error(net, rho_in, rho_out, points).max(axis=1)


@pytest.mark.parametrize("name", PLAIN)
def test_the_supremum_is_attained_and_never_exceeded(name: str) -> None:
    rho_in, rho_out, make, domain = PLAIN[name]
    net = make()
    proof = certify_equivariance(net, rho_in, rho_out, domain)
    assert proof.exact
    assert (proof.max_error + proof.rounding >= sampled(net, rho_in, rho_out, domain)).all()
    assert domain.contains(proof.witness, 1e-12).all()
    at = np.diagonal(equivariance_error(net, rho_in, rho_out, proof.witness))
    # a dozen products of numbers up to 10, and the rounding of a vertex
    np.testing.assert_allclose(at, proof.max_error, rtol=1e-11, atol=1e-11)
    assert proof.max_error[1:].min() > 0.1
    assert proof.max_error[0] == 0.0
    assert proof.proved[0]


def test_a_supremum_by_hand() -> None:
    """relu(x) + 2 relu(y): exchanging x and y changes it by |relu(x) - relu(y)|, at most 1, at (1, -1)."""
    net = mlp([(np.eye(2), np.zeros(2)), (np.array([[1.0, 2.0]]), [0.0])])
    proof = certify_equivariance(net, C2, trivial(C2.group), SQUARE)
    assert proof.max_error.tolist() == pytest.approx([0.0, 1.0], abs=1e-13)
    assert sorted(proof.witness[1] > 0.99) == [False, True]
    error = defect(net, C2, trivial(C2.group), 1)
    np.testing.assert_allclose(error([[0.5, -1.0], [0.25, 0.75]]), [[0.5], [-0.5]], atol=1e-15)


TWINS = {
    "small": (C4, trivial(C4.group), lambda: seeded(0, 2, 3, 2, 1), SQUARE),
    "outputs turned": (C4, C4, lambda: seeded(1, 2, 3, 2), SQUARE),
    "thirds": (rotation2d(cyclic(3)), trivial(cyclic(3), 2), lambda: seeded(4, 2, 3, 2), SQUARE),
    "nearly symmetric": (
        C2,
        trivial(C2.group),
        lambda: mlp([(ALMOST, [0.1, 0.1]), ([[0.3, 0.3]], [0])]),
        SQUARE,
    ),
    "one rounding": (
        C2,
        trivial(C2.group),
        lambda: mlp([(np.eye(2), [0, 0]), ([[0.1 + 0.2, 0.3]], [0])]),
        SQUARE,
    ),
    "cancelling": (
        C2,
        trivial(C2.group),
        lambda: mlp([(FIVE, [5] * 4), ([[1e17, 0.3, -1e17, 0.1]], [0])]),
        SQUARE,
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_the_supremum_lies_between_proved_bounds(name: str) -> None:
    """Against rational arithmetic, also where defects are of the size of a rounding."""
    rho_in, rho_out, make, domain = TWINS[name]
    net = make()
    proofs = [certify_equivariance(net, rho_in, rho_out, domain)]
    proofs += [by_programs(net, rho_in, domain)] if rho_in is C2 else []
    for g, (into, out) in enumerate(zip(rho_in.matrices, rho_out.matrices, strict=True)):
        right = supremum(net, into, out, domain)
        for proof in proofs:
            assert right <= Fraction(proof.max_error[g])
            assert proof.exact
            assert Fraction(proof.max_error[g]) - right <= max(right / 10**6, Fraction(proof.rounding[g]))
            assert proof.proved[g] == (right == 0)


def supremum(net: Network, into: np.ndarray, out: np.ndarray, domain: Polyhedron) -> Fraction:
    """The greatest ``|f(into x) - out f(x)|``, in rationals: layers of both networks side by side."""
    moved = mlp([(into, np.zeros(len(into)))]).then(net)
    twin = twin_of(stack(moved, net), domain)
    assert twin is not None
    most, n = Fraction(0), net.output_dim
    for cell in twin.cells:
        for k in range(n):
            terms = [(Fraction(1), cell.outputs[k])]
            terms += [(-Fraction(float(out[k, j])), cell.outputs[n + j]) for j in range(n)]
            f = combined(terms, Fraction(0), len(cell.point))
            for sign in (1, -1):
                top = highest(cell.rows, tuple(sign * v for v in f), cell.point)
                assert top is not None
                most = max(most, top)
    return most


SLOW = ("C4 sheared", "B3", "D4", "C4 skip")  # further kinds are certified quickly


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SYMMETRIC]
)
def test_symmetric_networks_are_certified(name: str) -> None:
    rho, make = SYMMETRIC[name]
    net = make()
    out = trivial(rho.group, net.output_dim)
    proof = certify_equivariance(net, rho, out, domain_of(rho))
    assert proof.exact
    assert (proof.max_error <= proof.rounding).all()
    assert (proof.max_error + proof.rounding >= sampled(net, rho, out, domain_of(rho))).all()
    assert proof.rounding.max() < 1e-8
    if name not in ("C4 sheared", "one-sided"):
        assert all(proof.proved)
        assert proof.max_error.max() == 0.0


def test_what_only_rounding_makes_symmetric_is_not_certified() -> None:
    """Maps that are products of factors count as they are: the last bit tells the two halves apart."""
    net, swap = nearly_symmetric(), permutation(C2.group, [[0, 1], [1, 0]])
    proof = certify_equivariance(net, swap, trivial(swap.group), Polyhedron.box([-1, -1], [1, 1]))
    assert proof.max_error[1] >= 2.0**-53
    assert not proof.proved[1]


def test_equivariant_outputs() -> None:
    """The same layers with outputs that turn as the input does."""
    net = group_network(D4, 3)
    hidden = Network((2,), net.layers[:2])
    turned = hidden.then(mlp([(np.concatenate([D4.matrices[:, :, 0]] * 2).T, np.zeros(2))]))
    proof = certify_equivariance(turned, D4, D4, SQUARE)
    assert proof.max_error.max() == 0.0
    assert certify_equivariance(turned, D4, trivial(D4.group, 2), SQUARE).max_error[1:].min() > 0.1
    # layers that follow the group need no domain
    assert certify_equivariance(turned, D4, D4, Polyhedron.whole_space(2)).max_error.max() == 0.0


@pytest.mark.parametrize("name", ["C4", "D4", "C4 hard_tanh"])
def test_regions_are_equivariant(name: str) -> None:
    rho, make = SYMMETRIC[name]
    regions = enumerate_regions(make(), domain_of(rho))
    errors = region_equivariance(regions, rho, trivial(rho.group, regions.network.output_dim))
    assert errors.shape == (len(rho), len(regions))
    assert errors.max() <= 1e-12  # slopes are up to 100
    plain = enumerate_regions(seeded(0, 2, 6, 1), domain_of(rho))
    assert region_equivariance(plain, rho, trivial(rho.group)).max(axis=1)[1:].min() > 1e-3


def by_programs(net: Network, swap: Representation, domain: Polyhedron) -> EquivarianceCertificate:
    """The same through linear programs: more coordinates that nothing reads."""
    more = 9 - net.input_dim
    wide = Network(
        (9,),
        tuple(
            Layer(
                la.inputs,
                tuple(
                    Dense(np.pad(m.to_sparse().toarray(), ((0, 0), (0, more)))) if k == 0 else m
                    for k, m in zip(la.inputs, la.maps, strict=True)
                ),
                la.bias,
                la.activation,
            )
            for la in net.layers
        ),
    )
    matrices = np.array(
        [np.pad(m, (0, more)) + np.diag([0.0] * net.input_dim + [1.0] * more) for m in swap.matrices]
    )
    low = [*domain.vertices().min(axis=0), *[0.0] * more]
    high = [*domain.vertices().max(axis=0), *[1.0] * more]
    return certify_equivariance(
        wide, Representation(swap.group, matrices), trivial(swap.group), Polyhedron.box(low, high)
    )


def test_vertices_and_programs_agree() -> None:
    net = seeded(0, 2, 4, 1)
    one, other = certify_equivariance(net, C2, trivial(C2.group), SQUARE), by_programs(net, C2, SQUARE)
    assert one.exact
    assert other.exact
    np.testing.assert_allclose(one.max_error, other.max_error, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(other.lower, other.max_error, rtol=1e-8, atol=1e-8)


def test_budgets_leave_certified_bounds() -> None:
    net = seeded(0, 3, 8, 6, 1)
    rho, out, cube = natural(3), trivial(natural(3).group), Polyhedron.box([-1] * 3, [1] * 3)
    exact = certify_equivariance(net, rho, out, cube)
    for limits in ({"max_regions": 50}, {"max_seconds": 1e-9}):
        part = certify_equivariance(net, rho, out, cube, **limits)
        assert exact.exact
        assert not part.exact
        assert (part.lower[1:] > 0).all()
        assert (part.lower <= exact.max_error + 1e-12).all()
        assert (part.max_error >= exact.max_error).all()


def test_pieces_of_a_function_whose_units_are_not_permuted() -> None:
    """max(x, y) spelled x + relu(y - x): exchanging x and y maps the unit to no unit."""
    net = Network(
        (2,),
        (
            Layer((0,), (Dense(np.array([[-1.0, 1.0], [0.0, 1.0]])),), np.zeros(2), hard_tanh(0.0, 100.0)),
            Layer((1, 0), (Dense(np.array([[1.0, 0.0]])), Dense(np.array([[1.0, 0.0]]))), np.zeros(1)),
        ),
    )
    assert layerwise_symmetry(net, C2.matrices[1]) is None
    found = pieces_up_to_symmetry(net, C2, trivial(C2.group), SQUARE)
    assert found.certificate.max_error.max() == 0
    assert found.certificate.proved == (True, True)
    assert found.exact
    assert found.n_pieces == enumerate_regions(net, SQUARE).pieces() == 2
    assert len(found.part) < len(enumerate_regions(net, SQUARE))
    for name in ("C4", "one-sided", "C4 hard_tanh"):
        rho, make = SYMMETRIC[name]
        symmetric = pieces_up_to_symmetry(make(), rho, trivial(rho.group), domain_of(rho))
        assert symmetric.n_pieces == enumerate_regions(make(), domain_of(rho)).pieces()
    with pytest.raises(SymmetryError, match=r"not equivariant.*element 1"):
        pieces_up_to_symmetry(seeded(0, 2, 4, 1), C2, trivial(C2.group), SQUARE)


@pytest.mark.parametrize("norm", [2, *(pytest.param(p, marks=pytest.mark.slow) for p in (1, np.inf))])
def test_the_robustness_radius_is_constant_on_orbits(norm: float) -> None:
    """An orthogonal action that also permutes coordinates up to sign preserves all three norms."""
    net = group_network(D4, 22, blocks=1, depth=1)
    net.layers[1].bias[:] = -net([[0.7, 0.9]])[0]  # a point of the boundary
    x = np.array([0.7, 0.2])
    radii = [robustness_radius(net, M @ x, norm) for M in D4.matrices[::2]]
    assert all(radius.exact for radius in radii)
    assert 0 < radii[0].value < 1
    np.testing.assert_allclose([radius.value for radius in radii], radii[0].value, atol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    net, one = seeded(0, 2, 4, 1), trivial(C4.group)
    with pytest.raises(ValueError, match="different groups"):
        certify_equivariance(net, C4, trivial(cyclic(3)), SQUARE)
    with pytest.raises(ValueError, match=r"R\^2 to R\^1, the group acts on R\^2 and R\^3"):
        certify_equivariance(net, C4, trivial(C4.group, 3), SQUARE)
    with pytest.raises(ValueError, match=r"R\^3"):
        certify_equivariance(net, C4, one, Polyhedron.box([0] * 3, [1] * 3))
    for number in (0, -1):
        with pytest.raises(ValueError, match="max_regions must be positive"):
            certify_equivariance(net, C4, one, Polyhedron.box([-1] * 2, [1] * 2), max_regions=number)
    with pytest.raises(UnboundedDomainError, match=r"element 1.*box"):
        certify_equivariance(net, C4, one, Polyhedron.whole_space(2))
    with pytest.raises(EmptyDomainError):
        certify_equivariance(
            net, C4, one, Polyhedron(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, -1.0]))
        )
    with pytest.raises(ValueError, match=r"R\^3 to R\^1.*acts on R\^2"):
        equivariance_error(lambda x: x.sum(axis=1), C4, one, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="finite matrix"):
        layerwise_symmetry(net, np.eye(3))
