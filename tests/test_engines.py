"""Laws of a complex of regions, over engines, networks and domains."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from polytope import LayerSplit, Polyhedron, RegionComplex, Sampling, Slice, count_regions, enumerate_regions
from polytope.engines.engine import Engine
from polytope.errors import EmptyDomainError, IncompleteComplexError, UnboundedDomainError
from tests.networks import NETWORKS, integer, seeded, unit_box_of

ENGINES: dict[str, Engine] = {
    "highs": LayerSplit(cells="lp", solver="highs"),
    "simplex": LayerSplit(cells="lp", solver="simplex"),
    "vertices": LayerSplit(cells="vertices"),
}
DOMAINS = ("box", "polytope", "window")


@cache
def complex_of(engine: str, name: str, domain: str) -> RegionComplex:
    """Enumerations are shared between the laws."""
    network = NETWORKS[name]()
    d = network.input_dim
    low, high = unit_box_of(network)
    if domain == "box":
        return enumerate_regions(network, Polyhedron.box(low, high), ENGINES[engine])
    if domain == "polytope":
        return enumerate_regions(network, Polyhedron.cross_polytope([0.1] * d, 1.3), ENGINES[engine])
    corners = np.concatenate([np.zeros((1, d)), np.eye(d)[: min(d, 2)] * 2 - 0.3])
    window, k = network.restrict(Slice.through(*corners)), len(corners) - 1
    return enumerate_regions(window, Polyhedron.box([-1] * k, [1] * k), ENGINES[engine])


# to HiGHS all rows are alike; planes are what vertex cells are for, and to the others the same as a box
TRIED = {"highs": ("box",), "simplex": ("box", "polytope"), "vertices": DOMAINS}
CASES = [(engine, name, domain) for engine in ENGINES for name in NETWORKS for domain in TRIED[engine]]
by_vertices = pytest.mark.parametrize(
    "regions", [c for c in CASES if c[0] == "vertices"], indirect=True, ids="-".join
)


@pytest.fixture(params=CASES, ids="-".join)
def regions(request: pytest.FixtureRequest) -> RegionComplex:
    return complex_of(*request.param)


def points_of(regions: RegionComplex, count: int) -> np.ndarray:
    """Uniform points of the domain, by rejection from its bounding box."""
    corners = regions.domain.vertices()
    low, high = corners.min(axis=0), corners.max(axis=0)
    points = np.random.default_rng(0).uniform(low, high, (8 * count, len(low)))
    return points[regions.domain.contains(points)][:count]


def test_regions_tile_the_domain(regions: RegionComplex) -> None:
    assert regions.complete
    assert len(np.unique(regions.patterns, axis=0)) == len(regions)
    # Qhull's volumes are good to about 1e-12 of the largest cell; thousands of cells add up here.
    assert regions.volumes().sum() == pytest.approx(regions.domain.volume(), rel=1e-9)
    points = points_of(regions, 200)
    where = regions.locate(points)
    assert (where >= 0).all()
    for i in np.unique(where).tolist():
        A, b = regions[i].halfspaces
        assert (points[where == i] @ A.T <= b + 1e-9).all()


def test_points_outside_are_not_located(regions: RegionComplex) -> None:
    corners = regions.domain.vertices()
    assert (regions.locate(corners * 3 + 10) == -1).all()


def test_affine_maps_equal_the_forward_pass(regions: RegionComplex) -> None:
    points = points_of(regions, 100)
    values, where = regions.network(points), regions.locate(points)
    for i in np.unique(where).tolist():
        J, c = regions[i].jacobian
        # float64 sums of a few dozen terms of size at most 1e3
        np.testing.assert_allclose(points[where == i] @ J.T + c, values[where == i], rtol=1e-10, atol=1e-10)


def test_interior_points_are_strictly_inside(regions: RegionComplex) -> None:
    for region in regions:
        A, b = region.halfspaces
        # integer weights in a window make slivers narrower than the rounding of the slacks of float64 rows
        slack = b - A @ region.interior_point
        assert (slack > -1e-15).all()
        assert (slack > 0).all() or region.volume() < 1e-15


def test_crossing_a_facet_flips_the_units_it_names(regions: RegionComplex) -> None:
    graph = regions.adjacency()
    inner = int((regions.facets.unit >= 0).sum())
    # every inner facet is seen from both sides, and both sides name each other
    assert 2 * graph.number_of_edges() == inner
    for i, j, units in graph.edges(data="units"):
        assert set(units) == set(np.flatnonzero(regions.patterns[i] != regions.patterns[j]))
        assert units
    if len(regions) > 1:
        assert all(degree > 0 for _, degree in graph.degree)


def test_linear_regions_and_pieces_are_fewer(regions: RegionComplex) -> None:
    labels = regions.merged()
    assert len(regions) >= labels.max() + 1 >= regions.pieces() >= 1
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        first = regions[int(members[0])].jacobian
        for i in members[1:3].tolist():
            J, c = regions[i].jacobian
            np.testing.assert_allclose(J, first[0], atol=1e-8)
            np.testing.assert_allclose(c, first[1], atol=1e-8)


@by_vertices
def test_sampling_is_a_lower_bound(regions: RegionComplex) -> None:
    found = enumerate_regions(regions.network, regions.domain, Sampling(500))
    assert not found.complete
    assert 1 <= len(found) <= len(regions) <= found.upper
    exact = {p.tobytes() for p in regions.patterns}
    # Generic networks only: a unit that is zero on a whole cell has no clear sign at a sampled point.
    assert {p.tobytes() for p in found.patterns} <= exact


@by_vertices
def test_counting_keeps_nothing_and_agrees(regions: RegionComplex) -> None:
    count = count_regions(regions.network, regions.domain)
    assert (count.lower, count.upper, count.complete) == (len(regions), len(regions), True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", [1, 2, 7, 30])
def test_a_budget_never_passes_for_complete(engine: str, limit: int) -> None:
    network = seeded(0, 2, 8, 8, 1)
    domain = Polyhedron.box(*unit_box_of(network))
    part = enumerate_regions(network, domain, ENGINES[engine], max_regions=limit)
    assert len(part) == limit
    assert not part.complete
    assert part.lower < 35 <= part.upper
    with pytest.raises(IncompleteComplexError, match="larger budget"):
        part.require_complete("A volume")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("widths", "regions"), [((2, 8, 8, 1), 35), ((4, 6, 6, 1), 163)])
def test_more_work_only_shrinks_the_interval(engine: str, widths: tuple[int, ...], regions: int) -> None:
    network = seeded(0, *widths)
    domain = Polyhedron.box(*unit_box_of(network))
    limits = range(1, regions + 1, max(regions // 16, 1))
    counts = [count_regions(network, domain, ENGINES[engine], max_regions=n) for n in limits]
    assert [count.lower for count in counts] == list(limits)
    uppers = [count.upper for count in counts]
    # Serra's bound for 4-6-6 is 2,424, for 2-8-8 it is 1,369
    assert uppers[0] <= {35: 1369, 163: 2424}[regions]
    assert uppers == sorted(uppers, reverse=True)
    assert uppers[-1] >= regions


@pytest.mark.parametrize("engine", ENGINES)
def test_a_budget_of_time_stops_the_search(engine: str) -> None:
    network = seeded(0, 4, 20, 20, 1)
    part = count_regions(network, Polyhedron.box(*unit_box_of(network)), ENGINES[engine], max_seconds=1e-3)
    assert not part.complete
    assert part.lower < part.upper


def test_progress_reports_what_was_found() -> None:
    seen: list[tuple[int, int]] = []
    network = seeded(0, 2, 8, 8, 1)
    enumerate_regions(
        network,
        Polyhedron.box(*unit_box_of(network)),
        progress=lambda found, left: seen.append((found, left)),
    )
    assert seen[-1][0] <= 35
    assert [found for found, _ in seen] == sorted(found for found, _ in seen)


def test_wrong_domains_are_refused() -> None:
    network = integer(0, 2, 3, 1)
    with pytest.raises(ValueError, match=r"R\^3.*R\^2"):
        enumerate_regions(network, Polyhedron.box([0, 0, 0], [1, 1, 1]))
    with pytest.raises(ValueError, match="low\\[1\\] = 2 is above"):
        Polyhedron.box([0, 2], [1, 1])
    with pytest.raises(EmptyDomainError, match="coordinate 0"):
        Polyhedron.box([1, 0], [1, 1])
    empty = Polyhedron(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, -1.0]))
    with pytest.raises(EmptyDomainError, match="empty"):
        enumerate_regions(network, empty)
    with pytest.raises(UnboundedDomainError):
        enumerate_regions(network, Polyhedron.whole_space(2), Sampling(10))
    with pytest.raises(ValueError, match="max_regions"):
        enumerate_regions(network, Polyhedron.box([0, 0], [1, 1]), max_regions=0)
    with pytest.raises(ValueError, match="cells"):
        LayerSplit(cells="vertexes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="solver"):
        LayerSplit(solver="gurobi")  # type: ignore[arg-type]
    with pytest.raises(UnboundedDomainError, match="highs"):
        count_regions(network, Polyhedron.whole_space(2), LayerSplit(cells="lp", solver="simplex"))


def test_unbounded_regions_have_no_volume() -> None:
    regions = enumerate_regions(seeded(0, 2, 3, 1), Polyhedron.whole_space(2))
    unbounded = next(region for region in regions if not region.is_bounded)
    with pytest.raises(UnboundedDomainError, match=r"infinite|hull"):
        unbounded.volume()
