"""What a report calls things: boxes, numbers on one line; and data given as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polytope as pt
from polytope.report.html import unbroken
from polytope.report.scope import Scope
from tests.networks import seeded


def test_a_polyhedron_that_is_a_box_is_called_one() -> None:
    """Its ends are known, so that a picture of a plane in it can be drawn; a triangle has none."""
    box = Scope.of(pt.Polyhedron.box([-1, 0, 0], [1, 2, 1]))
    assert (box.kind, box.description) == ("box", "the box [-1, 1] x [0, 2] x [0, 1]")
    assert box.high is not None
    assert box.high.tolist() == [1, 2, 1]
    window = Scope.of(pt.Polyhedron.box([0, 0], [1, 1]), pt.Slice(np.zeros(3), np.eye(3)[:2]))
    assert (window.kind, window.description) == ("window", "a 2-dimensional window, t in [0, 1]^2")
    triangle = Scope.of(pt.Polyhedron(np.array([[-1.0, 0], [0, -1], [1, 1]]), np.array([0.0, 0, 1])))
    assert (triangle.kind, triangle.low) == ("polytope", None)
    assert triangle.description == "a polytope of 3 half-spaces in 2 dimensions"


def test_a_number_with_an_exponent_stays_on_one_line() -> None:
    assert unbroken("1.5e-06 to 2") == '<span class="number">1.5e-06</span> to 2'
    assert unbroken("<b>3</b>") == "&lt;b&gt;3&lt;/b&gt;"


def test_data_may_be_a_file(tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("a,b,y\n0.5,0.25,1\n-0.5,0,0\n0.1,0.2,1\n")
    net = seeded(0, 2, 4, 2)
    found = pt.audit(net, data=table, budget=10).report.data
    assert found is not None
    assert (found.points, found.labelled) == (3, 3)
    with pytest.raises(ValueError, match=r"nothing\.npz"):
        pt.audit(net, data=str(tmp_path / "nothing.npz"))
