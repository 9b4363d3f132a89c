"""A stopped search that goes on from its open cells finds what one search finds, each region once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import polytope as pt
from polytope.engines.named import EngineLike
from polytope.ir.activations import hard_tanh
from polytope.runs.going_on import gone_on
from tests.networks import seeded

CASES: dict[str, tuple[Callable[[], pt.Network], int, EngineLike]] = {
    "a plane": (lambda: seeded(1, 2, 9, 9, 2), 2, "vertices"),
    "a solid": (lambda: seeded(2, 3, 7, 6, 1), 3, "vertices"),
    "by programs": (lambda: seeded(2, 3, 7, 6, 1), 3, "lp"),
    "three pieces": (lambda: seeded(3, 2, 5, 5, 1, activation=hard_tanh()), 2, "vertices"),
}


@pytest.mark.parametrize("name", CASES)
def test_parts_together_are_the_whole(name: str) -> None:
    made, d, engine = CASES[name]
    net, box = made(), pt.Polyhedron.box([-1] * d, [1] * d)
    whole = pt.enumerate_regions(net, box, engine)
    part = pt.enumerate_regions(net, box, engine, max_regions=5)
    assert not part.complete
    told: list[int] = []
    found = gone_on(part, engine, max_regions=9, progress=lambda n, _: told.append(n))
    assert not found.complete
    assert found.stopped_by == "regions"
    assert 9 <= len(found) < len(whole) <= found.upper <= part.upper
    assert (found.patterns[: len(part)] == part.patterns).all()
    found = gone_on(found, engine)
    assert found.complete
    assert found.stopped_by is None
    assert len(found) == len(whole) == len({row.tobytes() for row in found.patterns})
    assert {row.tobytes() for row in found.patterns} == {row.tobytes() for row in whole.patterns}
    assert (found.locate(found.interior_points) == np.arange(len(found))).all()
    assert found.adjacency().number_of_edges() == whole.adjacency().number_of_edges()
    assert found.volumes().sum() == pytest.approx(2.0**d, rel=1e-9)
    assert sorted(found.volumes()) == pytest.approx(sorted(whole.volumes()), rel=1e-9)
    assert found.pieces() == whole.pieces()
    assert len(set(found.merged().tolist())) == len(set(whole.merged().tolist()))


def test_an_engine_without_open_cells_begins_anew() -> None:
    net, box = seeded(1, 2, 9, 9, 2), pt.Polyhedron.box([-1, -1], [1, 1])
    part = pt.enumerate_regions(net, box, max_regions=5)
    assert gone_on(part, pt.FacetFlip(), max_regions=len(part)).engine != part.engine
    none = pt.enumerate_regions(net, box, pt.FacetFlip(), max_regions=3)
    assert gone_on(none).complete
