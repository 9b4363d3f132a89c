"""Known answers for vertex cells: counts, numbers of faces, exact decisions."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import LayerSplit, Polyhedron, count_regions, enumerate_regions, mlp
from polytope.core.vertex_cells import explore
from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.regions.exact_vertices import ExactVertices
from polytope.regions.faces import face_lattice
from tests.networks import KNOWN_REGIONS, file_network, needs_shared, seeded, unit_box_of

VERTICES = LayerSplit(cells="vertices")

VERTICES_AND_EDGES = {
    "2-10-5-1": (54, 91),
    "2-50-50-1": (1456, 2832),
    "2-100-100-1": (5744, 11335),
    "2-128-128-128-1": (23655, 47004),
    "2-256-256-256-1": (95925, 191248),
    "he_2-128x4": (102152, 203827),
    "3-16-16-1": (1082, 2889),
    "3-32-32-1": (7995, 22679),
    "3-64-64-1": (67001, 196012),
}
MORE_DIMENSIONS = {
    "4-16-16-1": (11831, 42249),
    "5-16-16-1": (60970, 270401),
    "4-32-32-1": (108648, 410119),
    "5-32-32-1": (1565829, 7375059),
}

DEGENERATE = {  # vertices, edges; their difference to the known number of regions is 1
    "deg_concurrent": (11, 18),
    "deg_duplicate": (9, 12),
    "deg_parallel_grid": (25, 40),
    "deg_corner": (5, 8),
    "deg_boxface": (6, 7),
    "deg_near_1e-9": (13, 19),
}


@needs_shared
@pytest.mark.parametrize("name", KNOWN_REGIONS)
def test_counts(name: str) -> None:
    network = file_network(name)
    count = count_regions(network, Polyhedron.box(*unit_box_of(network)), VERTICES)
    assert (count.lower, count.complete) == (KNOWN_REGIONS[name], True)


@needs_shared
@pytest.mark.parametrize("name", [n for n, count in KNOWN_REGIONS.items() if count < 100_000])
def test_cells_and_their_neighbours(name: str) -> None:
    network = file_network(name)
    box = Polyhedron.box(*unit_box_of(network))
    found = explore(network, box, keep="cells")
    assert found.n_regions == len({p.tobytes() for p in found.patterns}) == KNOWN_REGIONS[name]
    edges, places = found.pairs(), found.pairs(places=True)
    units = found.facets.unit[places]
    inner = int((found.facets.unit >= 0).sum())
    assert 2 * len(edges) == inner
    some = np.random.default_rng(0).permutation(len(edges))[:2000]
    for (i, j), pair in zip(edges[some].tolist(), units[some].tolist(), strict=True):
        flips = np.flatnonzero(found.patterns[i] != found.patterns[j])
        assert set(pair) <= set(flips.tolist())


def face_numbers(name: str) -> tuple[int, ...]:
    """The numbers of faces of dimension 0 to d <= 3, which satisfy Euler's relation."""
    network = file_network(name)
    box = Polyhedron.box(*unit_box_of(network))
    lattice = face_lattice(ExactVertices(network, box, explore(network, box, keep="vertices")))
    counts = len(lattice.vertices), *(m.shape[0] for m in lattice.boundary)
    assert sum((-1) ** k * n for k, n in enumerate(counts)) == 1
    return counts


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if KNOWN_REGIONS[n] > 50_000 else [])
        for n in VERTICES_AND_EDGES
    ],
)
def test_faces_satisfy_euler(name: str) -> None:
    """In the suite of up to 50,000 regions; all files where slow tests run too."""
    counts = face_numbers(name)
    assert counts[:2] == VERTICES_AND_EDGES[name]
    assert counts[-1] == KNOWN_REGIONS[name]


@needs_shared
@pytest.mark.parametrize("name", DEGENERATE)
def test_faces_of_degenerate_complexes(name: str) -> None:
    """Worked out by hand: lines through one point, equal, parallel, through corners, on the boundary."""
    assert face_numbers(name) == (*DEGENERATE[name], KNOWN_REGIONS[name])


