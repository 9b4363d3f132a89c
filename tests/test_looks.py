"""What takes long or much memory looks before its steps, in domains of many dimensions too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_array

import polytope as pt
from polytope.batched import BatchedNetwork
from polytope.bounds.branching.units import fixed_pieces
from polytope.bounds.output_bounds import bounds_over_box
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.highs_search import HighsSearch
from polytope.engines.sampling import NUMBERS, TOGETHER, in_parts, random_points
from polytope.engines.searching import a_region, searched
from polytope.ir import Layer, MaxGroups, Network, PiecewiseLinear, Sparse, relu
from polytope.ir.boundaries import _collected, _layer_boundaries, boundaries
from polytope.ir.looking import look, watched
from polytope.ir.splines import smooth_spline
from polytope.measures.margins import class_of, margin_network
from polytope.report.clock import Clock
from tests.networks import seeded


@dataclass
class Looks:
    """Ends what is watched after so many looks; counts them and the bytes that steps ask for."""

    allowed: float = np.inf
    count: int = 0
    most: int = 0

    def __call__(self, wanted: int) -> None:
        """Before a step."""
        self.count += 1
        self.most = max(self.most, wanted)
        if self.count > self.allowed:
            raise BudgetSpent


def wide(d: int, out: int = 3) -> Network:
    """A network on d inputs with few entries: a unit on each pair of neighbours, and a few outputs."""
    at = np.arange(d)
    pairs = csr_array((np.ones(2 * d), (np.tile(at, 2), np.append(at, (at + 1) % d))), shape=(d, d))
    last = csr_array((np.linspace(-1, 1, d), (at % out, at)), shape=(out, d))
    first = Layer((0,), (Sparse(pairs),), np.linspace(-3, 3, d), relu())
    return Network((d,), (first, Layer((1,), (Sparse(last),), np.zeros(out))))


def test_bytes_that_a_step_takes_are_time_too() -> None:
    Budget(None, 100.0).look(2**30)
    for step in (Budget(None, 100.0).look, Budget(None, 100.0).first):
        with pytest.raises(BudgetSpent):
            step(2**40)
    late = Budget(None, 100.0, max_memory=2**62)
    with pytest.raises(BudgetSpent):
        late.look(2**40)
    assert late.stopped_by == "seconds"
    Budget(max_memory=2**62).look(2**40)  # no limit of time


def test_units_proved_before_any_look_are_proved() -> None:
    network = seeded(0, 8, 10, 8, 2)
    box, d = pt.Polyhedron.box([-0.3] * 8, [0.3] * 8), network.n_units
    pattern = network.pattern(np.zeros((1, 8)))[0]
    sizes, looks = [], Looks()
    with watched(looks):
        whole, _ = fixed_pieces(network, box.bounds, pattern, np.arange(d), lambda: False)
    assert looks.count > 20
    for allowed in np.linspace(0, looks.count, 8, dtype=int).tolist():
        with watched(Looks(allowed)):
            proved, points = fixed_pieces(network, box.bounds, pattern, np.arange(d), lambda: False)
        assert not (proved & ~whole).any()
        assert box.contains(points).all()
        sizes.append(int(proved.sum()))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == whole.sum()


def test_samples_go_through_a_network_in_parts_of_bounded_size() -> None:
    network = wide(5000)
    points = np.zeros((1000, 5000))
    parts = [len(part) for part in in_parts(network, points)]
    assert sum(parts) == 1000
    assert max(parts) * network.n_units <= TOGETHER
    box, looks = pt.Polyhedron.box(np.zeros(5000), np.ones(5000)), Looks()
    with watched(looks):
        drawn = [len(some) for some in random_points(box, 1000, np.random.default_rng(0))]
    assert sum(drawn) == 1000
    assert max(drawn) * 5000 <= NUMBERS
    assert looks.count == len(drawn) > 1


def test_margins_of_very_many_outputs_are_sparse() -> None:
    network = wide(64, out=30_000)  # as a table, 7.2 GB
    label, tie = class_of(network, np.linspace(0, 1, 64))
    assert not tie
    margins = margin_network(network, label)
    [rows] = margins.layers[-1].maps
    assert isinstance(rows, Sparse)
    assert rows.matrix.nnz == 2 * 29_999
    x = np.random.default_rng(0).random((3, 64))
    y = network(x)
    assert (margins(x) == np.delete(y[:, [label]] - y, label, axis=1)).all()
    low, high = bounds_over_box(network, np.array([[0.0] * 64, [1.0] * 64]))
    assert ((low <= y) & (y <= high)).all()
    same = pt.equivalent(network, network, pt.Polyhedron.box([0] * 64, [1] * 64))
    assert (same.status, same.proof) == ("equal", "bounds")
    near = pt.robustness_radius(network, x[0], domain=pt.Polyhedron.box([0] * 64, [1] * 64), max_seconds=1e-9)
    assert (near.lower, near.exact) == (0.0, False)


def test_tables_of_gigabytes_are_not_begun_without_the_time_for_them() -> None:
    """Linear programs take the domain's rows as a table, here of 1.3 GB."""
    d = 9000
    network, box = wide(d), pt.Polyhedron.box(np.zeros(d), np.ones(d))
    budget = Budget(None, 1.0)
    found = searched(HighsSearch(), network, box, budget=budget, keep="cells", progress=None)
    assert (found.n_regions, found.complete, budget.stopped_by) == (0, False, "seconds")
    regions = pt.enumerate_regions(network, box, max_seconds=0.01)
    assert (len(regions), regions.stopped_by) == (1, "seconds")


