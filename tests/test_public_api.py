"""The public names: listed once, documented, named on a page of their own; the README's Python runs."""

import ast
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Literal, get_origin

import numpy as np
import pytest

import adapters
import polytope as pt
from polytope import discovery, equivariant, flows, infinite
from tests.pages import ROOT, run_page

NAMES = (ROOT / "docs" / "reference" / "names.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = (pt, adapters, equivariant, flows, infinite, discovery)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_exists_and_says_what_it_is(package: ModuleType) -> None:
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        thing = getattr(package, name)
        assert inspect.getdoc(thing) or get_origin(thing) is Literal, name
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = package.nothing_like_this


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_types_know_every_public_name_from_its_home(package: ModuleType) -> None:
    """What a type checker reads, ``from home import name as name``, is what is loaded when a name is used."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    read = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in block.body
        for alias in node.names
        if alias.asname == alias.name
    }
    modules = {f"{package.__name__}.errors"}
    assert read == {
        name: home if home in modules else f"{home}.{name}" for name, home in package._HOMES.items()
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_no_module_takes_the_place_of_a_public_name(package: ModuleType) -> None:
    """Loading ``package.name`` as a module would hide the public ``name``."""
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert modules & set(package.__all__) <= {"errors"}


def test_the_page_of_names_has_every_public_name_and_no_other() -> None:
    table = NAMES.split("## polytope")[1].split("\n## ")[0]
    named = set(re.findall(r"`(?:pt\.)?(\w+)`", table))
    named -= {"polytope", "adapters"}
    assert named == set(pt.__all__) | set(adapters.__all__)


def test_what_holds_arrays_is_shown_in_one_line() -> None:
    network = pt.mlp([(np.eye(2), np.zeros(2)), (np.ones((1, 2)), [0.0])])
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0]))
    part = pt.enumerate_regions(network, regions.domain, max_regions=1)
    assert repr(network) == "Network(2 inputs, 1 output, 2 units in 1 layer)"
    assert repr(network.layers[0]) == "Layer(2 outputs, Dense of value 0, PiecewiseLinear)"
    assert repr(regions) == "RegionComplex(4 regions, complete, in 2 dimensions, 2 units)"
    assert repr(part) == "RegionComplex(1 to 4 regions, in 2 dimensions, 2 units)"
    assert repr(regions[3]) == f"Region(3 of {regions!r})"
    assert repr(regions.domain) == "Polyhedron(4 half-spaces in 2 dimensions)"
    complexity = pt.local_complexity(network, np.zeros((5, 2)), 0.1)
    assert repr(complexity).startswith("LocalComplexity(per_layer=int64[5, 1]")
    assert repr(complexity).endswith("; estimates)")  # by signs in float64
    assert repr(pt.Slice.through(*np.eye(3))) == "Slice(2 directions in 3 dimensions)"


def test_the_readme_code_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", X=np.zeros((3, 64)))
    monkeypatch.chdir(tmp_path)
    assert run_page(ROOT / "README.md", tmp_path) >= 2


def test_the_companion_names_exist_and_the_page_of_names_has_them() -> None:
    tables = NAMES.split("## equivariant: symmetry")[1].split("\n## flows")[0]
    named = set(re.findall(r"`(\w+)`", tables)) - {"Network"}
    assert named == set(equivariant.__all__)


@pytest.mark.parametrize("package", [infinite, discovery], ids=lambda package: package.__name__)
def test_the_page_of_names_has_what_there_is_of_a_companion(package: ModuleType) -> None:
    table = NAMES.split(f"## {package.__name__.rpartition('.')[2]}\n")[1].split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(package.__all__)


def test_the_map_matches_the_tree() -> None:
    for name in re.findall(r"^(\w+/)", CONTRIBUTING.split("## The tree")[1], flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
