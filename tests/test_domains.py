"""Domains of every kind: flat ones, windows into large networks, and the error that each wrong one meets."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import FacetFlip, LayerSplit, Polyhedron, Slice, affine_hull, count_regions, enumerate_regions
from polytope.errors import EmptyDomainError, SolverError, UnboundedDomainError
from polytope.geometry.lp import FacetProgram, WarmProgram
from tests.networks import seeded

SIMPLEX = np.concatenate([-np.eye(3), np.ones((1, 3)), -np.ones((1, 3))]), np.array([0, 0, 0, 1, -1.0])


def test_flat_domains_are_parametrised() -> None:
    """The probability simplex in R^3, from opposite rows and from an equality."""
    network = seeded(2, 3, 8, 6, 1)
    for engine in (LayerSplit(), LayerSplit(cells="lp"), FacetFlip()):
        with pytest.raises(EmptyDomainError, match="affine_hull"):
            count_regions(network, Polyhedron(*SIMPLEX), engine)
    hulls = [
        affine_hull(Polyhedron(*SIMPLEX)),
        affine_hull(Polyhedron(-np.eye(3), np.zeros(3)), (np.ones((1, 3)), [1.0])),
    ]
    counts = set()
    for window, inner in hulls:
        assert window.dim == inner.dim == 2
        corners = window.lift(inner.vertices())
        np.testing.assert_allclose(np.sort(corners, axis=0)[-1], 1.0)
        np.testing.assert_allclose(corners.sum(axis=1), 1.0)
        counts.add(count_regions(network.restrict(window), inner).lower)
    x = np.random.default_rng(0).dirichlet(np.ones(3), 20_000)
    [count] = counts
    assert len(np.unique(network.pattern(x), axis=0)) <= count


def test_equalities_that_rows_only_imply_are_found() -> None:
    """Three rows that leave the axis of z: the sum of x and y is not positive, and neither is negative."""
    A, b = np.array([[1.0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]), np.array([0, 0, 0, 1, 1.0])
    window, inner = affine_hull(Polyhedron(A, b))
    np.testing.assert_array_equal(window.lift(inner.vertices()), [[0, 0, -1], [0, 0, 1]])


def test_domains_with_interior_keep_their_coordinates() -> None:
    window, inner = affine_hull(Polyhedron.box([-1, -2], [1, 2]))
    np.testing.assert_array_equal(window.directions, np.eye(2))
    assert inner.volume() == pytest.approx(8)
    assert affine_hull(Polyhedron.whole_space(2), ([[1, 1]], [0]))[1].dim == 1


@pytest.mark.parametrize(
    ("equalities", "message"),
    [
        (([[1, 0], [1, 0]], [0, 1]), "contradict each other"),
        (([[1, 0], [0, 1]], [0, 0]), "one point"),
        (([[1, 0]], [3]), "row contradicts"),
        (([[1, 1]], [3]), "no point"),
    ],
)
def test_empty_domains_are_refused(equalities: tuple[list[list[int]], list[int]], message: str) -> None:
    with pytest.raises(EmptyDomainError, match=message):
        affine_hull(Polyhedron.box([-1, -1], [1, 1]), equalities)
    with pytest.raises(ValueError, match="C "):
        affine_hull(Polyhedron.box([-1, -1], [1, 1]), ([[1.0, 0, 0]], [0]))


@pytest.mark.parametrize("k", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_windows_of_any_dimension(k: int) -> None:
    network = seeded(4, 60, 6, 4, 2)
    points = np.random.default_rng(k).standard_normal((k + 1, 60)) / 4
    part, box = network.restrict(Slice.through(*points)), Polyhedron.box([-1] * k, [2] * k)
    tree = enumerate_regions(part, box, LayerSplit(cells="lp"))
    walked = enumerate_regions(part, box, FacetFlip(order="hops"))
    assert {p.tobytes() for p in tree.patterns} == {p.tobytes() for p in walked.patterns}


@pytest.mark.parametrize(
    "engine",
    [LayerSplit(), LayerSplit(cells="lp"), LayerSplit(cells="lp", solver="highs"), FacetFlip()],
)
def test_wrong_domains_end_in_the_right_error(engine: LayerSplit | FacetFlip) -> None:
    network = seeded(0, 2, 3, 1)
    rows, flat = np.concatenate([np.eye(2), -np.eye(2)]), np.array([0.0, 1.0, 0.0, 1.0])
    empty = (
        Polyhedron(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, -1.0])),  # unbounded, too
        Polyhedron(rows, np.array([0.0, 1.0, -1.0, 1.0])),  # x <= 0 and x >= 1 in a box
        Polyhedron(np.concatenate([rows, [[1.0, 1.0]]]), np.array([1.0, 1.0, 1.0, 1.0, -3.0])),
        Polyhedron(rows, flat),  # x = 0: no interior
    )
    for domain in empty:
        with pytest.raises(EmptyDomainError):
            count_regions(network, domain, engine)
    with pytest.raises(UnboundedDomainError):
        enumerate_regions(network, Polyhedron.whole_space(2), engine).volumes()
    with pytest.raises(ValueError, match="dependent"):
        Slice([0.0, 0.0], [[1.0, 2.0], [2.0, 4.0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", [LayerSplit(cells="vertices"), LayerSplit(cells="lp", solver="simplex")])
def test_engines_for_bounded_domains_refuse_others(engine: LayerSplit) -> None:
    with pytest.raises(UnboundedDomainError):
        count_regions(seeded(0, 2, 3, 1), Polyhedron.whole_space(2), engine)


def test_a_solver_that_fails_says_so() -> None:
    rows = np.array([[1.0, 1.0], [-1.0, 1.0]])  # x <= -1 and x >= 1
    with pytest.raises(SolverError, match="Infeasible"):
        WarmProgram(1, 10.0).maximise(list(rows), np.array([1.0, 0.0]))
    tilted = np.array([[0.6, 0.8, 1.0], [-0.6, -0.8, 1.0], [1.0, 0.0, -1.0]])
    with pytest.raises(SolverError, match="HiGHS ended"):
        FacetProgram(tilted[:, :-1], tilted[:, -1], 10.0).beyond(2)
