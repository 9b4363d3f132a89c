"""Shapes of level sets and of the graph of regions: hand-worked, and laws on random networks."""

from fractions import Fraction
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from scipy.ndimage import label
from scipy.sparse import csr_array

import polytope as pt
from polytope.core.vertex_cells import explore
from polytope.errors import IncompleteComplexError, UnboundedDomainError
from polytope.exact.dyadic import dyadic, primitive
from polytope.exact.facets import value_at
from polytope.ir import Network
from polytope.measures.topology import _boundary, _rank, _signed, _spectrum
from polytope.regions.exact_vertices import ExactVertices, meeting
from polytope.regions.faces import face_lattice
from tests.networks import NETWORKS, box, diamond, integer, seeded


def negative(network: Network) -> Network:
    """``-f`` of a scalar network."""
    return network.then(pt.mlp([([[-1.0]], [0.0])]))


def band(d: int, radius: float, width: float) -> Network:
    """``| |x|_1 - radius | - width``: its sublevel set at 0 is an annulus (d = 2) or a shell (d = 3)."""
    outer = pt.mlp([([[1.0], [-1.0]], [1 - radius, radius - 1]), ([[1.0, 1.0]], [-width])])
    return diamond(d).then(outer)


def wells(d: int) -> Network:
    """``| |x| - 1 | + |y| + ... - 1/2``: two diamonds around (-1, 0, ...) and (1, 0, ...)."""
    first = np.concatenate([np.eye(d), -np.eye(d)])
    second = np.zeros((2 + d - 1, 2 * d))
    second[0, [0, d]], second[1, [0, d]] = 1.0, -1.0
    for k in range(1, d):
        second[1 + k, [k, d + k]] = 1.0
    bias = np.concatenate([[-1.0, 1.0], np.zeros(d - 1)])
    return pt.mlp([(first, np.zeros(2 * d)), (second, bias), (np.ones((1, d + 1)), [-0.5])])


def regions(network: Network, size: float) -> pt.RegionComplex:
    return pt.enumerate_regions(network, box(network.input_dim, size))


@pytest.mark.parametrize(
    ("network", "f_vector", "betti"),
    [
        (diamond(1), (2,), (2,)),
        (diamond(2), (4, 4), (1, 1)),
        (diamond(3), (6, 12, 8), (1, 0, 1)),
        (wells(2), (8, 8), (2, 2)),
        (band(2, 1.0, 0.5), (8, 8), (2, 2)),
        (band(3, 1.0, 0.5), (12, 24, 16), (2, 0, 2)),
    ],
)
def test_level_sets_worked_by_hand(
    network: Network, f_vector: tuple[int, ...], betti: tuple[int, ...]
) -> None:
    found = pt.level_set_topology(regions(network, 2.0))
    assert (found.f_vector, found.betti) == (f_vector, betti)
    assert found.euler_characteristic == sum((-1) ** k * b for k, b in enumerate(betti))


@pytest.mark.parametrize(
    ("network", "betti"),
    [
        (diamond(1), (1, 0)),
        (diamond(2), (1, 0, 0)),
        (diamond(3), (1, 0, 0, 0)),
        (wells(2), (2, 0, 0)),
        (wells(3), (2, 0, 0, 0)),
        (band(2, 1.0, 0.5), (1, 1, 0)),
        (band(3, 1.0, 0.5), (1, 0, 1, 0)),
        (negative(diamond(2)), (1, 1, 0)),
        (negative(wells(2)), (1, 2, 0)),
        (negative(wells(3)), (1, 0, 2, 0)),
    ],
)
def test_sublevel_sets_worked_by_hand(network: Network, betti: tuple[int, ...]) -> None:
    assert pt.sublevel_topology(regions(network, 2.0)).betti == betti


def test_levels_through_vertices() -> None:
    """A level that is a point, one through corners of the box, one through vertices, one that is empty."""
    complex = regions(diamond(2), 1.0)
    assert pt.level_set_topology(complex, -1.0) == pt.Topology((1, 0), (1, 0))
    on_corners = pt.level_set_topology(complex, 1.0)
    assert (on_corners.f_vector, on_corners.betti) == ((4, 0), (4, 0))
    on_axes = pt.level_set_topology(complex, 0.0)  # the vertices (1, 0), ... are vertices of the complex
    assert (on_axes.f_vector, on_axes.betti) == ((4, 4), (1, 1))
    assert pt.level_set_topology(complex, 2.0).f_vector == (0, 0)
    assert pt.sublevel_topology(complex, 1.0).betti == (1, 0, 0)
    assert pt.sublevel_topology(complex, -2.0).betti == (0, 0, 0)


def test_a_level_with_interior() -> None:
    """relu(x) is 0 on the left half of the square: a disc."""
    flat = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0]], [0.0])])
    assert pt.level_set_topology(regions(flat, 1.0)) == pt.sublevel_topology(regions(flat, 1.0))
    assert pt.level_set_topology(regions(flat, 1.0)).f_vector == (4, 4, 1)


