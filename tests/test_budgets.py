"""Budgets: searches end at any of their looks with what they have, one region at least, and say why."""

from __future__ import annotations

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from math import inf
from pathlib import Path
from time import process_time

import numpy as np
import pytest

import polytope as pt
from adapters import load
from polytope.core.flat_network import flatten
from polytope.core.packed import PackedPatterns
from polytope.engines.budget import Budget, BudgetSpent, free_bytes
from polytope.engines.engine import Engine
from polytope.engines.highs_search import HighsSearch
from polytope.engines.searching import searched
from polytope.engines.vertex_search import VertexSearch
from polytope.ir import Dense, Layer, Network, max_groups, relu
from polytope.ir.boundaries import boundaries
from polytope.ir.by_columns import by_columns
from polytope.ir.convolution import Convolution
from polytope.ir.looking import Look, look, shielded, unwatched, watched
from polytope.ir.maps import Transposed
from polytope.regions.locate import told_patterns
from polytope.runs.batches import Share, run_batch
from tests.command_line import MODEL
from tests.networks import seeded

ENGINES: list[Engine] = [
    pt.LayerSplit(cells="vertices"),
    pt.LayerSplit(cells="lp"),
    pt.LayerSplit(cells="lp", solver="highs"),
    pt.FacetFlip(),
    pt.FacetFlip(order="hops"),
    pt.Sampling(),
    pt.IntegerProgram(),
]
NETWORK, BOX = seeded(0, 2, 8, 6, 1), pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0])


class Looks(Budget):
    """A budget that is spent after so many looks of what is made for a search."""

    def __init__(self, allowed: int = 0) -> None:
        super().__init__()
        self.allowed = allowed

    def _look(self, wanted: int, grace: float) -> None:
        self.allowed -= 1
        if self.allowed < 0:
            raise BudgetSpent


def told(region_patterns: np.ndarray, points: np.ndarray) -> bool:
    """Whether the points are in the regions."""
    return all((NETWORK.pattern(x[None])[0] == p).all() for p, x in zip(region_patterns, points, strict=True))


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize("limit", ["max_seconds", "max_memory"])
def test_a_search_without_time_or_memory_has_a_region_and_says_why_it_ended(
    engine: Engine, limit: str
) -> None:
    spent = {"max_seconds": 1e-9} if limit == "max_seconds" else {"max_memory": 1}
    found = pt.enumerate_regions(NETWORK, BOX, engine, **spent)  # type: ignore[arg-type]
    assert not found.complete
    assert found.stopped_by == limit.removeprefix("max_")
    assert 1 <= len(found) < found.upper
    assert told(found.patterns, found.interior_points)
    assert BOX.contains(found.interior_points).all()
    counted = pt.count_regions(NETWORK, BOX, engine, **spent)  # type: ignore[arg-type]
    assert (counted.complete, counted.stopped_by) == (False, found.stopped_by)
    assert 1 <= counted.lower < counted.upper


def test_only_a_search_that_was_stopped_names_a_limit() -> None:
    assert pt.enumerate_regions(NETWORK, BOX).stopped_by is None
    assert pt.enumerate_regions(NETWORK, BOX, max_regions=3).stopped_by == "regions"
    assert pt.count_regions(NETWORK, BOX, max_regions=3).stopped_by == "regions"


@pytest.mark.parametrize("engine", [HighsSearch(), pt.FacetFlip(), pt.FacetFlip(order="hops")], ids=repr)
def test_a_search_that_ends_at_any_look_has_found_regions_and_bounds_all(engine: Engine) -> None:
    """However many looks are allowed: each region found is one of them, once, and the bound holds."""
    every = {p.tobytes() for p in pt.enumerate_regions(NETWORK, BOX).patterns}
    sizes = []
    for allowed in (0, 1, 10, 40, 200, 1000, 5000, 10**9):
        budget = Looks(allowed=allowed)
        found = searched(engine, NETWORK, BOX, budget=budget, keep="cells", progress=None)
        names = {p.tobytes() for p in found.patterns}
        assert names <= every
        assert len(names) == found.n_regions == len(found.interior_points)
        assert told(found.patterns, found.interior_points)
        assert found.upper >= len(every)
        assert found.complete == (names == every)
        sizes.append(found.n_regions)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, len(every))
    assert any(0 < n < len(every) for n in sizes)


