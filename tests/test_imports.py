"""Who may import whom: levels of packages, homes of libraries, and what a bare import loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("polytope/**/*.py"), *ROOT.glob("adapters/**/*.py")])

ALLOWED = {  # part -> parts it may import; itself always
    "polytope.errors": set(),
    "polytope._core": set(),
    "polytope.ir": {"polytope.errors"},
    "polytope.exact": {"polytope.errors", "polytope.ir"},
    "polytope.geometry": {"polytope.errors", "polytope.ir", "polytope.exact"},
    "polytope.batched": {"polytope.errors", "polytope.ir", "polytope._core"},
    "polytope.regions": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope._core",
    },
    "polytope.verify": {"polytope.errors", "polytope.ir"},  # neither arithmetic nor code of what it checks
    "polytope.measures": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope.batched",
        "polytope.regions",
    },
    "polytope.flows": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope.batched",
        "polytope.regions",
        "polytope.measures",
    },
    "polytope.equivariant": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope.batched",
        "polytope.regions",
        "polytope.measures",
    },
    "polytope.report": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope.batched",
        "polytope.regions",
        "polytope.measures",
    },
    "polytope.bench": {
        "polytope.errors",
        "polytope.ir",
        "polytope.exact",
        "polytope.geometry",
        "polytope.batched",
        "polytope.regions",
        "polytope.measures",
        "polytope.report",
    },
    "adapters": {"polytope.errors", "polytope.ir"},
}
COMPOSING = {"polytope", "polytope.__main__", "polytope.cli"}  # the public names, and the command line

HOMES = {  # third-party library -> where it may be imported
    "highspy": ("polytope/geometry/lp.py",),
    "flint": ("polytope/exact/",),
    "torch": (
        "polytope/batched/",
        "polytope/equivariant/",
        "polytope/flows/",
        "polytope/bench/training.py",
        "adapters/ops/aten_kernels.py",
        "adapters/state_dict.py",
        "adapters/torch_export.py",
        "adapters/torch_runtime.py",
        "adapters/torch_script.py",
    ),
    "zuko": ("polytope/flows/zuko_flows.py",),
    "normflows": ("polytope/flows/normflows_flows.py",),
    "onnx": ("adapters/",),
    "onnxruntime": ("adapters/onnx_runtime.py",),
    "matplotlib": ("polytope/report/",),
    "jinja2": ("polytope/report/html.py",),
    "typer": (
        "polytope/__main__.py",
        "polytope/cli/",
        "polytope/bench/command.py",
        "polytope/report/options.py",
        "polytope/report/terminal.py",
    ),
    "rich": ("polytope/cli/", "polytope/bench/command.py", "polytope/report/terminal.py"),
    "sklearn": ("polytope/bench/data.py",),
    "pyarrow": (
        "polytope/regions/shards.py",
        "polytope/regions/storage.py",
        "polytope/verify/",
        "polytope/bench/files.py",
    ),
    "distributed": ("polytope/regions/executors.py",),
}


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
        library = name.split(".")[0]
        homes = HOMES.get(library)
        assert homes is None or path.startswith(homes), f"{path} must not import {library}"


def test_nobody_imports_the_command_line() -> None:
    users = {
        name: {part_of(name_of(file)) for file in FILES if any(part_of(n) == name for n in imports(file))}
        for name in ("polytope.__main__", "polytope.cli")
    }
    assert users == {"polytope.__main__": set(), "polytope.cli": {"polytope.cli", "polytope.__main__"}}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("polytope", "torch matplotlib onnx onnxruntime typer rich jinja2 zuko normflows"),
        ("adapters", "torch matplotlib onnx onnxruntime typer rich"),
        ("polytope.__main__", "torch matplotlib onnx onnxruntime"),
        (
            "polytope.equivariant, polytope.measures.local_complexity",
            "torch matplotlib onnx onnxruntime typer rich",
        ),
    ],
)
def test_a_bare_import_is_light(module: str, absent: str) -> None:
    """In a fresh interpreter, what is slow to load is not loaded."""
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({absent.split()})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
