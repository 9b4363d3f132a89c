"""Facets of the decision boundary: closed forms, logits equal on them, areas that refining leaves alone."""

import numpy as np
import pytest

import polytope as pt
from polytope.errors import GeometryError, IncompleteComplexError, UnboundedDomainError
from polytope.ir import Network
from tests.networks import NETWORKS, box, diamond, integer, seeded


def finer(network: Network, rows: np.ndarray, offsets: np.ndarray) -> Network:
    """The same function of one hidden layer with further units that nothing reads."""
    (first, last) = network.layers
    W = np.concatenate([first.maps[0].to_sparse().toarray(), rows])
    out = last.maps[0].to_sparse().toarray()
    out = np.concatenate([out, np.zeros((len(out), len(rows)))], axis=1)
    return pt.mlp([(W, np.concatenate([first.bias, offsets])), (out, last.bias)])


@pytest.mark.parametrize(
    ("d", "facets", "area"),
    [(1, 2, 2.0), (2, 4, 4 * np.sqrt(2)), (3, 8, 4 * np.sqrt(3)), (4, 16, 16 * np.sqrt(4) / 6)],
)
def test_a_diamond(d: int, facets: int, area: float) -> None:
    found = pt.decision_boundary(pt.enumerate_regions(diamond(d), box(d, 1.7)))
    assert len(found) == facets
    assert found.area == pytest.approx(area, rel=1e-12)
    np.testing.assert_allclose(found.areas, area / facets, rtol=1e-12)
    assert (found.classes == [0, 1]).all()


def test_three_classes_meet_in_a_point() -> None:
    """Rays from the origin into the square, along the directions between the classes' normals."""
    network = pt.mlp([([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], [0.0] * 3)])
    found = pt.decision_boundary(pt.enumerate_regions(network, box(2, 1.0)))
    assert found.classes.tolist() == [[0, 1], [0, 2], [1, 2]]
    np.testing.assert_allclose(found.areas, [np.sqrt(5) / 2, np.sqrt(5) / 2, 1.0], rtol=1e-12)


def test_a_class_that_wins_at_no_vertex_is_found() -> None:
    """The constant 0 wins in the diamond |x| + |y| < 1/2 around the centre of a single cell."""
    signs = [[1.0, 1], [1, -1], [-1, 1], [-1, -1], [0, 0]]
    network = pt.mlp([(signs, [0.0, 0, 0, 0, 0.5])])
    found = pt.decision_boundary(pt.enumerate_regions(network, box(2, 1.0)))
    inner = found.classes[:, 1] == 4
    assert inner.sum() == 4
    assert found.areas[inner].sum() == pytest.approx(4 * np.sqrt(0.5), rel=1e-12)
    assert found.areas[~inner].sum() == pytest.approx(4 * 0.5, rel=1e-12)


@pytest.mark.parametrize("name", ["relu_3-5-4-2", "residual", "grouped", "hard_tanh_2-5-5-1"])
def test_the_two_largest_outputs_are_equal_on_every_facet(name: str) -> None:
    network = NETWORKS[name]()
    found = pt.decision_boundary(pt.enumerate_regions(network, box(network.input_dim, 2.0)))
    assert len(found)
    for points, (i, j) in zip(found.points, found.classes, strict=True):
        values = network(np.concatenate([points, points.mean(axis=0, keepdims=True)]))
        if network.output_dim == 1:
            assert np.abs(values).max() < 1e-9
        else:
            assert np.abs(values[:, i] - values[:, j]).max() < 1e-9
            assert (values.max(axis=1) <= values[:, i] + 1e-9).all()


