"""Who may import whom: levels of packages, homes of libraries, and what a bare import loads."""

import ast
import subprocess
import sys
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
    ("polytope.given",),
    ("polytope.core", "polytope.batched"),
    ("polytope.regions",),
    ("polytope.engines",),
    ("polytope.runs",),
    ("polytope.bounds",),
    ("polytope.measures",),
    ("polytope.properties",),
    ("polytope.equivariant", "polytope.flows", "polytope.infinite", "polytope.plots"),
    ("polytope.discovery", "polytope.report"),
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
    "polytope.given": {*BELOW["polytope.given"], "adapters"},  # the one door from the engine to the files
}
COMPOSING = {"polytope", "polytope.__main__", "polytope.cli"}  # the public names, and the command line

HOMES = {  # third-party library -> where it may be imported
    "highspy": ("polytope/geometry/lp.py",),
    "scipy.optimize": ("polytope/geometry/",),
    "flint": ("polytope/exact/", "polytope/ir/splines.py"),
    "torch": (
        "polytope/batched/",
        "polytope/measures/local_complexity/",
        "polytope/equivariant/",
        "polytope/flows/",
        "polytope/infinite/",
        "polytope/discovery/",
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
    "rich": ("polytope/cli/", "polytope/engines/bars.py"),
    "sklearn": ("polytope/studies/data.py",),
    "pyarrow": (
        "polytope/regions/shards.py",
        "polytope/runs/stored.py",
        "polytope/verify/",
        "polytope/measures/spline_features.py",
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
def imports(file: Path, *, for_types: bool = True) -> tuple[str, ...]:
    """Dotted names that a file imports, also inside functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped |= {id(inner) for inner in ast.walk(node)}
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            assert node.module is not None, "an absolute import names its module"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def test_every_part_has_a_row() -> None:
    assert {part_of(name_of(file)) for file in FILES} <= ALLOWED.keys() | COMPOSING


def test_imports_point_downwards() -> None:
    wrong = []
    for file in FILES:
        own = part_of(name_of(file))
        for name in imports(file) if own not in COMPOSING else ():
            if name == "polytope":
                wrong.append(f"{name_of(file)} imports the package from inside")
            elif name.split(".")[0] in ("polytope", "adapters") and part_of(name) not in ALLOWED[own] | {own}:
                wrong.append(f"{name_of(file)} must not import {name}")
    assert wrong == []


UPWARDS = {("polytope/regions/complex.py", "polytope.plots.regions")}  # RegionComplex.plot, when it is called


def test_what_is_imported_by_a_string_is_named_here() -> None:
    """The checks of levels do not see ``import_module("...")``: one of them points upwards, and no other."""
    found = {
        (file.relative_to(ROOT).as_posix(), node.args[0].value)
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("import_module", "__import__"))
        and isinstance(node.args[0], ast.Constant)
        and str(node.args[0].value).startswith(("polytope", "adapters"))
    }
    own = {path: part_of(name_of(ROOT / path)) for path, _ in found}
    assert {
        (path, name) for path, name in found if part_of(name) not in ALLOWED[own[path]] | {own[path]}
    } == UPWARDS


def test_libraries_stay_in_their_homes() -> None:
    wrong = [
        f"{path} must not import {library}"
        for path, file in ((file.relative_to(ROOT).as_posix(), file) for file in FILES)
        for name in imports(file, for_types=False)
        for library, homes in HOMES.items()
        if f"{name}.".startswith(f"{library}.") and not path.startswith(homes)
    ]
    assert wrong == []


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


def test_no_file_is_long() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in PYTHON}
    assert {file.relative_to(ROOT): n for file, n in lengths.items() if n > MOST_LINES} == {}


def test_no_test_imports_another() -> None:
    for file in ROOT.glob("tests/*.py"):
        for name in imports(file):
            assert not name.startswith("tests.test_"), f"{file.name} imports {name}"


USERS = [file for folder in ("examples", "benchmarks") for file in ROOT.glob(f"{folder}/**/*.py")]
FACES = {
    "polytope",
    "polytope.errors",
    "adapters",
    "polytope.equivariant",
    "polytope.flows",
    "polytope.infinite",
    "polytope.discovery",
}


def test_users_know_public_names_only() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in USERS
        for name in imports(file)
        if name.split(".")[0] in ("polytope", "adapters") and not {name, name.rpartition(".")[0]} & FACES
    ]
    assert wrong == []


def test_nobody_imports_the_command_line() -> None:
    users = {
        name: {part_of(name_of(file)) for file in FILES if any(part_of(n) == name for n in imports(file))}
        for name in ("polytope.__main__", "polytope.cli")
    }
    assert users == {"polytope.__main__": set(), "polytope.cli": {"polytope.cli", "polytope.__main__"}}


SLOW = "scipy.linalg scipy.optimize scipy.spatial scipy.special scipy.sparse.csgraph"  # parts of scipy


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("polytope", "numpy scipy torch matplotlib onnx onnxruntime typer rich jinja2 zuko normflows"),
        ("adapters", "numpy scipy torch matplotlib onnx onnxruntime typer rich"),
        ("polytope.flows", "numpy scipy torch zuko normflows"),
        ("polytope.infinite", "numpy scipy torch"),
        ("polytope.discovery", "numpy scipy torch matplotlib"),
        ("polytope.__main__", f"torch matplotlib onnx onnxruntime networkx pyarrow {SLOW}"),
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
