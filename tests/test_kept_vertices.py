"""Vertices kept by the search itself: volumes and facet points of a complex without a second search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polytope as pt
from polytope.regions import vertices_again
from tests.networks import NETWORKS, unit_box_of


@pytest.mark.parametrize("name", ["relu_2-5-5-1", "relu_3-5-4-2", "hard_tanh_2-5-5-1", "integer_3-5-4-1"])
def test_vertices_that_were_kept_are_not_searched_for_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NETWORKS[name]()
    domain = pt.Polyhedron.box(*unit_box_of(network))
    plain = pt.enumerate_regions(network, domain)
    place = {pattern.tobytes(): i for i, pattern in enumerate(plain.patterns)}
    expected, points = plain.volumes(), [plain.facet_points(i) for i in range(len(plain))]

    def again(*_: object, **__: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr(vertices_again, "explore", again)
    kept = pt.enumerate_regions(network, domain, keep="vertices")
    part = pt.enumerate_regions(network, domain, keep="vertices", max_regions=3)
    assert kept.complete
    assert not part.complete
    assert len(kept) == len(plain)
    for found in (kept, part):
        there = [place[pattern.tobytes()] for pattern in found.patterns]
        assert len(set(there)) == len(found)
        np.testing.assert_allclose(found.volumes(), expected[there], rtol=1e-9)
        for i, k in enumerate(there):
            assert len(found.facet_points(i)) == len(points[k])


def test_what_cannot_keep_vertices_says_so(tmp_path: Path) -> None:
    network, domain = NETWORKS["relu_2-5-5-1"](), pt.Polyhedron.box([-1] * 2, [1] * 2)
    with pytest.raises(ValueError, match="in memory"):
        pt.enumerate_regions(network, domain, keep="vertices", directory=tmp_path)
    with pytest.raises(ValueError, match="count_regions"):
        pt.enumerate_regions(network, domain, keep="count")  # type: ignore[arg-type]
    by_programs = pt.enumerate_regions(network, domain, pt.LayerSplit(cells="lp"), keep="vertices")
    np.testing.assert_allclose(by_programs.volumes().sum(), 4.0, rtol=1e-12)