@pytest.mark.parametrize("seed", range(2))
def test_areas_do_not_depend_on_the_cells(seed: int) -> None:
    """Cuts through the boundary, and along it, change its facets but not their areas."""
    rng = np.random.default_rng(seed)
    network = (seeded if seed % 2 else integer)(seed + 20, 2, 6, 3)
    coarse = pt.enumerate_regions(network, box(2, 2.0))
    found = pt.decision_boundary(coarse)
    J, c = coarse[int(found.regions[0])].jacobian
    i, j = found.classes[0]
    rows = np.concatenate([rng.standard_normal((3, 2)), J[[i]] - J[[j]]])
    offsets = np.append(rng.standard_normal(3), c[i] - c[j])
    fine = pt.decision_boundary(pt.enumerate_regions(finer(network, rows, offsets), box(2, 2.0)))
    assert len(fine) >= len(found)
    for pair in np.unique(found.classes, axis=0):
        sums = [part.areas[(part.classes == pair).all(axis=1)].sum() for part in (found, fine)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-9)


def test_classes_that_differ_by_little_beside_their_size() -> None:
    """1e11 + relu(x) is 1e11 + relu(-x) at x = 0 alone, and 1e11 on half of the square."""
    first = ([[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0])
    found = pt.decision_boundary(pt.enumerate_regions(pt.mlp([first, (np.eye(2), [1e11] * 2)]), box(2, 1.0)))
    assert found.areas.tolist() == [2.0]
    half = pt.mlp([first, ([[1.0, 0.0], [0.0, 0.0]], [1e11] * 2)])
    with pytest.raises(GeometryError, match="tie all over region"):
        pt.decision_boundary(pt.enumerate_regions(half, box(2, 1.0)))
    almost = pt.mlp([first, ([[1.0, 0.0], [0.0, 0.0]], [1e11, float(np.nextafter(1e11, 0))])])
    assert len(pt.decision_boundary(pt.enumerate_regions(almost, box(2, 1.0)))) == 0


def test_touching_is_no_boundary() -> None:
    """|x| touches 0 and stays positive; relu(x) - relu(-x) = x changes sign on a breakpoint, once."""
    touching = pt.mlp([([[1.0, 0], [-1, 0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    assert len(pt.decision_boundary(pt.enumerate_regions(touching, box(2, 1.0)))) == 0
    changing = pt.mlp([([[1.0, 0], [-1, 0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0])])
    found = pt.decision_boundary(pt.enumerate_regions(changing, box(2, 1.0)))
    np.testing.assert_allclose(found.areas, [2.0], rtol=1e-12)


def test_what_has_no_boundary_is_refused() -> None:
    network = diamond(2)
    with pytest.raises(IncompleteComplexError):
        pt.decision_boundary(pt.enumerate_regions(network, box(2, 2.0), max_regions=2))
    whole = pt.enumerate_regions(network, pt.Polyhedron.whole_space(2))
    with pytest.raises(UnboundedDomainError, match="infinite"):
        pt.decision_boundary(whole)
    flat = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0], [0.0]], [0.0, 0.0])])  # relu(x) against 0
    with pytest.raises(GeometryError, match="tie all over region"):
        pt.decision_boundary(pt.enumerate_regions(flat, box(2, 1.0)))


def test_where_no_class_changes_the_class_is_named() -> None:
    """A regression's output is positive on one box, negative on another, and changes its sign on a third."""
    away = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-3.0])])
    for centre, sign in ((3.0, 1), (-3.0, 0)):
        regions = pt.enumerate_regions(away, pt.Polyhedron.box([centre - 1] * 2, [centre + 1] * 2))
        found = pt.decision_boundary(regions)
        assert (len(found), found.area, found.everywhere) == (0, 0.0, sign)
        assert f"everywhere={sign}" in repr(found)
    crossed = pt.decision_boundary(pt.enumerate_regions(away, pt.Polyhedron.box([0, 0], [3, 3])))
    assert crossed.everywhere is None
    assert crossed.area == pytest.approx(3 * np.sqrt(2), rel=1e-12)  # of x + y = 3
    constant = pt.mlp([(np.eye(2), [0.0, 0.0]), (np.zeros((3, 2)), [0.0, 2.0, 1.0])])
    assert pt.decision_boundary(pt.enumerate_regions(constant, box(2, 1.0))).everywhere == 1
