"""The walk from a point: it finds what the search tree finds, in the order that it promises."""

from __future__ import annotations

from typing import Literal

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import minimize

from polytope import (
    FacetFlip,
    LayerSplit,
    Network,
    Polyhedron,
    RegionComplex,
    Slice,
    count_regions,
    enumerate_regions,
    mlp,
)
from polytope.engines.budget import Budget
from polytope.engines.walk import Walk, by_hops
from polytope.errors import SolverError
from polytope.ir.boundaries import boundaries
from polytope.regions import facet_search as facets
from tests.networks import NETWORKS, SHARED, convolutions, integer, needs_shared, seeded

Order = Literal["distance", "hops"]

LP = LayerSplit(cells="lp")


def patterns(regions: RegionComplex) -> set[bytes]:
    return {p.tobytes() for p in regions.patterns}


def edges(regions: RegionComplex) -> set[frozenset[bytes]]:
    return {frozenset(regions.patterns[i].tobytes() for i in pair) for pair in regions.neighbours.tolist()}


CASES = [(order, name) for order in ("hops", "distance") for name in NETWORKS]

SLOW = {("distance", "convolutional"), ("distance", "integer_hard_tanh_2-5-5-1"), ("hops", "convolutional")}

# what an order adds does not depend on the activation: the others, and degenerate ones, by hops alone
SLOW |= {("distance", f"{name}_2-5-5-1") for name in ("clip_below", "leaky", "absolute", "integer_absolute")}

SLOW |= {("distance", "integer_3-5-4-1"), ("distance", "relu_4-5-5-1")}


@pytest.mark.parametrize(
    ("order", "name"),
    [pytest.param(*c, marks=[pytest.mark.slow] if c in SLOW else [], id="-".join(c)) for c in CASES],
)
def test_the_walk_finds_the_regions_and_neighbours_of_the_tree(order: Order, name: str) -> None:
    network = NETWORKS[name]()
    domain = Polyhedron.cross_polytope([0.1] * network.input_dim, 1.3)
    walked = enumerate_regions(network, domain, FacetFlip([0.1] * network.input_dim, order))
    tree = enumerate_regions(network, domain, LP)
    assert walked.complete
    assert patterns(walked) == patterns(tree)
    assert edges(walked) == edges(tree)
    assert len(walked.facets.unit) == len(tree.facets.unit)
    real = network.pattern(walked.interior_points) == walked.patterns
    # a unit that is zero on a whole cell has no sign that float64 can see
    assert real.all() or name.startswith("integer")


@pytest.mark.parametrize(
    ("seed", "widths", "regions", "facets"),
    [
        (0, (2, 8, 8, 1), 113, None),
        (0, (3, 8, 1), 93, 232),
        (0, (3, 6, 6, 1), 249, 665),
        pytest.param(0, (4, 6, 6, 1), 469, 1543, marks=pytest.mark.slow),
    ],
)
def test_the_whole_space(seed: int, widths: tuple[int, ...], regions: int, facets: int | None) -> None:
    """Cells and facets between them; another 14 and 8 pairs that differ in one unit touch in no facet."""
    network = seeded(seed, *widths)
    walked = enumerate_regions(network, Polyhedron.whole_space(widths[0]), FacetFlip(order="hops"))
    assert (len(walked), walked.complete) == (regions, True)
    assert facets is None or len(walked.neighbours) == facets
    if widths == (3, 8, 1):
        assert sum(region.is_bounded for region in walked) == 35


def test_hops_are_those_of_the_dual_graph() -> None:
    network = seeded(0, 2, 8, 8, 1)
    regions = enumerate_regions(network, Polyhedron.whole_space(2), FacetFlip([0.3, 0.2], "hops"))
    hops = nx.single_source_shortest_path_length(regions.adjacency(), 0)
    assert [hops[i] for i in range(len(regions))] == sorted(hops.values())


def distance(regions: RegionComplex, i: int, start: np.ndarray) -> float:
    """The distance of a region from a point, by a general optimiser."""
    A, b = regions[i].halfspaces
    found = minimize(
        lambda x: float((x - start) @ (x - start)),
        regions.interior_points[i],
        jac=lambda x: 2 * (x - start),
        constraints={"type": "ineq", "fun": lambda x: b - A @ x, "jac": lambda x: -A},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 200},
    )
    return float(np.sqrt(found.fun))


@pytest.mark.parametrize("d", [2, 3])
def test_distances_ascend(d: int) -> None:
    network, start = seeded(1, d, 8, 6, 1), np.full(d, 0.2)
    domain = Polyhedron.box([-1] * d, [1] * d)
    part = enumerate_regions(network, domain, FacetFlip(start), max_regions=12)
    every = enumerate_regions(network, domain, LP)
    away = np.sort([distance(every, i, start) for i in range(len(every))])[: len(part)]
    which = {p.tobytes(): i for i, p in enumerate(every.patterns)}
    found = [distance(every, which[p.tobytes()], start) for p in part.patterns]
    np.testing.assert_allclose(found, away, atol=1e-5)  # what the general optimiser reaches


