"""The examples of infinite width run with few draws, and the benchmark's identities reach their bars."""

from importlib import import_module
from pathlib import Path

import harness
import pytest

BENCHMARK = import_module("infinite")  # which finds the examples


def test_identities_reach_their_bars() -> None:
    found = BENCHMARK.run("identities", None, None)
    assert [row["met"] for row in found["rows"]] == ["yes"] * len(BENCHMARK.BARS["identities"])
    record = {"machine": "here", "experiments": {"identities": found}}
    assert "\n".join(harness.experiments_page("Do they?", record, {})).count("| yes |") == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARK.EXAMPLES)
def test_examples_run_and_draw(name: str, tmp_path: Path) -> None:
    script = import_module(name)
    result = script.measure(16)
    assert BENCHMARK.BARS[name].keys() <= result["figures"].keys()
    script.plot(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
