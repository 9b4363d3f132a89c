"""Ranges of outputs by branch and bound: as the regions' vertices say, never inside of what samples reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.sparse import csr_array

import polytope as pt
from polytope.core.limits import BudgetSpent
from polytope.exact.cells import ExactCells
from polytope.exact.program import maximise
from polytope.ir import Layer, Network, Sparse, relu
from polytope.ir.looking import watched
from tests.networks import NETWORKS, convolutional, grouped, pooled, seeded, unit_box_of


def range_by_regions(network: Network, domain: pt.Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest outputs by a rational program on each region, rounded."""
    cells = ExactCells(network, domain.rows, domain.b)
    regions, ends = pt.enumerate_regions(network, domain), []
    for pattern in regions.patterns:
        rows, outputs = [row.row for row in cells.rows(pattern)], cells.exact.outputs(pattern)
        functions, scale = outputs.integers.tolist(), 2**outputs.exponent
        most = [[maximise(rows, [sign * v for v in f]).value for sign in (-1, 1)] for f in functions]
        ends.append([[-float(a / scale), float(b / scale)] for a, b in most])
    return np.array(ends)[:, :, 0].min(axis=0), np.array(ends)[:, :, 1].max(axis=0)


MAXIMA = {
    "deep": pooled(1, [[0, 1, 2], [3, 4, 5]]),
    "relu": pooled(2, [[0, 1, 2, 3], [2, 4, -1, -1]], front=relu()),
}


@pytest.mark.parametrize("name", [*NETWORKS, *MAXIMA])
def test_ranges_are_those_of_the_regions(name: str) -> None:
    network = MAXIMA[name] if name in MAXIMA else NETWORKS[name]()
    domain = pt.Polyhedron.box(*unit_box_of(network))
    low, high = range_by_regions(network, domain)
    found = pt.output_range(network, domain)
    assert found.complete
    for ours, theirs in ((found.low, low), (found.least, low), (found.high, high), (found.greatest, high)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-15, atol=1e-15)
    assert (found.low <= found.least).all()
    assert (found.greatest <= found.high).all()
    np.testing.assert_allclose(np.diag(network(found.least_at)), found.least, atol=1e-9)
    np.testing.assert_allclose(np.diag(network(found.greatest_at)), found.greatest, atol=1e-9)


@pytest.mark.parametrize("network", [seeded(1, 12, 6, 5, 2), convolutional(3), grouped(5)])
@pytest.mark.parametrize("gap", [0.5, 5.0])
def test_ends_are_proved_and_attained(network: Network, gap: float) -> None:
    """In twelve dimensions too; the ends enclose the exact range, and are as near as asked."""
    domain = pt.Polyhedron.box(*unit_box_of(network))
    found, exact = pt.output_range(network, domain, gap=gap), pt.output_range(network, domain)
    y = network(np.random.default_rng(0).uniform(-1, 1, size=(100_000, network.input_dim)))
    assert (found.low <= y.min(axis=0)).all()
    assert (y.max(axis=0) <= found.high).all()
    assert (found.low <= exact.low).all() & (exact.least <= found.least).all()
    assert (found.greatest <= exact.greatest).all() & (exact.high <= found.high).all()
    assert (found.least - found.low <= gap + 1e-12).all()
    assert (found.high - found.greatest <= gap + 1e-12).all()
    low, high = pt.output_bounds(network, domain, gap=gap)
    assert (low == found.low).all()
    assert (high == found.high).all()


def test_a_polytope_that_is_no_box() -> None:
    """X + y over the cross-polytope is at most 1, in its box 2."""
    network = pt.mlp([(np.eye(2), np.zeros(2)), ([[1.0, 1.0]], [0.0])])
    found = pt.output_range(network, pt.Polyhedron.cross_polytope([0.0, 0.0], 1.0))
    assert (found.low.item(), found.high.item(), found.greatest.item()) == (0.0, 1.0, 1.0)


def test_without_time_the_ends_hold() -> None:
    network = seeded(4, 20, 30, 30, 2)
    domain = pt.Polyhedron.box([-1] * 20, [1] * 20)
    found = pt.output_range(network, domain, max_seconds=1e-6)
    assert not found.complete
    y = network(np.random.default_rng(0).uniform(-1, 1, size=(10_000, 20)))
    assert (found.low <= y.min(axis=0)).all()
    assert (y.max(axis=0) <= found.high).all()
    low, high = pt.output_bounds(network, domain)
    assert (low * (1 + 1e-9) <= found.low).all()  # bounds of sums, and of their negatives, are rounded
    assert (found.high <= high * (1 + 1e-9)).all()


def test_ends_hold_whenever_time_ends() -> None:
    """Ended after any number of looks; without a single one no point was tried."""
    network = seeded(4, 6, 9, 8, 3)
    domain = pt.Polyhedron.box([-1] * 6, [1] * 6)
    y = network(np.random.default_rng(0).uniform(-1, 1, size=(10_000, 6)))
    widths = []
    for allowed in (0, 1, 3, 8, 30, 200, 3000):
        looks = iter(range(allowed))

        def told(_: int, looks: Iterator[int] = looks) -> None:
            if next(looks, None) is None:
                raise BudgetSpent

        with watched(told):
            found = pt.output_range(network, domain)
        assert (found.low <= y.min(axis=0)).all() & (y.max(axis=0) <= found.high).all()
        assert (found.low <= found.least).all() & (found.greatest <= found.high).all()
        widths.append(float((found.high - found.low).max()))
        if allowed == 0:
            assert np.isinf([found.least, found.greatest]).all()
            assert np.isnan(found.least_at).all()
        elif np.isfinite(found.least).all():
            assert (np.diag(network(found.least_at)) <= found.least + 1e-9).all()
            assert (np.diag(network(found.greatest_at)) >= found.greatest - 1e-9).all()
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] == np.inf


def test_many_outputs_share_the_points_that_they_attain() -> None:
    """Of 30,000 outputs no table of outputs by outputs is made (7 GB), nor one of points."""
    rows = csr_array((np.ones(30_000), (np.arange(30_000), np.arange(30_000) % 8)), shape=(30_000, 8))
    network = seeded(0, 4, 8, 8).then(pt.Network((8,), (Layer((0,), (Sparse(rows),), np.zeros(30_000)),)))
    found = pt.output_range(network, pt.Polyhedron.box([-1] * 4, [1] * 4), max_seconds=1e-9)
    assert not found.complete
    assert len(found.points) < 100
    assert found.least_at.shape == (30_000, 4)


def test_what_is_refused() -> None:
    network = seeded(0, 2, 3, 1)
    with pytest.raises(ValueError, match="from 0 on, not -1"):
        pt.output_range(network, pt.Polyhedron.box([0, 0], [1, 1]), gap=-1.0)
    with pytest.raises(pt.errors.UnboundedDomainError):
        pt.output_range(network, pt.Polyhedron.whole_space(2))
