"""Run a benchmark: every architecture with every seed, each finished run kept, none run twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from polytope.studies.data import Data
from polytope.studies.log import Row, append_row, read_rows
from polytope.studies.spec import Architecture, Spec

FORMAT = 1
"""Of the rows; part of a run's name, so that rows of another format are measured anew."""
ROWS = "rows.jsonl"

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Bench:
    """A benchmark's rows.

    Arguments:
        spec, data: what was asked.
        rows: of the runs that are finished, in the order of the specification.
        total: number of runs that the specification asks for.
    """

    spec: Spec
    data: Data
    rows: list[Row]
    total: int

    @property
    def complete(self) -> bool:
        """Whether all runs are finished."""
        return len(self.rows) == self.total


def run_bench(
    spec: Spec,
    data: Data,
    folder: Path,
    *,
    max_seconds: float | None = None,
    tell: Tell | None = None,
) -> Bench:
    """Run what is not in the folder yet, and return all rows.

    A run's name is a hash of all that its figures depend on: the architecture, the seed, the images, the
    training and the measures. So runs of a specification that was changed are measured anew, and what did
    not change is kept.

    Arguments:
        spec, data: from ``read_spec`` and ``read_data``.
        folder: holds ``rows.jsonl``.
        max_seconds: no run but the first is begun after this time.
        tell: called before a run with the number of finished runs, of all runs, and the run in words.

    Raises:
        ValueError: the time is not positive, or the folder's rows are damaged.
    """
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds must be positive, not {max_seconds}.")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ROWS
    known = read_rows(file)
    runs = [
        (architecture, seed)
        for architecture in spec.architectures(data.x.shape[1], data.classes)
        for seed in range(spec.seeds)
    ]
    names = [run_name(spec, data, architecture, seed) for architecture, seed in runs]
    done = before = sum(name in known for name in names)
    start = monotonic()
    for name, (architecture, seed) in zip(names, runs, strict=True):
        if name in known:
            continue
        if max_seconds is not None and done > before and monotonic() - start > max_seconds:
            break
        if tell:
            tell(done, len(runs), f"{in_words(architecture)}, seed {seed}")
        known[name] = {"run": name, **one_run(spec, data, architecture, seed)}
        append_row(file, known[name])
        done += 1
    return Bench(spec, data, [known[name] for name in names if name in known], len(runs))


def one_run(spec: Spec, data: Data, architecture: Architecture, seed: int) -> dict[str, Any]:
    """The figures of one architecture with one seed, at every epoch asked for."""
    from polytope.studies.measure import measure
    from polytope.studies.training import checkpoints  # loads torch

    return {
        **asdict(architecture),
        "parameters": architecture.parameters(data.x.shape[1], data.classes),
        "seed": seed,
        "epochs": {
            str(epoch): measure(network, data, spec.measure)
            for epoch, network in checkpoints(architecture, data, spec.training, seed)
        },
    }


def run_name(spec: Spec, data: Data, architecture: Architecture, seed: int) -> str:
    """A hash of all that the figures of a run depend on."""
    content = {
        "format": FORMAT,
        "architecture": asdict(architecture),
        "seed": seed,
        "images": data.digest,
        "split": [len(data.x), len(data.x_test)],
        "training": asdict(spec.training),
        "measure": asdict(spec.measure),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def in_words(architecture: Architecture) -> str:
    """Depth and width, and what differs from plain torch ReLU layers."""
    parts = [f"{architecture.depth} x {architecture.width}"]
    if architecture.activation != "relu":
        parts.append(architecture.activation)
    if architecture.initialisation != "torch":
        parts.append(architecture.initialisation)
    if architecture.skip:
        parts.append("skip")
    return " ".join(parts)
