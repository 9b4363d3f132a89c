"""The public names: listed once, documented, named in the README, whose Python runs."""

import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import adapters
import polytope as pt
from polytope.__main__ import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


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


def test_the_readme_python_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = [code for language, code in BLOCKS if language == "python"]
    assert blocks
    for code in blocks:
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        monkeypatch.chdir(tmp_path)
        exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "report.html").is_file()
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_readme_commands_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", X=np.zeros((3, 64)))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    text = "\n".join(code for language, code in BLOCKS if language == "sh").replace("\\\n", " ")
    commands = [shlex.split(line, comments=True) for line in text.splitlines() if "polytope " in line]
    assert commands
    for words in commands:
        result = CliRunner().invoke(
            app, words[words.index(next(w for w in words if w.endswith("polytope"))) + 1 :]
        )
        assert result.exit_code == 0, (words, result.stderr)


def test_the_readme_map_matches_the_tree() -> None:
    for name in re.findall(r"^(\w+/)", README.split("## The tree")[1], flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
