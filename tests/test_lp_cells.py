"""The compiled simplex search: the same cells as HiGHS and as vertex cells, on every kind of network."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from polytope import LayerSplit, Network, Polyhedron, count_regions, enumerate_regions, mlp
from polytope.core.vertex_cells import explore
from polytope.engines.budget import Budget
from polytope.engines.simplex_search import SimplexSearch
from polytope.ir import Dense, Layer, max_groups, relu
from tests.networks import KNOWN_REGIONS, file_network, integer, needs_shared, seeded, seeds, unit_box_of
from tests.vertex_cases import KINDS, random_case

SIMPLEX = LayerSplit(cells="lp", solver="simplex")
HIGHS = LayerSplit(cells="lp", solver="highs")

HIGHER = {"8-16-16-1": 501_023, "10-12-12-1": 70_102, "20-16-1": 65_536}
SMALL = [name for name, count in KNOWN_REGIONS.items() if count < 30_000]
LISTED = [pytest.param(n, marks=[pytest.mark.slow] if KNOWN_REGIONS[n] > 10_000 else []) for n in SMALL]


@needs_shared
@pytest.mark.parametrize("name", [*SMALL, *HIGHER])
def test_known_counts(name: str) -> None:
    network = file_network(name)
    count = count_regions(network, Polyhedron.box(*unit_box_of(network)), SIMPLEX)
    assert (count.lower, count.upper) == 2 * ((KNOWN_REGIONS | HIGHER)[name],)


@needs_shared
@pytest.mark.parametrize("name", [*LISTED, pytest.param("10-12-12-1", marks=pytest.mark.slow)])
def test_regions_are_found_once_and_hold_their_points(name: str) -> None:
    """In the suite of up to 10,000 regions; all files where slow tests run too."""
    network = file_network(name)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), SIMPLEX)
    assert len(np.unique(regions.patterns, axis=0)) == len(regions) == (KNOWN_REGIONS | HIGHER)[name]
    assert (network.pattern(regions.interior_points) == regions.patterns).all()


def patterns_of(network: Network, domain: Polyhedron, engine: LayerSplit) -> set[bytes]:
    return {p.tobytes() for p in enumerate_regions(network, domain, engine).patterns}


def assert_same_as_vertex_cells(network: Network, domain: Polyhedron) -> None:
    expected = explore(network, domain, keep="cells")
    assert patterns_of(network, domain, SIMPLEX) == {p.tobytes() for p in expected.patterns}
    assert count_regions(network, domain, SIMPLEX).lower == expected.n_regions


@pytest.mark.parametrize("seed", seeds(40, 20))
def test_random_small_networks(seed: int) -> None:
    assert_same_as_vertex_cells(*random_case(seed))


@pytest.mark.parametrize(
    "seed", [0, 1, 2, 4, *(pytest.param(i, marks=pytest.mark.slow) for i in (3, *range(5, 12)))]
)
def test_random_networks_of_more_dimensions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(5, 8))
    kind = KINDS[seed % len(KINDS)]
    network = (integer if seed % 2 else seeded)(seed, d, 4, 3, 1, activation=kind)
    assert_same_as_vertex_cells(network, Polyhedron.box([-1] * d, [1] * d))


@pytest.mark.parametrize("seed", range(10))
def test_random_max_groups(seed: int) -> None:
    """Groups that share members, over integer and over generic layers, in a box and in a cross-polytope."""
    rng = np.random.default_rng(seed)
    d, n, m = int(rng.integers(1, 5)), 5, 3
    members = [rng.choice(n, int(rng.integers(1, 4)), replace=False).tolist() for _ in range(m)]
    groups = max_groups([group + [-1] * (3 - len(group)) for group in members])

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape).astype(float) if seed % 2 else rng.standard_normal(shape)

    layers = (
        Layer((0,), (Dense(draw(n, d)),), draw(n), groups),
        Layer((1,), (Dense(draw(4, m)),), draw(4), relu()),
        Layer((2,), (Dense(draw(1, 4)),), draw(1)),
    )
    box = Polyhedron.box([-1] * d, [1] * d)
    domain = box if seed % 3 else Polyhedron.cross_polytope([0.1] * d, 1.3)
    assert_same_as_vertex_cells(Network((d,), layers), domain)


@pytest.mark.parametrize("gap", [1e-300, 1e-30, 1e-12, 0.0])
def test_a_hair_from_a_crossing_is_decided_exactly(gap: float) -> None:
    """Three planes around a prism of size ``gap``: seven regions; through a line: six."""
    first = ([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]], [0.0, 0.0, gap])
    network = mlp([first, ([[1.0, 1, 1]], [0.0])])
    found = enumerate_regions(network, Polyhedron.box([-1] * 3, [1] * 3), SIMPLEX)
    assert len(found) == (7 if gap else 6)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_scales_change_nothing(scale: float, shift: float) -> None:
    """Weights and the box scaled by powers of ten are decided by their own rounding errors."""
    rng = np.random.default_rng(4)
    W, b, V, c = (rng.standard_normal(s) for s in ((6, 4), 6, (5, 6), 5))
    plain = mlp([(W, b), (V, c), (np.ones((1, 5)), [0.0])])
    moved = mlp([(W * scale, (b - W @ np.full(4, shift)) * scale), (V, c * scale), (np.ones((1, 5)), [0.0])])
    expected = count_regions(plain, Polyhedron.box([-1] * 4, [1] * 4), SIMPLEX).lower
    far = Polyhedron.box([shift - 1] * 4, [shift + 1] * 4)
    assert count_regions(moved, far, SIMPLEX).lower == expected


@pytest.mark.parametrize("limit", [1, 5, 50, 500])
def test_open_cells_are_bounded(limit: int) -> None:
    """What a stopped search has found and what its open cells can hold encloses the number of regions."""
    network = seeded(0, 4, 6, 6, 1)
    domain = Polyhedron.box([-1] * 4, [1] * 4)
    whole = count_regions(network, domain, SIMPLEX).lower
    part = count_regions(network, domain, SIMPLEX, max_regions=limit)
    assert part.lower == min(limit, whole)
    assert part.complete == (limit >= whole)
    assert part.lower <= whole <= part.upper


@pytest.mark.parametrize("seconds", [1e-9, 0.02, 0.1])
def test_exact_answers_are_stopped_in_time_too(seconds: float) -> None:
    """Integer weights: most of the time goes into rational arithmetic, and a stop may fall between."""
    network = integer(5, 5, 6, 5, 1)
    domain = Polyhedron.box([-1] * 5, [1] * 5)
    whole = count_regions(network, domain, SIMPLEX)
    part = count_regions(network, domain, SIMPLEX, max_seconds=seconds)
    assert whole.statistics["exact"] > 50
    assert part.lower <= whole.lower <= part.upper


def test_a_search_says_what_decided() -> None:
    network = seeded(0, 4, 8, 8, 1)
    found = count_regions(network, Polyhedron.box([-1] * 4, [1] * 4), SIMPLEX)
    assert {"programs", "pivots", "points", "multipliers", "exact"} <= found.statistics.keys()
    assert 0 < found.statistics["programs"] < 10 * found.lower
    assert found.statistics["exact"] == 0


def test_exact_arithmetic_alone_finds_the_same() -> None:
    """A search that has neither a center nor a dictionary asks exact arithmetic for every sign."""
    network = seeded(1, 3, 4, 3, 1)
    domain = Polyhedron.box([-1] * 3, [1] * 3)
    found = SimplexSearch(floats=False).search(network, domain, budget=Budget(), keep="cells", progress=None)
    assert found.statistics["multipliers"] == found.statistics["ball"] == found.statistics["points"] == 0
    assert found.statistics["exact"] > found.n_regions
    assert {p.tobytes() for p in found.patterns} == patterns_of(network, domain, HIGHS)


@pytest.mark.parametrize("power", [-60, 30, 60])
@pytest.mark.parametrize("solver", ["simplex", "highs"])
def test_a_network_in_another_unit_of_length_has_the_same_regions(power: int, solver: str) -> None:
    """Powers of two round nothing, so the counts are equal."""
    rng, unit = np.random.default_rng(3), 2.0**power
    W, b, V, c = (rng.standard_normal(shape) for shape in ((4, 2), 4, (3, 4), 3))
    counts = []
    for scale in (1.0, unit):
        network = mlp([(W, b * scale), (V, c * scale), (np.ones((1, 3)), np.zeros(1))])
        box = Polyhedron.box([-2 * scale] * 2, [2 * scale] * 2)
        found = count_regions(network, box, LayerSplit(cells="lp", solver=solver))
        assert found.complete
        counts.append(found.lower)
    assert counts[0] == counts[1] == count_regions(network, box, LayerSplit(cells="vertices")).lower


@pytest.mark.parametrize("gap", [1e-6, 1e-8, 1e-10, 1e-12])
def test_lines_that_are_nearly_parallel_meet_far_away(gap: float) -> None:
    """Three lines in the plane that meet in pairs: seven regions, however far away two of them meet."""
    network = mlp([([[0.0, 1.0], [gap, 1.0], [1.0, 0.3]], [0.0, -1.0, 0.2]), (np.ones((1, 3)), [0.0])])
    regions = enumerate_regions(network, Polyhedron.whole_space(2))
    assert regions.complete
    assert len(regions) == 7
    assert (network.pattern(regions.interior_points) == regions.patterns).all()


@pytest.mark.parametrize("far", [1.0, 1e6, 1e8, 1e12])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_hyperplanes_of_any_distance_cut_space_into_as_many_regions(d: int, far: float) -> None:
    """One layer in general position: sum of binomials (Zaslavsky); in a half-space one hyperplane more."""
    rng = np.random.default_rng(d)
    n = 6
    W, b = rng.standard_normal((n, d)), rng.standard_normal(n)
    b[:2] *= far
    network = mlp([(W, b), (np.ones((1, n)), [0.0])])
    regions = enumerate_regions(network, Polyhedron.whole_space(d))
    assert len(regions) == sum(comb(n, k) for k in range(d + 1))
    assert (network.pattern(regions.interior_points) == regions.patterns).all()
    inner = enumerate_regions(network, Polyhedron(W[:1], -b[:1]), HIGHS)
    assert {p.tobytes() for p in inner.patterns} == {p.tobytes() for p in regions.patterns if p[0] == 0}


def test_equal_units_in_a_half_space() -> None:
    """Two equal lines cross the plane x + y <= 2 and each other nowhere: as one line."""
    W = [[1.0, 2.0], [1.0, 2.0], [1.0, -1.0]]
    network = mlp([(W, [-1.0, -1.0, 0.5]), (np.ones((1, 3)), [0.0])])
    half = Polyhedron(np.array([[1.0, 1.0]]), np.array([2.0]))
    assert {tuple(p) for p in enumerate_regions(network, half).patterns.tolist()} == {
        (0, 0, 0),
        (0, 0, 1),
        (1, 1, 0),
        (1, 1, 1),
    }


@pytest.mark.parametrize("engine", [SIMPLEX, HIGHS, LayerSplit()], ids=["simplex", "highs", "auto"])
def test_columns_of_a_table_as_they_are(engine: LayerSplit) -> None:
    """A time, an age, a balance and shares: the regions that columns from -1 to 1 have."""
    low = np.array([1.6e9, 18, 0, 0, 0, 0, 0])
    high = np.array([1.7e9, 90, 250000, 1, 1, 1, 10])
    rng = np.random.default_rng(0)
    W, b, V, c = (rng.standard_normal(shape) for shape in ((5, 7), 5, (4, 5), 4))
    even = mlp([(W, b), (V, c), (np.ones((1, 4)), [0.0])])
    raw = W * 2 / (high - low)
    given = mlp([(raw, b - raw @ (high + low) / 2), (V, c), (np.ones((1, 4)), [0.0])])
    expected = enumerate_regions(even, Polyhedron.box([-1] * 7, [1] * 7), SIMPLEX)
    domain = Polyhedron.box(low, high)
    found = enumerate_regions(given, domain, engine)
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in expected.patterns}
    assert domain.contains(found.interior_points).all()


def test_small_coefficients_of_a_domain_count() -> None:
    """The strip |x + 1e-10 y| <= 1 reaches x = 101 where y reaches 1e12: the breakpoint at x = 50 cuts it."""
    network = mlp([([[1.0, 0.0]], [-50.0]), ([[1.0]], [0.0])])
    rows = np.array([[1, 1e-10], [-1, -1e-10], [0, 1], [0, -1]])
    domain = Polyhedron(rows, np.array([1, 1, 1e12, 1e12]))
    for engine in (LayerSplit(), SIMPLEX, HIGHS):
        assert len(enumerate_regions(network, domain, engine)) == 2
