"""The compiled search: the same cells and neighbours as LP cells, on every kind of network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from polytope import Network, Polyhedron, enumerate_regions
from polytope.core import flat_network
from polytope.core.packed import PackedPatterns
from polytope.core.vertex_cells import explore, matched
from polytope.ir import Activation, Dense, Layer, hard_tanh, max_groups, relu
from tests.networks import NETWORKS, seeded, seeds, unit_box_of
from tests.vertex_cases import assert_same_as_lp_cells, edges_by_pattern, random_case


@pytest.mark.parametrize("name", NETWORKS)
def test_family_in_a_box(name: str) -> None:
    network = NETWORKS[name]()
    assert_same_as_lp_cells(network, Polyhedron.box(*unit_box_of(network)))


@pytest.mark.parametrize("name", ["convolutional", "grouped", "integer_3-5-4-1", "relu_1-6-6-1"])
def test_family_in_a_polytope_without_axis_rows(name: str) -> None:
    network = NETWORKS[name]()
    domain = Polyhedron.cross_polytope(np.full(network.input_dim, 0.1), 1.3)
    found = assert_same_as_lp_cells(network, domain)
    assert (found.facets.unit >= -len(domain.A)).all()


@pytest.mark.parametrize("seed", seeds(200, 4))
def test_random_small_networks(seed: int) -> None:
    assert_same_as_lp_cells(*random_case(seed))


@pytest.mark.parametrize("name", NETWORKS)
def test_looking_ahead_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide sparse networks decide later layers early; here every network does."""
    network = NETWORKS[name]()
    box = Polyhedron.box(*unit_box_of(network))
    plain = explore(network, box, keep="cells")
    monkeypatch.setattr(flat_network, "pays_early", lambda units, readers: True)
    early = explore(network, box, keep="cells")
    assert {p.tobytes() for p in early.patterns} == {p.tobytes() for p in plain.patterns}
    assert edges_by_pattern(early.patterns, early.pairs()) == edges_by_pattern(plain.patterns, plain.pairs())
    assert explore(network, box).n_regions == plain.n_regions


@pytest.mark.parametrize("keep", ["count", "cells"])
@pytest.mark.parametrize(("step", "workers"), [(1, 1), (7, 1), (20, 3)])
def test_a_stopped_search_goes_on(keep: str, step: int, workers: int) -> None:
    network = seeded(6, 3, 6, 5, 1)
    box = Polyhedron.box([-1] * 3, [1] * 3)
    whole = explore(network, box, keep="cells")
    part = explore(network, box, keep=keep, max_regions=step, workers=workers)
    total, seen = part.n_regions, [p.tobytes() for p in part.patterns]
    while not part.complete:
        assert total + part.open_bound >= whole.n_regions
        assert part.open_bound <= sum(part.open_bounds)
        start = part.open_cells
        part = explore(network, box, keep=keep, max_regions=step, start=start, workers=workers)
        total += part.n_regions
        seen += [p.tobytes() for p in part.patterns]
    assert total == whole.n_regions
    if keep == "cells":
        assert sorted(seen) == sorted(p.tobytes() for p in whole.patterns)


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_find_the_same(workers: int) -> None:
    network = seeded(2, 2, 24, 16, 8, 1)
    box = Polyhedron.box([-1] * 2, [1] * 2)
    one, many = (explore(network, box, keep="cells", workers=n) for n in (1, workers))
    assert (one.patterns == many.patterns).all(), "what was given away comes in its place"
    assert sorted(one.pairs().tolist()) == sorted(many.pairs(workers=workers).tolist())


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_write_the_same_large_arrays(workers: int) -> None:
    """Arrays of megabytes grow and are joined by pages; neighbours are those of a plain sort by keys."""
    network, box = seeded(2, 4, 32, 32, 1), Polyhedron.box([-1] * 4, [1] * 4)
    one, many = (explore(network, box, keep="cells", workers=n) for n in (1, workers))
    assert isinstance(one.kept_patterns, PackedPatterns)
    assert isinstance(many.kept_patterns, PackedPatterns)
    assert (one.kept_patterns.bits == many.kept_patterns.bits).all()
    assert (one.interior_points == many.interior_points).all()
    for name in ("offsets", "unit", "key", "more"):
        assert np.array_equal(getattr(one.facets, name), getattr(many.facets, name)), name
    assert one.facets.key.nbytes > 2**22, "large enough for pages of their own"
    cells = np.repeat(np.arange(one.n_regions), np.diff(one.facets.offsets))
    order = np.argsort(one.facets.key, kind="stable")[np.count_nonzero(one.facets.key == 0) :]
    expected = cells[order].reshape(-1, 2) @ [one.n_regions, 1]
    for pairs in (one.pairs(), many.pairs(workers=workers)):
        assert np.array_equal(np.sort(pairs @ [one.n_regions, 1]), np.sort(expected))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_any_thread_is_raised(workers: int) -> None:
    """A search that failed must not pass for a complete one."""
    network, box = seeded(2, 2, 6, 5, 1), Polyhedron.box([-1] * 2, [1] * 2)
    wrong = [(1 << 40,)]
    with ThreadPoolExecutor(1) as pool:
        for call in (explore, lambda *a, **k: pool.submit(explore, *a, **k).result()):
            with pytest.raises(ValueError, match="not one of this network"):
                call(network, box, start=wrong, workers=workers)