@pytest.mark.parametrize("engine", [pt.LayerSplit(cells="vertices"), pt.LayerSplit(cells="lp")], ids=repr)
def test_what_is_made_before_a_native_search_ends_at_a_look(engine: pt.LayerSplit) -> None:
    network, box = seeded(1, 2, 7, 5, 1), pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0])  # made by nobody yet
    chosen = engine.choose(network, box)
    found = searched(chosen, network, box, budget=Looks(), keep="cells", progress=None)
    assert (found.n_regions, found.open_cells, found.complete) == (0, ((),), False)
    whole = searched(chosen, network, box, budget=Looks(allowed=10**9), keep="cells", progress=None)
    assert whole.complete
    assert found.upper >= whole.n_regions
    again = searched(chosen, network, box, budget=Looks(), keep="cells", progress=None)
    assert again.complete  # what was made before is kept


def refuses(wanted: int) -> None:
    """Ends what takes memory."""
    if wanted:
        raise BudgetSpent


def test_passes_and_matrices_look_between_their_steps() -> None:
    looks: list[int] = []
    kernel = np.arange(54.0).reshape(3, 2, 3, 3)
    convolution = Convolution(kernel, (2, 5, 6), (2, 1), (1, 1), ((1, 0), (1, 1)))
    dense = convolution.apply(np.eye(convolution.shape[1]))
    for linear, matrix in ((convolution, dense), (Transposed(convolution), dense.T)):
        with watched(looks.append):
            rows, columns = linear.to_sparse(), by_columns(linear)
        assert (rows.toarray() == matrix).all()
        assert (columns.toarray() == matrix).all()
    assert len(looks) >= 3 + 2 + 2 + 3  # each channel
    assert max(looks) >= 12 * convolution.to_sparse().nnz  # told before the memory is taken
    assert convolution.longest_row == np.diff(convolution.to_sparse().indptr).max()
    assert convolution.longest_column == np.diff(convolution.to_columns().indptr).max()
    layer = Layer((0,), (Transposed(convolution),), np.zeros(convolution.shape[1]))
    with watched(refuses):
        assert layer.terms == convolution.longest_column  # no matrix is made for that
        assert not layer.has_tiny_numbers
    looks.clear()
    with watched(looks.append):
        NETWORK(np.zeros((1, 2)))
        with shielded():
            NETWORK(np.zeros((1, 2)))
    assert len(looks) == len(NETWORK.layers)
    looks.clear()
    with watched(looks.append):
        flatten(NETWORK, np.zeros((0, 3)), [], np.ones(2), 1)
    assert len(looks) > 2 * len(NETWORK.layers)


def test_what_ends_a_block_ends_it_alone() -> None:
    def end(_: int) -> None:
        raise BudgetSpent

    with pytest.raises(BudgetSpent), watched(end):
        look()
    look()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_block_within_a_block_ends_by_the_first_of_their_clocks(order: tuple[int, int]) -> None:
    """Whichever is inside; and in a shielded block nobody's look ends anything."""
    clocks: list[Look] = [Budget(None, 100.0).look, Budget(None, 1e-9).look]
    for names in (order, (*order, 0), (0, *order)):
        with ExitStack() as blocks:
            for i in names:
                blocks.enter_context(watched(clocks[i]))
            with pytest.raises(BudgetSpent):
                look()
    with watched(clocks[1]), shielded() as outside, watched(clocks[0]):
        look()
        with pytest.raises(BudgetSpent):
            outside(0)
    looks: list[int] = []
    with watched(looks.append), watched(unwatched):
        look(7)
    assert looks == [7]


@pytest.mark.parametrize(
    "engine", [pt.LayerSplit(), pt.LayerSplit(cells="lp"), pt.FacetFlip(), HighsSearch()]
)
@pytest.mark.parametrize("seconds", [None, 1000.0])
def test_a_search_within_a_block_ends_by_the_clock_of_the_block(
    engine: Engine, seconds: float | None
) -> None:
    """A search without a clock, or with a long one: told once regions are found, and long before its end."""
    network, found = seeded(0, 2, 200, 200, 200, 1), [0]
    box = pt.Polyhedron.box([-3, -3], [3, 3])

    def told(_: int) -> None:
        if found[0]:
            raise BudgetSpent

    def progress(regions: int, _: int) -> None:
        found[0] = regions

    budget = Budget(None, seconds)
    with watched(told):
        result = searched(engine, network, box, budget=budget, keep="count", progress=progress)
    assert 0 < result.n_regions < 100_000
    assert not result.complete


def test_half_of_what_is_free_is_the_limit_of_memory_by_default() -> None:
    budget = Budget()
    free = free_bytes()
    assert free is None or 0 < free < 2**60
    assert not budget.limited
    assert not budget.full()
    assert budget.full(wanted=2**60) == (free is not None)
    assert Budget(max_memory=2**62).full(wanted=2**60) is False