@pytest.mark.parametrize("order", ["distance", "hops"])
def test_a_budget_never_passes_for_complete(order: Order) -> None:
    network, domain = seeded(0, 2, 8, 8, 1), Polyhedron.box([-1, -1], [1, 1])
    for limit in (1, 7, 30):
        part = enumerate_regions(network, domain, FacetFlip(order=order), max_regions=limit)
        assert (len(part), part.complete) == (limit, False)
        assert part.upper >= 35
    timed = count_regions(network, domain, FacetFlip(order=order), max_seconds=1e-6)
    assert not timed.complete


@pytest.mark.parametrize("order", ["distance", "hops"])
def test_the_start_may_lie_on_boundaries(order: Order) -> None:
    """All lines and the domain's corner meet in the start."""
    network = mlp(
        [(integer(3, 2, 5, 1).layers[0].maps[0].rows(np.arange(5)), np.zeros(5)), ([[1.0] * 5], [0])]
    )
    for domain in (
        Polyhedron.box([0, 0], [1, 1]),
        Polyhedron.box([-1, -1], [1, 1]),
        Polyhedron.whole_space(2),
    ):
        expected = count_regions(network, domain, LP).lower
        count = count_regions(network, domain, FacetFlip([0, 0], order))
        assert (count.lower, count.complete) == (expected, True)


def test_wrong_starts_are_refused() -> None:
    network, box = seeded(0, 2, 3, 1), Polyhedron.box([-1, -1], [1, 1])
    with pytest.raises(ValueError, match="outside the domain"):
        count_regions(network, box, FacetFlip([2, 0]))
    with pytest.raises(ValueError, match=r"point of R\^2"):
        count_regions(network, box, FacetFlip([0, 0, 0]))
    with pytest.raises(ValueError, match="'distance' or 'hops'"):
        FacetFlip([0, 0], "nearest")  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["distance", "hops"])
@pytest.mark.parametrize("whole", [False, True])
def test_hundreds_of_dimensions(order: Order, whole: bool) -> None:
    """Regions around a sparse image: all real, all different; in the box and in all of R^d."""
    d, rng = 120, np.random.default_rng(0)
    network = mlp(
        [
            (rng.standard_normal((n, m)) / m**0.5, rng.standard_normal(n) / 4)
            for m, n in ((d, 20), (20, 20), (20, 2))
        ]
    )
    start = np.maximum(rng.uniform(-1, 1, d), 0.0)
    domain = Polyhedron.whole_space(d) if whole else Polyhedron.box([0] * d, [1] * d)
    regions = enumerate_regions(network, domain, FacetFlip(start, order), max_regions=40)
    assert len(np.unique(regions.patterns, axis=0)) == len(regions) == 40
    assert domain.contains(regions.interior_points).all()
    assert (network.pattern(regions.interior_points) == regions.patterns).all()
    assert (network.pattern(start) == regions.patterns[0]).all()


