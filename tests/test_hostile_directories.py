"""Directories from strangers: each mutated one ends in a documented sentence, in bearable time and memory."""

from __future__ import annotations

import json
import shutil
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


def copied(source: Path, place: Path, name: str) -> Path:
    """A copy of a run of that name, in place of what was there."""
    (place.parent / "problem.json").write_text(json.dumps({"run": name}))
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(source, place, symlinks=True))


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("verb", VERBS)
def test_what_was_not_changed_is_read(runs: Path, read: Reader, name: str, verb: str, tmp_path: Path) -> None:
    found = read(verb, copied(runs / name, tmp_path / "run", name))
    wanted = "CertificateError" if verb == "verify" and not RUNS[name].certificate else ""
    assert (found.kind, found.fault()) == (wanted, "")


@pytest.mark.parametrize("seed", seeds(200, 1))
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_directories(runs: Path, read: Reader, kind: str, seed: int, tmp_path: Path) -> None:
    faults = {}
    for turn in range(EACH):
        rng = np.random.default_rng([list(KINDS).index(kind), seed, turn])
        name = str(rng.choice(list(RUNS)))
        mutated = copied(runs / name, tmp_path / "mutated", name)
        KINDS[kind](mutated, np.random.default_rng([seed, turn]))
        for verb in VERBS:  # one that resumes changes what it reads
            fault = read(verb, copied(mutated, tmp_path / "run", name)).fault()
            if fault:
                faults[name, verb, turn] = fault
    assert not faults