def cancelling(offset: float) -> Network:
    """1e17 relu(x) + 0.3 (x + 5) - 1e17 relu(x) + offset: a line of slope 0.3, in x and y."""
    return pt.mlp([([[1.0, 0], [1, 0], [1, 0]], [0.0, 5.0, 0.0]), ([[1e17, 0.3, -1e17]], [offset])])


def test_a_level_beside_large_numbers() -> None:
    """1e11 + relu(x) is 1e11 on the left half alone; where 1e17 cancels, the level set is a line."""
    step = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0]], [1e11])])
    found = pt.level_set_topology(regions(step, 1.0), 1e11)
    assert (found.f_vector, found.betti) == ((4, 4, 1), (1, 0, 0))
    assert pt.level_set_topology(regions(step, 1.0), 1e11 + 0.5).f_vector == (2, 1)
    line = regions(cancelling(-1.53), 1.0)
    assert pt.level_set_topology(line).f_vector == (2, 1)
    assert pt.sublevel_topology(line).betti == (1, 0, 0)
    [length] = pt.decision_boundary(line).areas
    assert length == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_vertices_within_rounding_of_each_other_are_told_apart(seed: int) -> None:
    """Lines through one point but for rounding, and their rounded thirds: vertices and edges by fractions."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 10, 2) / 10
    W = rng.integers(-4, 5, (5, 2)) + 0.5
    W = np.concatenate([W, W[:2] / 3, rng.integers(1, 4, (1, 2))])
    b = -(W @ x)
    network = pt.mlp([(W, b), (np.ones((1, len(W))), [0.0])])
    lines = {
        primitive(dyadic(np.append(w, c)).integers * (1 if w[0] > 0 else -1))
        for w, c in zip(W, b, strict=True)
    }
    sides = {(1, 0, 2), (1, 0, -2), (0, 1, 2), (0, 1, -2)}
    points = {p for pair in combinations([*lines, *sides], 2) if (p := meeting(pair))}
    points = {p for p in points if max(abs(v) for v in p) <= 2}
    edges = 0
    for line in [*lines, *sides]:
        edges += max(sum(value_at(line, p) == 0 for p in points) - 1, 0)
    domain = box(2, 2.0)
    exact = ExactVertices(network, domain, explore(network, domain, keep="vertices"))
    lattice = face_lattice(exact)
    assert (len(lattice.vertices), lattice.boundary[0].shape[0]) == (len(points), edges)
    close = [p for p in points if abs(p[0] - Fraction(x[0])) + abs(p[1] - Fraction(x[1])) < 1e-12]
    assert len(close) > 1


LAWFUL = [("seeded", 2), ("seeded", 3), ("integer", 2), ("integer", 3)]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("kind", "d"), LAWFUL)
def test_laws(kind: str, d: int, seed: int) -> None:
    """Inclusion and exclusion, the boundary of a boundary, alternating sums; also at vertices' own levels."""
    network = {"seeded": seeded, "integer": integer}[kind](seed + 30, d, 6, 4, 1)
    complex = regions(network, 1.5)
    values = network(complex.interior_points)[:, 0]
    for level in (
        float(np.median(values)),
        float(np.round(values.mean())),
        float(network(np.zeros((1, d)))[0, 0]),
    ):
        level_set = pt.level_set_topology(complex, level)
        below = pt.sublevel_topology(complex, level)
        above = pt.sublevel_topology(regions(negative(network), 1.5), -level)
        chi = [part.euler_characteristic for part in (below, above, level_set)]
        assert chi[0] + chi[1] - chi[2] == 1
        for part in (level_set, below, above):
            assert min(part.betti) >= 0
            assert sum((-1) ** k * b for k, b in enumerate(part.betti)) == part.euler_characteristic
        faces, signs = _signed(complex, level, "the law")
        kinds = [[("held", k), ("cut", k + 1), ("below", k)] for k in range(d + 1)]
        cells = [[(k, f, signs[f].of(k)) for k, f in row if f <= d] for row in kinds]
        for k in range(2, d + 1):
            upper, lower = (_boundary(faces, cells[j], cells[j - 1]) for j in (k, k - 1))
            for column in upper:
                total: set[int] = set()
                for face in column:
                    total ^= set(lower[face])
                assert not total


def test_components_and_holes_on_a_grid() -> None:
    """Labelled pixels of a fine grid have as many components, and as many holes."""
    t = np.linspace(-2, 2, 401)
    grid = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    seen = set()
    for seed, share in ((31, 0.95), (34, 0.5), (37, 0.5), (1, 0.5)):
        network = seeded(seed, 2, 8, 8, 1)
        values = network(grid).reshape(401, 401)
        level = float(np.quantile(values, share)) + 0.1 * (share == 0.5)
        found = pt.sublevel_topology(regions(network, 2.0), level)
        _, components = label(values <= level)
        outside, count = label(values > level, np.ones((3, 3)))
        rim = np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]])
        holes = count - len(np.unique(rim[rim > 0]))
        assert found.betti == (components, holes, 0)
        seen.add(found.betti)
    assert seen == {(1, 1, 0), (2, 0, 0), (3, 0, 0), (1, 0, 0)}