@pytest.mark.parametrize("order", ["distance", "hops"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("widths", "regions"),
    [
        ((100, 4, 1), 2**4),  # Zaslavsky: hyperplanes in general position, as many dimensions as hyperplanes
        ((784, 3, 1), 2**3),
        ((150, 3, 3, 1), None),
        pytest.param((784, 3, 3, 1), None, marks=pytest.mark.slow),
    ],
)
def test_small_networks_of_many_inputs_are_completed(
    widths: tuple[int, ...], regions: int | None, whole: bool, order: Order
) -> None:
    """What units do, they do in the window of their normals: its whole space has the same regions."""
    d = widths[0]
    network = seeded(0, *widths)
    domain = Polyhedron.whole_space(d) if whole else Polyhedron.box([-1] * d, [1] * d)
    found = enumerate_regions(network, domain, FacetFlip(np.zeros(d), order))
    assert found.complete
    assert (network.pattern(found.interior_points) == found.patterns).all()
    if regions:
        assert len(found) == regions
        assert len(found.neighbours) == regions * widths[1] // 2
        return
    normals = network.layers[0].maps[0].rows(np.arange(widths[1]))
    window = network.restrict(Slice(np.zeros(d), np.linalg.qr(normals.T)[0].T))
    tree = enumerate_regions(window, Polyhedron.whole_space(widths[1]), LP)
    assert patterns(found) == patterns(tree)
    assert edges(found) == edges(tree)


def test_rows_that_float64_cannot_decide_in_many_dimensions_are_decided_exactly() -> None:
    """A unit behind two others is implied by them on one cell, by no margin at all."""
    d, rng = 90, np.random.default_rng(3)
    W = rng.integers(-3, 4, (2, d)).astype(float)
    network = mlp([(W, [1.0, 2.0]), ([[1.0, 1.0], [2.0, 3.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    for order in ("hops", "distance"):
        found = count_regions(network, Polyhedron.whole_space(d), FacetFlip(np.zeros(d), order))
        assert (found.lower, found.complete) == (4, True)


class Watched(Walk):
    """Checks that on either side of each facet the network takes the patterns that are said."""

    def cross(self, region: int, facets: dict[int, np.ndarray]) -> list[int]:
        """As the base class."""
        if facets:
            normals = self.open(region).rows.rows(np.array(list(facets)))[:, :-1]
            points = np.array(list(facets.values()))
            step = 1e-7 * np.linalg.norm(points - self.points[region], axis=1)[:, None]
            assert (self.network.pattern(points - step * normals) == self.patterns[region]).all()
            behind = [self.behind(region, i) for i in facets]
            assert (self.network.pattern(points + step * normals) == behind).all()
        return super().cross(region, facets)


def assert_two_sides(network: Network, domain: Polyhedron, start: np.ndarray, limit: int) -> None:
    """Walk to so many regions, watched."""
    walk = Watched(network, domain, boundaries(network), Budget(max_regions=limit), None)
    walk.begin(start)
    by_hops(walk)
    assert len(walk.patterns) == limit
    assert walk.tally["crossed"] >= limit - 1


@pytest.mark.parametrize("whole", [False, True])
def test_facets_in_convolutional_networks_have_two_sides(whole: bool) -> None:
    start = np.maximum(np.random.default_rng(1).uniform(-1, 1, 144), 0.0)
    domain = Polyhedron.whole_space(144) if whole else Polyhedron.box([0] * 144, [1] * 144)
    assert_two_sides(convolutions(0), domain, start, 150)


def test_the_time_limit_is_kept_between_decisions() -> None:
    network, box = convolutions(1), Polyhedron.box([0] * 144, [1] * 144)
    for order in ("hops", "distance"):
        found = count_regions(network, box, FacetFlip(np.full(144, 0.3), order), max_seconds=0.5)
        assert not found.complete
        assert found.seconds < 20  # the whole takes many times as long


@needs_shared
@pytest.mark.slow
def test_a_convolutional_network_of_23328_units() -> None:
    from adapters import load

    network = load(SHARED / "models" / "mnist_cnn_avgpool.onnx")
    image = np.load(SHARED / "data" / "mnist_10k.npz")["images"][0].ravel() / 255
    assert_two_sides(network, Polyhedron.box(np.zeros(784), np.ones(784)), image, 100)


@needs_shared
@pytest.mark.slow
def test_a_trained_network_with_784_inputs() -> None:
    from adapters import load

    network = load(SHARED / "models" / "mnist_fc_256x2.onnx")
    image = np.load(SHARED / "data" / "mnist_10k.npz")["images"][0].ravel() / 255
    box = Polyhedron.box(np.zeros(784), np.ones(784))
    regions = enumerate_regions(network, box, FacetFlip(image), max_regions=100)
    assert len(np.unique(regions.patterns, axis=0)) == 100
    assert (network.pattern(regions.interior_points) == regions.patterns).all()


def test_undecided_rows_are_not_left_out_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """With exact arithmetic out of reach, rows may stay undecided: then there are no facets to give."""
    walk = FacetFlip(np.zeros(100), order="hops")
    part = enumerate_regions(seeded(0, 100, 6, 4, 1), Polyhedron.whole_space(100), walk, max_regions=3)
    monkeypatch.setattr(facets, "EXACT_NUMBERS", 0)
    with pytest.raises(SolverError, match="not decided"):
        _ = part.facets


@pytest.mark.parametrize("exponent", [-27, 27])
def test_engines_agree_on_inputs_of_any_size(exponent: int) -> None:
    """Powers of two change no digit: inputs of size 1e-8 and 1e8 give the regions of size 1."""
    for network, inner, outer in ((seeded(0, 2, 6, 5, 1), 17, 71), (seeded(2, 1, 5, 5, 1), 5, 9)):
        d, size = network.input_dim, 2.0**exponent
        scaled = mlp([(np.eye(d) / size, np.zeros(d))]).then(network)
        box = Polyhedron.box([-size] * d, [size] * d)
        for domain, count in ((box, inner), (Polyhedron.whole_space(d), outer)):
            for engine in (FacetFlip([0.1 * size] * d), LP, LayerSplit(cells="lp", solver="highs")):
                found = enumerate_regions(scaled, domain, engine)
                assert (len(found), found.complete) == (count, True)
                assert (scaled.pattern(found.interior_points) == found.patterns).all()
        for region in enumerate_regions(scaled, box):
            A, b = region.halfspaces
            corners = np.array(region.vertices())
            assert (corners @ A.T <= b + 1e-9 * size).all()
            assert Polyhedron(A, b).volume() == pytest.approx(region.volume(), rel=1e-9)