def test_a_network_that_reads_thousands_of_coordinates_is_simplified_and_its_units_proved() -> None:
    d = 9000
    network, box = wide(d), pt.Polyhedron.box(np.zeros(d), np.ones(d))
    biases = network.layers[0].bias
    fixed = (biases >= 0) | (biases <= -2)
    use = pt.prove_units(network, box, samples=50, max_seconds=60, max_regions=1)
    assert (use.fixed <= fixed).all()
    assert (use.fixed[(biases > 0) | (biases < -2)]).all()
    assert (use.varying <= ~fixed).all()
    found = pt.simplify(network, box, use=use, samples=20)
    assert found.network.n_units == d - use.fixed.sum()
    assert found.difference < 1e-12


def test_questions_of_an_audit_end_at_any_look() -> None:
    looks = Looks()
    network = seeded(0, 3, 8, 6, 2)
    with watched(looks):
        assert len(BatchedNetwork(network).layers) == 3
    assert looks.count >= 3
    clock = Clock(100.0, {"regions": 1.0})
    clock.begin("regions")
    assert clock.answered("small steps", lambda: look(2**20) or 1, 0) == 1
    assert clock.answered("a step of a terabyte", lambda: look(2**40) or 1, 0) == 0
    assert [left.what for left in clock.left_out] == ["a step of a terabyte"]
    for ended in (True, False):
        with watched(Looks(0 if ended else np.inf)):
            found = a_region(network, pt.Polyhedron.box([-1] * 3, [1] * 3), Budget())
        assert (found is None) == ended


@pytest.mark.parametrize("name", ["prelu", "clip", "spline", "group"])
def test_boundaries_of_units_that_are_alike_are_those_one_by_one(name: str) -> None:
    """As they are collected unit by unit, with breakpoints of their own too, and -0."""
    rng = np.random.default_rng(0)
    n, t = 5, np.sort(rng.normal(size=(5, 2)), axis=1)
    t[0, 0] = -0.0 if t[0, 1] > 0 else t[0, 0]
    slopes, intercepts = rng.normal(size=(n, 2)), np.zeros((n, 2))
    activation = {
        "prelu": PiecewiseLinear(np.zeros((1, 1)), slopes, intercepts),
        "clip": PiecewiseLinear(
            t, np.tile([0.0, 1.0, 0.0], (n, 1)), np.stack([t[:, 0], 0 * t[:, 0], t[:, 1]], 1)
        ),
        "spline": smooth_spline("gelu", 0.5),
        "group": MaxGroups(np.array([[0, 1, 2], [1, 2, 4], [0, 3, 4], [1, 3, 4], [2, 3, 4]])),
    }[name]
    fast, slow = _layer_boundaries(1, activation, n), _collected(1, activation, n)
    for one, other in (
        (fast.unit, slow.unit),
        (fast.index, slow.index),
        (fast.coefficients, slow.coefficients),
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(fast.offset, slow.offset)
    assert not np.signbit(fast.offset[fast.offset == 0]).any()
    assert tuple(fast.pieces) == slow.pieces
    for field in ("first_piece", "rows_end", "row_boundary", "row_sign"):
        np.testing.assert_array_equal(getattr(fast, field), getattr(slow, field))


def test_boundaries_are_listed_only_while_there_is_time() -> None:
    """Groups of many members have a boundary for every pair: the first region waits for none of them."""
    members = np.arange(400).reshape(4, 100)
    layers = (
        Layer((0,), (Sparse(csr_array(np.ones((400, 3)))),), np.arange(400.0), MaxGroups(members[:, ::-1])),
        Layer((1,), (Sparse(csr_array(np.ones((1, 4)))),), np.zeros(1)),
    )
    network, looks = Network((3,), layers), Looks(allowed=2)
    with pytest.raises(BudgetSpent), watched(looks):
        boundaries(network)
    with watched(looks):
        assert a_region(network, pt.Polyhedron.box([-1] * 3, [1] * 3), Budget(max_seconds=1.0)) is None
