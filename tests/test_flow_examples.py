"""The examples of flows run with few training steps, and give every figure that has a bar."""

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_flows", ROOT / "benchmarks" / "flows.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()


@pytest.mark.parametrize("name", ["identities", "steps"])
def test_identities_reach_their_bars(name: str, tmp_path: Path) -> None:
    options = argparse.Namespace(full=False, share=1.0, mnist=None, write=tmp_path)
    assert {row["met"] for row in BENCHMARK.run(name, options)["rows"]} <= {"yes", ""}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BENCHMARK.BARS) - {"identities", "steps"}))
def test_examples_run(name: str, tmp_path: Path) -> None:
    options = argparse.Namespace(full=False, share=0.02, mnist=None, write=tmp_path)
    found = BENCHMARK.run(name, options)
    figures = {row["figure"]: row for row in found["rows"]}
    assert BENCHMARK.BARS[name].keys() <= figures.keys()
    assert all(figures[figure]["met"] for figure in BENCHMARK.BARS[name])
    if found["picture"]:
        assert (tmp_path / found["picture"]).stat().st_size > 1000
    text = BENCHMARK.page({"machine": "here", "experiments": {name: found}})
    assert text.count("| ") > len(figures)
