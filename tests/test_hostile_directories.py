"""Directories from strangers: each mutated one ends in a documented sentence, in bearable time and memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.guarded_readers import VERBS, Reader
from tests.mutated_directories import KINDS as FILES
from tests.mutated_directories import Mutation
from tests.mutated_shards import footers, pages
from tests.networks import seeds
from tests.stored_runs import RUNS

KINDS: dict[str, Mutation] = FILES | {"pages": pages, "footers": footers}
EACH = 3  # mutations of one seed


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs as they were written."""
    folder = tmp_path_factory.mktemp("runs")
    for name, run in RUNS.items():
        run.write(folder / name)
    return folder


@pytest.fixture(scope="module")
def read() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def copied(runs: Path, name: str, tmp_path: Path) -> Path:
    """A copy to change, of the name ``run``."""
    (tmp_path / "problem.json").write_text(json.dumps({"run": name}))
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    return Path(shutil.copytree(runs / name, tmp_path / "run"))


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_not_changed_is_read(runs: Path, read: Reader, name: str, verb: str, tmp_path: Path) -> None:
    found = read(verb, copied(runs, name, tmp_path))
    wanted = "CertificateError" if verb == "verify" and not RUNS[name].certificate else ""
    assert (found.kind, found.fault()) == (wanted, "")


@pytest.mark.parametrize("seed", seeds(200, 1))
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_directories(runs: Path, read: Reader, kind: str, seed: int, tmp_path: Path) -> None:
    faults = {}
    for turn in range(EACH):
        rng = np.random.default_rng([list(KINDS).index(kind), seed, turn])
        name = str(rng.choice(list(RUNS)))
        for verb in VERBS:
            run = copied(runs, name, tmp_path)
            KINDS[kind](run, np.random.default_rng([seed, turn]))
            fault = read(verb, run).fault()
            if fault:
                faults[name, verb, turn] = fault
    assert not faults