@needs_shared
@pytest.mark.parametrize(
    "name",
    ["3-16-16-1", "4-16-16-1", "5-16-16-1", "4-32-32-1", pytest.param("5-32-32-1", marks=pytest.mark.slow)],
)
def test_vertices_and_edges_counted_from_every_cell(name: str) -> None:
    """A vertex on s crossings belongs to 2^s cells, an edge on s crossings too, and an edge has two ends."""
    network = file_network(name)
    box, d = Polyhedron.box(*unit_box_of(network)), network.input_dim
    found = explore(network, box, keep="vertices")
    ordinal = np.arange(len(found.facets.unit)) - np.repeat(
        found.facets.offsets[:-1], np.diff(found.facets.offsets)
    )
    crossing = np.where(found.facets.unit >= 0, np.int64(1) << ordinal, 0)
    of_cell = np.bitwise_or.reduceat(crossing, found.facets.offsets[:-1])
    there = found.vertices.incidences[:, 0] & np.repeat(of_cell, np.diff(found.vertices.offsets))
    on = np.array([bin(byte).count("1") for byte in range(256)])[there[:, None].view(np.uint8)].sum(axis=1)
    vertices = np.bincount(on, 0.5**on).sum()
    edges = (0.5 * (on * 2.0 ** (1 - on) + (d - on) * 0.5**on)).sum()
    assert (vertices, edges) == (VERTICES_AND_EDGES | MORE_DIMENSIONS)[name]


@pytest.mark.parametrize(("widths", "regions"), [((2, 8, 8, 1), 35), ((3, 6, 6, 1), 51), ((4, 6, 6, 1), 163)])
def test_seeded_networks(widths: tuple[int, ...], regions: int) -> None:
    network = seeded(0, *widths)
    assert count_regions(network, Polyhedron.box(*unit_box_of(network)), VERTICES).lower == regions


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_scales_change_nothing(scale: float, shift: float) -> None:
    """Weights and the box scaled by powers of ten are decided by their own rounding errors."""
    rng = np.random.default_rng(4)
    W, b, V, c = (rng.standard_normal(s) for s in ((6, 2), 6, (5, 6), 5))
    box = Polyhedron.box([-1, -1], [1, 1])
    plain = mlp([(W, b), (V, c), (np.ones((1, 5)), [0.0])])
    moved = mlp(
        [(W * scale, b * scale - W @ [shift, shift] * scale), (V, c * scale), (np.ones((1, 5)), [0.0])]
    )
    expected = enumerate_regions(plain, box, LayerSplit(cells="lp"))
    far = Polyhedron.box([shift - 1] * 2, [shift + 1] * 2)
    assert len(enumerate_regions(moved, far, VERTICES)) == len(expected)


def test_a_line_a_hair_from_a_crossing_is_decided_exactly() -> None:
    """Three lines through a triangle of size 1e-300: seven regions; through a point: six."""
    for gap, regions in ((1e-300, 7), (0.0, 6)):
        network = mlp([([[1.0, 0], [0, 1], [1, 1]], [0.0, 0.0, gap]), ([[1.0, 1, 1]], [0.0])])
        found = explore(network, _box(2), keep="cells")
        assert (found.n_regions, explore(network, _box(2)).n_regions) == (regions, regions)
        assert found.statistics["exact_signs"] > 0


def _box(d: int) -> Polyhedron:
    return Polyhedron(np.vstack([np.eye(d), -np.eye(d)]), np.ones(2 * d))


def test_wrong_domains_are_refused() -> None:
    network = seeded(0, 2, 3, 1)
    with pytest.raises(UnboundedDomainError):
        explore(network, Polyhedron(np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2)))
    with pytest.raises(EmptyDomainError):
        explore(
            network, Polyhedron(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.array([0.0, -1.0, 1, 1]))
        )
    with pytest.raises(ValueError, match="keep"):
        explore(network, _box(2), keep="everything")
