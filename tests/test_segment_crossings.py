"""Crossings on many segments at once: those of the exact search, with and without room for all of them."""

import time
from itertools import pairwise

import numpy as np
import pytest
import torch

import polytope as pt
from adapters import from_torch
from tests.networks import NETWORKS, seeded


def pooled() -> pt.Network:
    """Convolutions, a skip and two overlapping poolings by maxima."""

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(1, 2, 3, 1, 1)
            self.second = torch.nn.Conv2d(2, 2, 3, 1, 1)
            self.pool = torch.nn.MaxPool2d(3, 2, 1)
            self.last = torch.nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.pool(torch.relu(self.first(x)))
            return self.last(self.pool(torch.relu(self.second(x) + x)).flatten(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return from_torch(Pooled().eval(), torch.zeros(1, 1, 4, 4))


CASES = {**NETWORKS, "pooled": pooled, "wide": lambda: seeded(1, 6, 40, 40, 1)}


@pytest.mark.parametrize("name", CASES)
def test_they_are_the_exact_ones_in_float64(name: str) -> None:
    """As many, of the same units, with parameters off by rounding; so too interval by interval."""
    network = CASES[name]()
    a, b = np.random.default_rng(3).uniform(-2, 2, (2, network.input_dim))
    exact = pt.crossings(network, a, b)
    t = np.repeat(exact.t, [len(units) for units in exact.units])
    units = np.concatenate([*exact.units, np.zeros(0, int)])
    widest = max(network.input_dim, *(len(layer.bias) for layer in network.layers))
    for memory in ("256MB", 16 * 12 * widest, 1):  # a dozen cuts or fewer at a time; some always fit
        found = pt.segment_crossings(network, a, b, memory=memory)
        assert found.complete
        assert found.counts.tolist() == [len(t)]
        order = np.lexsort((found.units, found.t.round(12)))
        expected = np.lexsort((units, t.round(12)))
        assert found.units[order].tolist() == units[expected].tolist()
        assert np.abs(found.t - t).max(initial=0) < 1e-12  # entries of size 1, at most 12 layers


@pytest.mark.parametrize("seed", range(20))
def test_units_that_change_together_are_all_found(seed: int) -> None:
    """Small whole numbers: crossings coincide, and units vanish at ends and along stretches."""
    rng, widths = np.random.default_rng(seed), [3, 6, 5, 2]
    network = pt.mlp(
        [
            (rng.integers(-2, 3, (out, n)).astype(float), rng.integers(-1, 2, out).astype(float))
            for n, out in pairwise(widths)
        ]
    )
    a, b = rng.integers(-3, 4, (2, 3)).astype(float)
    exact, found = pt.crossings(network, a, b), pt.segment_crossings(network, a, b)
    pairs = [(round(float(t), 9), unit) for t, us in zip(exact.t, exact.units, strict=True) for unit in us]
    assert sorted(zip(found.t.round(9).tolist(), found.units.tolist(), strict=True)) == sorted(pairs)


def test_many_segments_at_once_are_each_alone() -> None:
    network = pooled()
    a, b = np.random.default_rng(0).normal(size=(2, 9, 1, 4, 4))
    together = pt.segment_crossings(network, a, b)
    for memory in ("256MB", 16 * 4000):
        one_by_one = pt.segment_crossings(network, a[0], b, memory=memory)
        assert one_by_one.complete
        assert len(one_by_one.reach) == 9
        alone = pt.segment_crossings(network, a[0], b[3])
        chosen = one_by_one.segment == 3
        assert one_by_one.units[chosen].tolist() == alone.units.tolist()
        np.testing.assert_allclose(one_by_one.t[chosen], alone.t, rtol=0, atol=1e-13)
    first = together.segment == 0
    assert together.units[first].tolist() == pt.segment_crossings(network, a[0], b[0]).units.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_a_maximum_of_flat_units_changes_where_one_of_them_rises(seed: int) -> None:
    """Not at the crossing in front of it, where rounding leaves a unit next to zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3), torch.nn.ReLU(), torch.nn.MaxPool1d(4, 1))
        network = from_torch(model, torch.zeros(1, 1, 20))
    a, b = np.random.default_rng(seed).normal(size=(2, 20))
    exact, found = pt.crossings(network, a, b), pt.segment_crossings(network, a, b)
    pairs = [(t, unit) for t, units in zip(exact.t, exact.units, strict=True) for unit in units]
    assert sorted(found.units) == sorted(unit for _, unit in pairs)
    for t, unit in pairs:
        assert np.abs(found.t[found.units == unit] - t).min() < 1e-12


def test_crossings_at_ends_and_touches_do_not_count() -> None:
    """A unit that is zero at one end or the other, and one that is zero all along."""
    network = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    found = pt.segment_crossings(network, [[0.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]], [[1, 0], [0, 0], [1, 0]])
    assert found.segment.tolist() == [2]
    assert found.t.tolist() == [0.5]
    assert found.units.tolist() == [0]


def test_time_that_is_spent_leaves_a_beginning_that_is_complete() -> None:
    """``reach`` says how far it is, and up to there nothing is missing."""
    network = seeded(0, 8, 300, 300, 300, 1)
    a, b = np.random.default_rng(1).normal(size=(2, 8))
    whole = pt.segment_crossings(network, a, b)
    started = time.process_time()
    part = pt.segment_crossings(network, a, b, max_seconds=0.15, memory=16 * 300 * 8)
    assert time.process_time() - started < 5
    assert whole.complete
    assert not part.complete
    assert 0 <= part.reach[0] < 1
    inside = whole.t < part.reach[0]
    assert part.units.tolist() == whole.units[inside].tolist()
    assert "of the length of 1 segment, estimate in float64" in repr(part)
    assert repr(whole).startswith(f"SegmentCrossings({len(whole):,} on all of 1 segment")


def test_values_held_at_once_stay_within_the_memory_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 16 times the cuts that there is room for, no layer ever holds more numbers than asked."""
    from polytope.measures.local_complexity import segments

    network = seeded(0, 8, 200, 200, 1)
    a, b = np.random.default_rng(1).normal(size=(2, 8))
    most, insert = [], segments.Cuts.insert

    def measured(self: segments.Cuts, after: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        fresh = insert(self, after, share)
        most.append(sum(h.numel() for h in self.values.values()))
        return fresh

    monkeypatch.setattr(segments.Cuts, "insert", measured)
    whole = pt.segment_crossings(network, a, b)
    needed = max(most)
    most.clear()
    part = pt.segment_crossings(network, a, b, memory=16 * needed // 16)
    assert part.units.tolist() == whole.units.tolist()
    assert max(most) <= needed // 16


def test_points_that_are_none_are_named() -> None:
    network = seeded(0, 2, 3, 1)
    with pytest.raises(ValueError, match=r"b: expected points of shape \[B, 2\]"):
        pt.segment_crossings(network, [[0, 0]], [[1, 2, 3]])
    with pytest.raises(ValueError, match="a: point 1 is not finite"):
        pt.segment_crossings(network, [[0, 0], [0, np.nan]], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="2 and 3 points are no ends of segments"):
        pt.segment_crossings(network, np.zeros((2, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="memory"):
        pt.segment_crossings(network, [[0, 0]], [[1, 2]], memory="much")
    for device in ("no such device", "meta", 3):
        with pytest.raises(ValueError, match="none that PyTorch can compute on here"):
            pt.segment_crossings(network, [[0, 0]], [[1, 2]], device=device)  # type: ignore[arg-type]
    none = pt.segment_crossings(network, np.zeros((0, 2)), np.zeros((0, 2)))
    assert none.complete
    assert len(none) == 0