@pytest.mark.parametrize("name", ["relu_1-6-6-1", "relu_2-5-5-1", "integer_2-5-4-1", "integer_3-5-4-1"])
def test_edges_have_two_ends_and_faces_satisfy_euler(name: str) -> None:
    network = NETWORKS[name]()
    domain = box(network.input_dim, 1.0)
    found = ExactVertices(network, domain, explore(network, domain, keep="vertices"))
    lattice = face_lattice(found)
    counts = [len(lattice.vertices), *(m.shape[0] for m in lattice.boundary)]
    assert sum((-1) ** k * n for k, n in enumerate(counts)) == 1
    assert counts[-1] == found.found.n_regions
    ends = np.diff(lattice.boundary[0].indptr)
    assert (ends == 2).all()


def test_the_rank_is_that_over_two_elements() -> None:
    assert _rank([[0, 1], [1, 2], [0, 2]]) == 2  # over the rationals it is 3
    assert _rank([[], [0], [0]]) == 1
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (12, 4)), rng.integers(0, 2, (4, 9))
    assert _rank([np.flatnonzero(column).tolist() for column in (a @ b % 2).T]) <= 4
    assert _rank([[i] for i in range(5)]) == 5


def test_the_graph_of_parallel_strips_is_a_path() -> None:
    """Four strips: degrees 1 and 2, diameter 3, eigenvalues 1 - cos(k pi / 3)."""
    network = pt.mlp([([[1.0, 0.0]] * 3, [0.5, 0.0, -0.5]), ([[1.0] * 3], [0.0])])
    found = pt.dual_graph(regions(network, 1.0), eigenvalues=4)
    assert (found.degrees.tolist(), found.diameter, found.mean_degree) == ([0, 2, 2], 3, 1.5)
    np.testing.assert_allclose(found.spectrum, 1 - np.cos(np.arange(4) * np.pi / 3), atol=1e-12)


@pytest.mark.parametrize("network", [seeded(2, 2, 8, 8, 1), integer(1, 2, 5, 4, 1), integer(2, 3, 5, 4, 1)])
def test_the_matrix_and_the_graph_say_the_same(network: pt.Network) -> None:
    complex = regions(network, 1.0)
    graph, matrix = complex.adjacency(), complex.adjacency_matrix()
    assert (matrix.toarray() == nx.to_numpy_array(graph, nodelist=range(len(complex)))).all()
    assert {frozenset(pair) for pair in complex.neighbours.tolist()} == {
        frozenset(pair) for pair in graph.edges
    }
    for i, j, units in graph.edges(data="units"):
        assert list(units) == np.flatnonzero(complex.patterns[i] != complex.patterns[j]).tolist()


def test_the_graph_of_one_region_and_of_many() -> None:
    assert pt.dual_graph(regions(pt.mlp([([[1.0, 1.0]], [0.0])]), 1.0)).diameter == 0
    complex = regions(seeded(2, 2, 16, 16, 1), 1.0)
    found = pt.dual_graph(complex)
    graph = complex.adjacency()
    assert found.diameter == nx.diameter(graph)
    assert found.mean_degree == pytest.approx(2 * graph.number_of_edges() / len(complex), rel=1e-12)
    assert found.mean_degree <= 4
    laplacian = csr_array(nx.normalized_laplacian_matrix(graph))
    np.testing.assert_allclose(found.spectrum, np.linalg.eigvalsh(laplacian.toarray())[:6], atol=1e-9)
    large = csr_array(nx.normalized_laplacian_matrix(nx.path_graph(700)))
    np.testing.assert_allclose(_spectrum(large, 3), 1 - np.cos(np.arange(3) * np.pi / 699), atol=1e-9)


def test_what_has_no_shape_is_refused() -> None:
    network = diamond(2)
    for measure in (pt.level_set_topology, pt.sublevel_topology):
        with pytest.raises(ValueError, match="scalar output"):
            measure(regions(seeded(0, 2, 4, 3), 1.0))
        with pytest.raises(ValueError, match="up to three dimensions"):
            measure(regions(diamond(4), 1.0))
        with pytest.raises(IncompleteComplexError):
            measure(pt.enumerate_regions(network, box(2, 1.0), max_regions=2))
        with pytest.raises(UnboundedDomainError):
            measure(pt.enumerate_regions(network, pt.Polyhedron.whole_space(2)))
    with pytest.raises(IncompleteComplexError):
        pt.dual_graph(pt.enumerate_regions(network, box(2, 1.0), max_regions=2))
    with pytest.raises(ValueError, match="negative"):
        pt.dual_graph(regions(network, 1.0), eigenvalues=-1)