def test_a_batch_has_its_limit_of_memory_and_tells_of_it() -> None:
    problem = pickle.dumps((NETWORK, BOX, VertexSearch()))
    full = run_batch(problem, ((),), Share(50, 10.0, memory=1), "cells")
    assert (full.stopped_by, full.regions) == ("memory", 0)
    assert [path for path, _ in full.left] == [()]
    part = run_batch(problem, ((),), Share(10, 10.0, added=2**40), "cells")
    assert (part.stopped_by, part.regions) == (None, 10)
    assert Share(1, 1.0, memory=5).budget().max_memory == 5
    assert Share(1, 1.0).budget().patience == inf


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_are_full_end_a_run_that_can_be_resumed(tmp_path: Path, workers: int) -> None:
    engine, directory = pt.LayerSplit(workers=workers), tmp_path / "run"
    part = pt.enumerate_regions(NETWORK, BOX, engine, directory=directory, max_memory=1)
    assert (part.complete, part.stopped_by) == (False, "memory")
    whole = pt.enumerate_regions(NETWORK, BOX, engine, directory=directory, resume=True)
    assert len(whole) == len(pt.enumerate_regions(NETWORK, BOX))
    assert whole.stopped_by is None


def test_an_executor_that_is_full_ends_a_count() -> None:
    with ThreadPoolExecutor(2) as threads:
        found = pt.count_regions(NETWORK, BOX, executor=threads, max_memory=1)
    assert (found.complete, found.stopped_by) == (False, "memory")


def test_verbs_without_time_say_what_they_do_not_know() -> None:
    hard = seeded(0, 4, 16, 16, 2)
    box = pt.Polyhedron.box([-1.0] * 4, [1.0] * 4)
    use = pt.prove_units(hard, box, max_seconds=1e-9)
    exact = pt.prove_units(hard, box)
    assert not (use.fixed & ~exact.fixed).any()
    assert not (use.varying & ~exact.varying).any()
    assert pt.simplify(hard, box, max_seconds=1e-9).network.n_units >= pt.simplify(hard, box).network.n_units
    near = pt.robustness_radius(hard, [0.1] * 4, domain=box, max_seconds=1e-9)
    true = pt.robustness_radius(hard, [0.1] * 4, domain=box)
    assert near.lower <= true.value
    assert near.value >= true.lower


def test_ties_of_constants_do_not_hide_the_first_region() -> None:
    """Members of a maximum that are the same constant all over a region, as behind units that are off."""
    off = Layer((0,), (Dense(np.eye(2)),), np.array([-5.0, -5.0]), relu())
    level = Layer((1,), (Dense(np.ones((4, 2))),), np.full(4, 0.07), max_groups([[0, 1], [2, 3]]))
    network = Network((2,), (off, level, Layer((2,), (Dense(np.eye(2)),), np.zeros(2))))
    patterns, told = told_patterns(network, boundaries(network), np.full((1, 2), 0.3))
    assert told.all()
    assert patterns.tolist() == pt.enumerate_regions(network, BOX).patterns.tolist() == [[0, 0, 0, 0]]
    assert len(pt.enumerate_regions(network, BOX, max_seconds=1e-9)) == 1


def test_a_middle_on_a_boundary_does_not_hide_the_first_region() -> None:
    network = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    found = pt.enumerate_regions(network, pt.Polyhedron.box([-1], [1]), max_seconds=1e-9)
    assert found.patterns.tolist() in ([[0, 1]], [[1, 0]])


def test_exact_programs_in_many_dimensions_end_with_the_budget() -> None:
    """Regions of digits in the whole cube of 64 dimensions: the first rational programs take minutes."""
    network, before = load(MODEL), process_time()
    found = pt.count_regions(network, pt.Polyhedron.box([0] * 64, [1] * 64), max_seconds=2)
    assert process_time() - before < 20
    assert not found.complete
    assert 1 <= found.lower < found.upper
    assert found.stopped_by == "seconds"


def test_a_region_of_a_window_keeps_a_bit_a_unit_and_little_else() -> None:
    """What grows with a window of a large network: patterns, packed until they are read, and 64 bytes."""
    network, box = seeded(0, 2, 1500, 1500, 1), pt.Polyhedron.box([-1, -1], [1, 1])
    pt.enumerate_regions(network, box, max_regions=10)
    sizes = []
    for most in (1000, 5000):
        tracemalloc.start()
        found = pt.enumerate_regions(network, box, max_regions=most)
        traced = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        kept = found.found.kept_patterns
        assert isinstance(kept, PackedPatterns)
        assert kept.bits.nbytes == len(found) * (network.n_units // 8)
        sizes.append((len(found), traced, found.interior_points.nbytes))
    (few, less, _), (many, more, points) = sizes
    assert more - less < 64 * (many - few)
    assert points == 16 * many
