"""Boxes in very many dimensions: kept by their sides, with the answers of the same rows in a table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

import polytope as pt
from polytope.engines.sampling import random_points
from polytope.geometry.equilibrate import equilibrated
from tests.networks import seeded

WIDE = 20_000  # dimensions in which a table of the rows takes 6.4 GB


def sides(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of a box with sides of unlike sizes."""
    rng = np.random.default_rng(d)
    low = rng.standard_normal(d)
    return low, low + rng.random(d) + 0.1


def test_a_box_takes_memory_by_its_sides_and_answers_in_many_dimensions() -> None:
    low, high = sides(WIDE)
    box = pt.Polyhedron.box(low, high)
    assert isinstance(box.rows, csr_array)
    assert box.rows.nnz == 2 * WIDE
    assert (box.dim, box.is_box, box.is_bounded) == (WIDE, True, True)
    assert (box.bounds == [low, high]).all()
    center, radius = box.inscribed_ball
    assert np.allclose(center, (low + high) / 2)
    assert 0.999 * (high - low).min() / 2 < radius <= (high - low).min() / 2 * (1 + 1e-12)
    outside = center.copy()
    outside[7] = np.nextafter(high[7], np.inf)
    assert box.contains(np.array([low, high, center, outside])).tolist() == [True, True, True, False]
    assert box.contains(outside, tolerance=1e-9).all()
    assert box.contains(np.concatenate(list(random_points(box, 8, np.random.default_rng(0))))).all()
    assert str(WIDE * 2)[:2] in repr(box)


def test_a_table_of_many_gigabytes_is_refused_before_it_is_made() -> None:
    box = pt.Polyhedron.box(*sides(WIDE))
    with pytest.raises(
        pt.errors.GeometryError, match=r"40,000 half-spaces.*6\.0 GiB as a table.*sparse rows"
    ):
        _ = box.A


@pytest.mark.parametrize("size", [1.0, 2.0**40])
def test_sparse_rows_and_the_same_rows_in_a_table_answer_alike(size: float) -> None:
    low, high = (size * end for end in sides(70))
    box = pt.Polyhedron.box(low, high)
    table = pt.Polyhedron(box.A, box.b)
    assert isinstance(table.rows, np.ndarray)
    assert (np.concatenate([np.eye(70), -np.eye(70)]) == box.A).all()
    assert (box.unit_rows == table.unit_rows).all()
    assert (box.bounds == table.bounds).all()
    assert (box.inscribed_ball[0] == table.inscribed_ball[0]).all()
    assert box.inscribed_ball[1] == table.inscribed_ball[1]
    corner = np.where(np.arange(70) % 2, low, high)
    points = np.array([corner, np.nextafter(corner, 0), np.nextafter(corner, np.inf), np.full(70, np.nan)])
    assert (box.contains(points) == table.contains(points)).all()
    network = seeded(0, 70, 9, 2)
    scaled, same = equilibrated(network, box), equilibrated(network, table)
    assert (scaled.domain.A == same.domain.A).all()
    assert (scaled.domain.b == same.domain.b).all()
    engine = pt.FacetFlip(order="hops")
    found = pt.enumerate_regions(network, box, engine, max_regions=20)
    again = pt.enumerate_regions(network, table, engine, max_regions=20)
    assert (found.patterns == again.patterns).all()


def test_sparse_rows_may_be_given_and_are_checked_like_a_table() -> None:
    given = csr_array(([1.0, 0.0, -1.0, 2.0, -2.0], ([0, 0, 1, 2, 2], [0, 1, 1, 0, 0])), shape=(3, 2))
    with pytest.raises(ValueError, match="a row of A is zero"):
        pt.Polyhedron(given, [1.0, 1.0, 1.0])
    given = csr_array(([1.0, -1.0, 1.0, -1.0], ([0, 1, 2, 3], [0, 0, 1, 1])), shape=(4, 2))
    square = pt.Polyhedron(given, np.ones(4))
    given.data[:] = 5.0
    assert square.volume() == 4.0
    assert square.A.tolist() == [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    with pytest.raises(ValueError, match="must be finite"):
        pt.Polyhedron(csr_array([[np.inf, 1.0]]), [1.0])
    with pytest.raises(ValueError, match=r"must be \[m, d\] and \[m\]"):
        pt.Polyhedron(csr_array([[1.0, 1.0]]), [1.0, 2.0])
