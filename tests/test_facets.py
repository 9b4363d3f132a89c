"""Rows of regions with bounds on their errors, and which of them carry facets: what floats prove is true."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest
from scipy.sparse import issparse

from polytope import FacetFlip, LayerSplit, Network, Polyhedron, enumerate_regions, mlp
from polytope.core.proposals import FREE, proposals
from polytope.exact.facets import exact_facets
from polytope.exact.rows import Cut, ExactRows
from polytope.ir.boundaries import boundaries
from polytope.regions.facet_search import FacetSearch
from polytope.regions.float_proofs import RowsAround
from polytope.regions.region_rows import RegionRows, region_rows
from tests.networks import NETWORKS, convolutions, seeded


def rescaled(network: Network, seed: int, most: int) -> Network:
    """Hidden ReLU units times powers of ten, and what reads them over these."""
    rng = np.random.default_rng(seed)
    layers = [(layer.maps[0].to_sparse().toarray(), layer.bias) for layer in network.layers]
    for k in range(len(layers) - 1):
        s = 10.0 ** rng.integers(-most, most + 1, len(layers[k][1]))
        layers[k] = layers[k][0] * s[:, None], layers[k][1] * s
        layers[k + 1] = layers[k + 1][0] / s, layers[k + 1][1]
    return mlp(layers)


ROWS = {
    **NETWORKS,
    "deep": lambda: seeded(0, 3, 20, 20, 20, 20, 1),
    "convolutions": lambda: convolutions(0),
    "rescaled": lambda: rescaled(seeded(1, 3, 6, 6, 1), 0, 8),
    "cancelling": lambda: mlp(
        [(np.ones((3, 1)), [0.0, 5.0, 0.0]), ([[1e17, 0.3, -1e17]] * 2, [0.0, -1.0]), ([[1.0, 1.0]], [0.0])]
    ),
}


def assert_near(described: RegionRows, i: int, exact: list[int]) -> None:
    """A row differs from a positive multiple of the exact one by no more than is said."""
    row = [Fraction(float(v)) for v in described.rows(np.array([i]))[0]]
    square = sum(v * v for v in exact[:-1])
    scale = sum(a * b for a, b in zip(row[:-1], exact[:-1], strict=True)) / Fraction(square)
    assert scale > 0
    off = [a - scale * b for a, b in zip(row, exact, strict=True)]
    assert sqrt(sum(v * v for v in off[:-1])) <= described.tilt[i] * (1 + 1e-9)
    # the multiple that is nearest in the gradient is off by as much again in the constant
    assert abs(off[-1]) <= described.shift[i] + 2 * described.tilt[i] * abs(described.c[i])


@pytest.mark.parametrize("name", ROWS)
def test_errors_of_rows_are_bounded(name: str) -> None:
    network = ROWS[name]()
    d, rng = network.input_dim, np.random.default_rng(0)
    domain, tables = Polyhedron.box([-1.0] * d, [1.0] * d), boundaries(network)
    exact = ExactRows(network, domain.A, domain.b, tables)
    for x in rng.uniform(-1, 1, (2, d)):
        pattern = network.pattern(x)
        described = region_rows(network, domain, tables, pattern, exact)
        assert issparse(described.A) == (d > 64)
        assert described.tilt.max() < 1e-6
        numbers = rng.permutation(len(described))[:40].tolist()
        for i in numbers:
            assert_near(described, i, exact(described.cut(i), pattern).tolist())
        seen = {(cut.number, cut.boundary) for cut in described.cuts}
        for table in tables:
            for unit, piece in enumerate(network.layer_pattern(table.number, pattern).tolist()):
                for boundary, sign, _ in table.pieces[unit][piece][:1] if d < 64 else ():
                    cut = Cut(table.number, boundary, sign)
                    assert any(exact(cut, pattern)[:-1]) == ((table.number, boundary) in seen)


def arrangement(seed: int) -> tuple[Network, Polyhedron]:
    """One layer of lines or planes, some of them nearly equal, parallel, or through one point."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    A, b = rng.standard_normal((7, d)), rng.standard_normal(7)
    for _ in range(3):
        i, j = rng.integers(0, 7, 2)
        near = 10.0 ** -rng.integers(6, 20)
        A[i], b[i] = (
            A[j] + near * rng.standard_normal(d),
            b[j] + near * rng.standard_normal() * rng.integers(2),
        )
    if rng.random() < 0.5:
        A, b = np.round(2 * A), np.round(b)
    wide = 10.0 ** rng.integers(-3, 5, d)
    kinds = (
        Polyhedron.box(-wide, wide),
        Polyhedron.cross_polytope(np.zeros(d), 2.0),
        Polyhedron.whole_space(d),
    )
    return mlp([(A, b), (np.ones((1, 7)), [0.0])]), kinds[seed % 3]


