"""Who may import whom: levels of packages, homes of libraries, and what a bare import loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("polytope/**/*.py"), *ROOT.glob("adapters/**/*.py")])

LEVELS = (  # a part may import itself and what lies below; parts of one level know nothing of each other
    ("polytope.errors", "polytope.lazy", "polytope._core"),
    ("polytope.ir", "polytope.labelled"),
    ("polytope.exact", "polytope.verify"),
    ("polytope.geometry",),
    ("polytope.core", "polytope.batched"),
    ("polytope.regions",),
    ("polytope.engines",),
    ("polytope.runs",),
    ("polytope.bounds",),
    ("polytope.measures",),
    ("polytope.properties",),
    ("polytope.equivariant", "polytope.flows", "polytope.plots"),
    ("polytope.report",),
    ("polytope.studies",),
)
BELOW = {  # part -> parts it may import
    part: {lower for below in LEVELS[:number] for lower in below}
    for number, level in enumerate(LEVELS)
    for part in level
}
ALLOWED = BELOW | {
    "polytope.verify": {"polytope.errors", "polytope.ir"},  # neither arithmetic nor code of what it checks
    "adapters": {"polytope.errors", "polytope.lazy", "polytope.ir"},
}
COMPOSING = {"polytope", "polytope.__main__", "polytope.cli"}  # the public names, and the command line

HOMES = {  # third-party library -> where it may be imported
    "highspy": ("polytope/geometry/lp.py",),
    "scipy.optimize": ("polytope/geometry/",),
    "flint": ("polytope/exact/",),
    "torch": (
        "polytope/batched/",
        "polytope/measures/local_complexity/",
        "polytope/equivariant/",
        "polytope/flows/",
        "polytope/studies/training.py",
        "adapters/ops/aten_kernels.py",
        "adapters/torch/",
        "polytope/bounds/branching/",
    ),
    "zuko": ("polytope/flows/importers/zuko.py",),
    "normflows": ("polytope/flows/importers/normflows.py",),
    "onnx": ("adapters/",),
    "onnxruntime": ("adapters/onnx/runtime.py",),
    "matplotlib": ("polytope/plots/",),
    "jinja2": ("polytope/report/html.py",),
    "typer": ("polytope/cli/",),
    "rich": ("polytope/cli/",),
    "sklearn": ("polytope/studies/data.py",),
    "pyarrow": (
        "polytope/regions/shards.py",
        "polytope/runs/stored.py",
        "polytope/verify/",
        "polytope/studies/files.py",
    ),
    "distributed": ("polytope/runs/executors.py",),
}
MOST_LINES = 400


def name_of(file: Path) -> str:
    """The module's dotted name."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the table that a module belongs to; adapters are one part."""
    words = module.split(".")
    return "adapters" if words[0] == "adapters" else ".".join(words[:2])


@cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path, *, for_types: bool = True) -> Iterator[str]:
    """Dotted names that a file imports, also inside functions."""
    tree = parsed(file)
    skipped: set[int] = set()
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            assert node.module is not None, "an absolute import names its module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_a_row() -> None:
    assert {part_of(name_of(file)) for file in FILES} <= ALLOWED.keys() | COMPOSING


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_point_downwards(file: Path) -> None:
    own = part_of(name_of(file))
    if own in COMPOSING:
        return
    for name in imports(file):
        if name.split(".")[0] in ("polytope", "adapters"):
            assert name != "polytope", f"{name_of(file)} imports the package from inside"
            assert part_of(name) in ALLOWED[own] | {own}, f"{name_of(file)} must not import {name}"


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_libraries_stay_in_their_homes(file: Path) -> None:
    path = file.relative_to(ROOT).as_posix()
    for name in imports(file, for_types=False):
        for library, homes in HOMES.items():
            if f"{name}.".startswith(f"{library}."):
                assert path.startswith(homes), f"{path} must not import {library}"


def test_imports_run_in_no_circle() -> None:
    modules = {name_of(file) for file in FILES}
    graph = nx.DiGraph(
        (name_of(file), target)
        for file in FILES
        for name in imports(file)
        for target in (name if name in modules else name.rpartition(".")[0],)
        if target in modules and target != "polytope"
    )
    assert graph.number_of_edges() > len(modules)
    assert [sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1] == []


PYTHON = [
    file
    for folder in ("polytope", "adapters", "tests", "examples", "benchmarks")
    for file in ROOT.glob(f"{folder}/**/*.py")
]


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_file_is_long(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_test_imports_another() -> None:
    for file in ROOT.glob("tests/*.py"):
        for name in imports(file):
            assert not name.startswith("tests.test_"), f"{file.name} imports {name}"


USERS = [file for folder in ("examples", "benchmarks") for file in ROOT.glob(f"{folder}/**/*.py")]
FACES = {"polytope", "polytope.errors", "adapters", "polytope.equivariant", "polytope.flows"}


@pytest.mark.parametrize("file", USERS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_users_know_public_names_only(file: Path) -> None:
    for name in imports(file):
        if name.split(".")[0] in ("polytope", "adapters"):
            assert name in FACES or name.rpartition(".")[0] in FACES, f"{file.name} imports {name}"


def test_nobody_imports_the_command_line() -> None:
    users = {
        name: {part_of(name_of(file)) for file in FILES if any(part_of(n) == name for n in imports(file))}
        for name in ("polytope.__main__", "polytope.cli")
    }
    assert users == {"polytope.__main__": set(), "polytope.cli": {"polytope.cli", "polytope.__main__"}}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("polytope", "numpy scipy torch matplotlib onnx onnxruntime typer rich jinja2 zuko normflows"),
        ("adapters", "numpy scipy torch matplotlib onnx onnxruntime typer rich"),
        ("polytope.flows", "numpy scipy torch zuko normflows"),
        ("polytope.__main__", "torch matplotlib onnx onnxruntime"),
        (
            "polytope.equivariant, polytope.measures.local_complexity.count",
            "torch matplotlib onnx onnxruntime typer rich",
        ),
    ],
)
def test_a_bare_import_is_light(module: str, absent: str) -> None:
    """In a fresh interpreter, what is slow to load is not loaded."""
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({absent.split()})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