@pytest.mark.parametrize("kind", [relu(), max_groups([[0, 1], [2, 3], [4, 5], [6, 7]]), hard_tanh()])
@pytest.mark.parametrize("last", [1, 7, 8, 9, 16])
@pytest.mark.parametrize("d", [2, 3])
def test_patterns_are_packed_where_all_units_have_two_pieces(kind: Activation, last: int, d: int) -> None:
    """And are read as the patterns of the interior points, unpacked once."""
    rng = np.random.default_rng(last)
    first = Layer((0,), (Dense(rng.normal(size=(8, d))),), rng.normal(size=8), kind)
    second = Layer((1,), (Dense(rng.normal(size=(last, first.width))),), rng.normal(size=last), relu())
    network = Network((d,), (first, second, Layer((2,), (Dense(np.ones((1, last))),), np.zeros(1))))
    box = Polyhedron.box([-1] * d, [1] * d)
    found = enumerate_regions(network, box)
    assert isinstance(found.found.kept_patterns, PackedPatterns) == (kind.n_pieces(0) == 2)
    assert len(found) > 2
    assert np.array_equal(found.patterns, network.pattern(found.interior_points))
    assert found.patterns is found.patterns
    part = enumerate_regions(network, box, max_regions=3)
    assert np.array_equal(part.patterns, network.pattern(part.interior_points))


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize(
    "cells", [[[5, 9], [5, 7], [5, 7]], [[8, 8], [7, 0], [7]], [[5], [5], [5], [5]], [[0, 3], [0]]]
)
def test_keys_that_are_not_in_one_pair_are_noticed(cells: list[list[int]], places: bool) -> None:
    """Three of one and one of another, two in one cell, four; zeros are not keys."""
    keys = np.concatenate(cells).astype(np.uint64) << np.uint64(60)
    offsets = np.cumsum([0, *map(len, cells)])
    pairs, odd = matched(keys, offsets, places=places)
    assert odd > 0
    assert len(pairs) <= 2
    _, none = matched(keys[:0], offsets[:1], places=places)
    assert none == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_progress_raises_ends_the_search(workers: int) -> None:
    """All threads end, and the caller gets the exception."""
    network = seeded(0, 4, 32, 32, 1)

    def progress(found: int, _: int) -> None:
        if found:
            raise KeyboardInterrupt

    box = Polyhedron.box([-1.0] * 4, [1.0] * 4)
    with pytest.raises(KeyboardInterrupt):
        explore(network, box, progress=progress, workers=workers)
