"""The examples of infinite width run with few draws, and the benchmark's identities reach their bars."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def benchmark() -> ModuleType:
    """The benchmark, which finds the examples."""
    spec = importlib.util.spec_from_file_location("benchmark_infinite", ROOT / "benchmarks" / "infinite.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = benchmark()


def test_identities_reach_their_bars() -> None:
    found = BENCHMARK.run("identities", None, None)
    assert [row["met"] for row in found["rows"]] == ["yes"] * len(BENCHMARK.BARS["identities"])
    record = {"machine": "here", "experiments": {"identities": found}}
    assert "\n".join(BENCHMARK.page(record)).count("| yes |") == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARK.EXAMPLES)
def test_examples_run_and_draw(name: str, tmp_path: Path) -> None:
    script = importlib.import_module(name)
    result = script.measure(16)
    assert BENCHMARK.BARS[name].keys() <= result["figures"].keys()
    script.plot(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
