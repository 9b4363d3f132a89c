"""The pages of docs: their code runs and prints what they say; they name every public name; they build."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import adapters
import polytope as pt
from polytope import discovery, equivariant, flows, infinite
from tests.pages import ROOT, blocks, run_page

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_page(page, tmp_path) > 0
    if "matplotlib" in sys.modules:
        import matplotlib.pyplot as plt

        plt.close("all")


def test_the_reference_names_every_public_name() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"^::: (\S+)$", text, flags=re.MULTILINE)
    assert len(named) == len(set(named))
    own = set(pt.__all__) - set(adapters.__all__)  # load and from_torch stand there once
    public = {f"polytope.{name}" for name in own} | {f"adapters.{name}" for name in adapters.__all__}
    assert public <= set(named)
    assert {name for name in set(named) - public if name.count(".") < 2} == set()


def test_the_page_on_exactness_names_what_there_is() -> None:
    """Its rows are about public names, and what proves them are modules."""
    text = (DOCS / "exactness.md").read_text(encoding="utf-8")
    modules = re.findall(r"`([\w/]+\.(?:py|hpp))`", text)
    assert len(modules) > 40
    for module in modules:
        homes = (ROOT, ROOT / "polytope", ROOT / "polytope" / "exact")
        assert any((home / module).exists() for home in homes), module
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`([\w.]+)[^`]*`", row.split(":")[0])]
    assert len(names) > 50
    for name in names:
        first, *rest = name.split(".")
        found = [
            getattr(place, first)
            for place in (pt, equivariant, flows, infinite, discovery, pt.RegionComplex)
            if hasattr(place, first)
        ]
        assert found, name
        fields = getattr(found[0], "__dataclass_fields__", {})
        assert all(hasattr(found[0], part) or part in fields for part in rest), name


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {page: page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")}
    assert len(built) >= len(PAGES)
    for page, text in built.items():
        assert not re.search(r":math:|\.\. math|\$\$|^ *=+ =+", text, flags=re.MULTILINE), page
    assert "arithmatex" in built[tmp_path / "reference" / "complexity" / "index.html"]