@pytest.mark.parametrize("start", [0, 20, pytest.param(40, marks=pytest.mark.slow)])
def test_facets_are_those_of_rational_arithmetic(start: int) -> None:
    """Of 40 arrangements in the suite, of 60 where slow tests run too."""
    by_floats = 0
    for seed in range(start, start + 20):
        network, domain = arrangement(seed)
        tables = boundaries(network)
        exact = ExactRows(network, domain.A, domain.b, tables)
        regions = enumerate_regions(network, domain, FacetFlip(order="hops"), max_regions=12)
        for pattern, x0 in zip(regions.patterns, regions.interior_points, strict=True):
            described = region_rows(network, domain, tables, pattern, exact)
            search = FacetSearch(described, x0, pattern, exact)
            right = exact_facets([search.exact_row(i) for i in range(len(described))])
            assert search.all().keys() == right.keys()
            assert not search.undecided
            by_floats += not search.tiny
    assert by_floats > 100


@pytest.mark.parametrize("d", [2, 5, 10])
@pytest.mark.parametrize("distance", [1.01, 30.0, 3e5])
@pytest.mark.parametrize("boxed", [False, True])
def test_rows_beyond_the_others_are_implied(d: int, distance: float, boxed: bool) -> None:
    """A cube, its corners cut off along the diagonal, and two rows far behind its faces."""
    cube = np.concatenate([np.eye(d), -np.eye(d)])
    diagonal = np.full(d, d**-0.5)
    tilted = diagonal + 0.01 * np.arange(d)
    tilted /= np.linalg.norm(tilted)
    normals = np.concatenate([cube, [diagonal, -diagonal, tilted]])
    offsets = np.concatenate([np.full(2 * d, distance), [0.9 * distance * d**0.5, 1.1 * distance * d**0.5]])
    rows = np.concatenate([normals, -np.append(offsets, 2 * distance * d**0.5)[:, None]], axis=1)
    said = proposals(rows, np.arange(len(rows)), 1e7)
    assert (said.state == FREE).all()
    assert (said.value > 0).tolist() == [True] * (2 * d + 1) + [False] * 2
    low, high = (np.full(d, end * distance if boxed else end * np.inf) for end in (-1.0, 1.0))
    small = np.full(len(rows), 1e-15)
    around = RowsAround(rows[:, :-1], rows[:, -1], small, small, np.zeros(d), low, high)
    height = -rows[:, -1]
    half = (height + said.value / 2) / (height + said.value)
    shown = around.alone_beyond(half[:, None] * said.points, np.arange(len(rows)))
    assert shown.tolist() == [True] * (2 * d + 1) + [False] * 2
    implied = (around.implied_in_box if boxed else around.implied_by_basis)(
        np.arange(len(rows)), said.multipliers
    )
    assert implied.tolist() == [False] * (2 * d + 1) + [True] * 2


def test_both_sides_of_facets_in_eight_dimensions() -> None:
    """Every facet between two regions is found from both."""
    network = seeded(0, 8, 6, 4, 1)
    regions = enumerate_regions(network, Polyhedron.box([-1] * 8, [1] * 8), LayerSplit(cells="lp"))
    inner = int((regions.facets.unit >= 0).sum())
    assert 2 * regions.adjacency().number_of_edges() == inner
