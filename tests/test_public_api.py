"""The public names: listed once, documented, named in the README, whose Python runs."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import adapters
import polytope as pt
from polytope import equivariant
from tests.pages import ROOT, run_page

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_public_name_exists_and_says_what_it_is() -> None:
    for package in (pt, adapters):
        assert len(set(package.__all__)) == len(package.__all__)
        for name in package.__all__:
            thing = getattr(package, name)
            assert inspect.getdoc(thing), name
    assert set(pt.__all__) <= set(dir(pt)) | set(pt._LAZY)
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = pt.nothing_like_this


def test_the_readme_names_every_public_name_and_no_other() -> None:
    table = README.split("## Public names")[1].split("\n## ")[0]
    named = set(re.findall(r"`(?:pt\.)?(\w+)`", table))
    named -= {"polytope", "adapters"}
    assert named == set(pt.__all__) | set(adapters.__all__)


def test_what_holds_arrays_is_shown_in_one_line() -> None:
    network = pt.mlp([(np.eye(2), np.zeros(2)), (np.ones((1, 2)), [0.0])])
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0]))
    part = pt.enumerate_regions(network, regions.domain, max_regions=1)
    assert repr(network) == "Network(2 inputs, 1 outputs, 2 units in 1 layers)"
    assert repr(network.layers[0]) == "Layer(2 outputs, Dense of value 0, PiecewiseLinear)"
    assert repr(regions) == "RegionComplex(4 regions, complete, in 2 dimensions, 2 units)"
    assert repr(part) == "RegionComplex(1 to 4 regions, in 2 dimensions, 2 units)"
    assert repr(regions[3]) == f"Region(3 of {regions!r})"
    assert repr(regions.domain) == "Polyhedron(4 half-spaces in 2 dimensions)"
    assert repr(pt.Slice.through(*np.eye(3))) == "Slice(2 directions in 3 dimensions)"


def test_the_readme_code_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", X=np.zeros((3, 64)))
    monkeypatch.chdir(tmp_path)
    assert run_page(ROOT / "README.md", tmp_path) >= 2


def test_the_companion_names_exist_and_the_readme_names_them() -> None:
    table = README.split("## Symmetry")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"docs", "examples"}
    assert named <= set(equivariant.__all__)
    assert len(set(equivariant.__all__)) == len(equivariant.__all__)
    for name in equivariant.__all__:
        assert inspect.getdoc(getattr(equivariant, name)), name
        assert f"`{name}`" in README, name
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = equivariant.nothing_like_this


def test_the_readme_map_matches_the_tree() -> None:
    for name in re.findall(r"^(\w+/)", README.split("## The tree")[1], flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
