r"""Means over seeds with confidence intervals, and the table of a benchmark.

An interval is Student's: :math:`\bar x \pm t_{0.975, n - 1} \, s / \sqrt n` over n seeds; the images and the
windows are the same for all seeds, so it speaks of other weights, not of other images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from polytope.studies.log import Row
from polytope.studies.run import Bench, in_words
from polytope.studies.segments import expected_on_segments
from polytope.studies.spec import Architecture

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over seeds: an estimate.

    Arguments:
        value: the mean.
        margin: half the width of its 95 % confidence interval; ``None`` of a single seed.
        n: number of seeds.
    """

    value: float
    margin: float | None
    n: int

    def __str__(self) -> str:
        """``852 ± 34``, with two digits of the margin."""
        if self.margin is None:
            return f"{self.value:.3g}"
        places = 2 if self.margin == 0 else max(0, 1 - math.floor(math.log10(self.margin)))
        return f"{self.value:,.{min(places, 4)}f} ± {self.margin:,.{min(places, 4)}f}"


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of one number for each seed.

    Example:
        >>> print(mean_of([1.0, 3.0]))
        2 ± 13
    """
    x = np.asarray(values, dtype=float)
    if len(x) < 2:
        return Mean(float(x.mean()), None, len(x))
    quantile = float(student.ppf((1 + LEVEL) / 2, len(x) - 1))
    return Mean(float(x.mean()), quantile * float(x.std(ddof=1)) / len(x) ** 0.5, len(x))


@dataclass(frozen=True)
class Line:
    """The figures of one architecture at one epoch.

    Arguments:
        architecture: which.
        parameters: number of its weights and biases.
        epoch: of training; 0 is before it.
        accuracy: on the test images.
        regions: activation regions of a window; where not ``exact``, of the regions found.
        exact: whether all windows of all seeds were counted to the end.
        linear: linear regions of a window; ``None`` where not exact.
        growth: mean over seeds of ln(regions / regions at the first epoch); ``None`` at the first epoch.
        crossings: on a segment between test images; ``None`` where a count is missing or not exact.
        expected: their number at initialisation, in the limit of infinite width; ``None`` if not known.
        complexity: local complexity at the test images.
        log10_bound: of the least published bound on the regions of a plane.
    """

    architecture: Architecture
    parameters: int
    epoch: int
    accuracy: Mean
    regions: Mean
    exact: bool
    linear: Mean | None
    growth: Mean | None
    crossings: Mean | None
    expected: float | None
    complexity: Mean
    log10_bound: float | None


def summary(bench: Bench) -> list[Line]:
    """The figures of every architecture with a finished run, at every epoch, in the order of the file."""
    groups: dict[Architecture, list[Row]] = {}
    for row in bench.rows:
        groups.setdefault(_architecture(row), []).append(row)
    return [
        _line(architecture, rows, epoch, expected)
        for architecture, rows in groups.items()
        for expected in [expected_on_segments(architecture, bench.data, bench.spec.measure)]
        for epoch in bench.spec.training.epochs
    ]


def _architecture(row: Row) -> Architecture:
    return Architecture(
        row["depth"], row["width"], row["initialisation"], row["activation"], skip=row["skip"]
    )


def _line(architecture: Architecture, rows: Sequence[Row], epoch: int, expected: float | None) -> Line:
    found = [row["epochs"][str(epoch)] for row in rows]
    first = [next(iter(row["epochs"].values())) for row in rows]
    regions = [_regions(moment) for moment in found]
    windows = [window for moment in found for window in moment["windows"]]
    exact = all(window["lower"] == window["upper"] for window in windows)
    ratios = [math.log(now / _regions(then)) for now, then in zip(regions, first, strict=True)]
    linear = [float(np.mean([window["linear"] for window in m["windows"]])) for m in found] if exact else []
    return Line(
        architecture,
        rows[0]["parameters"],
        epoch,
        accuracy=mean_of([moment["accuracy"] for moment in found]),
        regions=mean_of(regions),
        exact=exact,
        linear=mean_of(linear) if linear else None,
        growth=None if found == first else mean_of(ratios),
        crossings=_crossings(found),
        expected=expected,
        complexity=mean_of([sum(moment["local_complexity"]) for moment in found]),
        log10_bound=found[0]["log10_bound"],
    )


def _crossings(found: Sequence[Row]) -> Mean | None:
    """On a segment; ``None`` if a row is older than these counts, or a budget ended one of them."""
    segments = [moment.get("segments") for moment in found]
    if not all(own and all(s["lower"] == s["upper"] for s in own) for own in segments):
        return None
    return mean_of([float(np.mean([s["lower"] for s in own])) for own in segments if own])


def _regions(moment: Row) -> float:
    """Regions found, mean over the windows."""
    return float(np.mean([window["lower"] for window in moment["windows"]]))


def ratio_in_words(growth: Mean | None) -> str:
    """``0.71 (0.65 to 0.78)``: the geometric mean of ratios, and its confidence interval."""
    if growth is None:
        return ""
    middle = f"{math.exp(growth.value):.2f}"
    if growth.margin is None:
        return middle
    low, high = (math.exp(growth.value + sign * growth.margin) for sign in (-1, 1))
    return f"{middle} ({low:.2f} to {high:.2f})"


def markdown(bench: Bench, lines: Sequence[Line], radius: float) -> str:
    """The table, and what its numbers are."""
    measure, done = bench.spec.measure, len(bench.rows)
    finished = f"{done} runs" if bench.complete else f"**{done} of {bench.total} runs: not finished**"
    text = (
        f"{finished}, {bench.spec.seeds} seeds; {len(bench.data.x):,} training and "
        f"{len(bench.data.x_test):,} test images. *Regions* are activation regions of a window, t in "
        f"[{measure.low:g}, {measure.high:g}]^2 of the plane through three test images, mean over "
        f"{measure.windows} windows: exact counts, but for those marked ≥, which a budget ended. *x first* "
        "is the geometric mean of the ratio to the first epoch, seed by seed. *Local complexity* is the mean "
        f"number of units seen with a crossing within {radius:.3g} of a test image: all of the first layer, "
        "a lower bound behind it. *Crossings* are those on a segment between two of the images, mean over "
        "the sides of all windows' triangles: exact counts; beside them the number *expected at "
        "initialisation*, an estimate of infinite width. *Bound* is the least published one on the regions "
        f"of a plane. Means over seeds are estimates, given with {LEVEL:.0%} confidence intervals (Student's "
        "t)."
    )
    head = "| hidden layers | parameters | epoch | accuracy | regions | x first | linear regions |"
    head += " crossings | expected at initialisation (estimate) | local complexity | bound |"
    rows = [head, "|---|" + "---:|" * (head.count("|") - 2)]
    for line in lines:
        cells = (
            in_words(line.architecture),
            f"{line.parameters:,}",
            str(line.epoch),
            str(line.accuracy),
            ("" if line.exact else "≥ ") + str(line.regions),
            ratio_in_words(line.growth),
            str(line.linear) if line.linear else "",
            str(line.crossings) if line.crossings else "",
            f"{line.expected:,.1f}" if line.expected is not None else "",
            str(line.complexity),
            f"10^{line.log10_bound:.1f}" if line.log10_bound is not None else "none",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return f"# {bench.spec.title}\n\n{text}\n\n" + "\n".join(rows) + "\n"


def as_json(bench: Bench, lines: Sequence[Line], radius: float) -> dict[str, Any]:
    """All that a program wants to know: the specification, and the figures with their labels."""
    spec = {key: value for key, value in asdict(bench.spec).items() if key != "folder"}
    return {
        "schema": "polytope-bench",
        "schema_version": 1,
        "spec": spec,
        "images": bench.data.digest,
        "radius": radius,
        "runs": len(bench.rows),
        "runs_asked": bench.total,
        "complete": bench.complete,
        "labels": {
            "regions": "exact for each network where 'exact', else a lower bound; means: estimates",
            "linear": "exact for each network; means: estimates",
            "crossings": "exact for each network; means: estimates",
            "expected": "estimate: at initialisation, in the limit of infinite width",
            "complexity": "a lower bound for each network (exact with one hidden layer); means: estimates",
            "accuracy": "estimate",
            "log10_bound": "bound",
        },
        "summary": [asdict(line) for line in lines],
    }
