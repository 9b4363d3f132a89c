"""Saving a complex and loading it is identity, whatever found it; what was left open can be gone on with."""

from math import isfinite
from pathlib import Path

import numpy as np
import pytest

import polytope as pt
from polytope.engines.engine import Engine
from polytope.errors import IncompleteComplexError
from tests.networks import NETWORKS, unit_box_of

ENGINES: dict[str, Engine] = {
    "vertices": pt.LayerSplit(cells="vertices"),
    "lp": pt.LayerSplit(cells="lp"),
    "highs": pt.LayerSplit(cells="lp", solver="highs"),
    "flip": pt.FacetFlip(),
    "sampling": pt.Sampling(200),
    "integer": pt.IntegerProgram(),
}
SOME = ("relu_2-5-5-1", "absolute_2-5-5-1", "integer_3-5-4-1", "residual", "grouped")


def case(name: str) -> tuple[pt.Network, pt.Polyhedron]:
    network = NETWORKS[name]()
    return network, pt.Polyhedron.box(*unit_box_of(network))


def assert_same(one: pt.RegionComplex, two: pt.RegionComplex) -> None:
    assert (one.lower, one.upper, one.complete, one.engine) == (
        two.lower,
        two.upper,
        two.complete,
        two.engine,
    )
    assert one.seconds == two.seconds
    assert {k: v for k, v in one.statistics.items() if isfinite(v)} == dict(two.statistics)
    assert np.array_equal(one.patterns, two.patterns)
    assert np.array_equal(one.interior_points, two.interior_points)
    if one.complete:
        edges = [sorted(map(tuple, found.neighbours.tolist())) for found in (one, two)]
        assert edges[0] == edges[1]
        assert np.array_equal(one.merged(), two.merged())
        for i in (0, len(one) - 1):
            rows = [{tuple(row) for row in np.c_[found[i].halfspaces]} for found in (one, two)]
            assert rows[0] == rows[1]


CASES = [
    pytest.param(name, engine, marks=[pytest.mark.slow] if engine == "integer" and name != "residual" else [])
    for name in SOME
    for engine in ENGINES
]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_saved_and_loaded_is_the_same(name: str, engine: str, tmp_path: Path) -> None:
    """Integer programs take seconds to find regions, and save them as the other engines do: one network."""
    found = pt.enumerate_regions(*case(name), ENGINES[engine])
    found.save(tmp_path / "once")
    loaded = pt.load_complex(str(tmp_path / "once"))
    assert_same(found, loaded)
    loaded.save(tmp_path / "twice")
    assert_same(found, pt.load_complex(tmp_path / "twice"))


@pytest.mark.parametrize("engine", ["vertices", "lp"])
def test_a_part_is_gone_on_with_where_it_was_saved(engine: str, tmp_path: Path) -> None:
    network, box = case("relu_2-5-5-1")
    whole = pt.enumerate_regions(network, box, ENGINES[engine])
    part = pt.enumerate_regions(network, box, ENGINES[engine], max_regions=4)
    part.save(tmp_path)
    loaded = pt.load_complex(tmp_path)
    assert (len(loaded), loaded.complete) == (len(part), False)
    assert part.upper <= loaded.upper
    done = pt.enumerate_regions(network, box, ENGINES[engine], directory=tmp_path, resume=True)
    assert {p.tobytes() for p in done.patterns} == {p.tobytes() for p in whole.patterns}
    assert done.complete


def test_a_part_whose_open_cells_have_no_names_stays_a_part(tmp_path: Path) -> None:
    network, box = case("relu_2-5-5-1")
    part = pt.enumerate_regions(network, box, pt.FacetFlip(), max_regions=4)
    part.save(tmp_path)
    loaded = pt.load_complex(tmp_path)
    assert (loaded.lower, loaded.upper, loaded.complete) == (part.lower, part.upper, False)
    with pytest.raises(IncompleteComplexError):
        loaded.require_complete("A count")
    with pytest.raises(ValueError, match="was begun with facet flip"):
        pt.enumerate_regions(network, box, directory=tmp_path, resume=True)


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    found = pt.enumerate_regions(*case("relu_2-5-5-1"))
    found.save(tmp_path)
    with pytest.raises(ValueError, match="holds a complex already"):
        found.save(tmp_path)
    affine = pt.mlp([(np.eye(2), np.zeros(2))])
    with pytest.raises(ValueError, match="affine"):
        pt.enumerate_regions(affine, pt.Polyhedron.box([-1, -1], [1, 1])).save(tmp_path / "affine")
