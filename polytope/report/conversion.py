"""The report on the conversion: the network in float64 against the file's own runtime."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal

import numpy as np

from polytope.engines.sampling import random_points
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.ir.near_crossings import straddling
from polytope.labelled import Estimate, Missing, Number
from polytope.report.clock import Clock
from polytope.report.data_sections import Compared, Conversion
from polytope.report.subject import Subject
from polytope.report.task import chosen

MOST_POINTS = 1024
CHUNK = 32  # points between two looks at the clock
MOST_RANDOM, NUMBERS = 256, 1 << 22  # random points, and their coordinates together
HALVINGS = 24  # pairs of points are 2^-24 of their segment apart: the resolution of float32
Kind = Literal["data", "random", "near a crossing"]
NO_RUNTIME = "the network does not come from a file that was compared with its runtime"


def conversion_facts(subject: Subject, clock: Clock) -> Conversion:
    """The largest differences at data points, at random points, and at points on both sides of a crossing.

    Every input is rounded to the file's number type first, so both sides see the same numbers.

    Arguments:
        clock: each kind of points may take a third of its time; the first is compared at one point at least.
    """
    rng = np.random.default_rng(0)
    kinds: dict[Kind, Callable[[], FloatArray | None]] = {
        "data": lambda: subject.points,
        "random": lambda: _random(subject, rng),
        "near a crossing": lambda: _near_crossings(subject, rng),
    }
    seconds, compared = clock.seconds / len(kinds), list[Compared]()
    for name, made in kinds.items():
        if compared and clock.left <= 0:
            clock.refuse(f"the conversion at points: {name}", "the time allowed was used by the others")
            continue
        x = clock.answered(f"the conversion at points: {name}", made, None)
        if x is not None:
            compared.append(_compared(subject, name, x, seconds))
    return Conversion(subject.runtime is not None, when_loaded(subject.network), tuple(compared))


def when_loaded(network: Network) -> Number:
    """The largest difference that was seen when the file was loaded."""
    error, note = network.import_error, network.import_note
    if error is None or np.isnan(error):
        return Missing(note or NO_RUNTIME)
    said = "largest difference of an output on the inputs tried when loading"
    return Estimate(float(error), f"{said}, {note}" if note else said)


def _random(subject: Subject, rng: np.random.Generator) -> FloatArray | None:
    """Points of the data's box, or of the domain."""
    most = int(np.clip(NUMBERS // subject.network.input_dim, 1, MOST_RANDOM))
    if subject.data_box is not None:
        return np.concatenate([*random_points(subject.data_box, most, rng)])
    if not subject.scope.domain.is_bounded:
        return None
    t = np.concatenate([*random_points(subject.scope.domain, most, rng)])
    window = subject.scope.window
    return t if window is None else np.asarray(window.lift(t))


def _near_crossings(subject: Subject, rng: np.random.Generator) -> FloatArray | None:
    """Close pairs on both sides of a crossing, on segments between data points, or random ones."""
    x = subject.points if subject.points is not None else _random(subject, rng)
    if x is None or len(x) < 2 or not subject.network.n_units:
        return None
    ends = rng.permutation(len(x))[: 2 * (min(len(x), 128) // 2)].reshape(2, -1)
    return straddling(subject.network, x[ends[0]], x[ends[1]], HALVINGS)


def _compared(subject: Subject, name: Kind, x: FloatArray, seconds: float) -> Compared:
    """Differences at as many points as the time allows."""
    if subject.runtime is None:
        missing = Missing(NO_RUNTIME)
        return Compared(name, 0, missing, missing, missing)
    kind = {"float64": np.float64, "float16": np.float16}.get(subject.network.dtype, np.float32)
    rounded = x[:MOST_POINTS].astype(kind).astype(float)
    parts, tried, start = [np.zeros((0, 3))], 0, monotonic()
    while tried < len(rounded) and (not tried or monotonic() - start < seconds):
        some = rounded[tried : tried + min(2 * tried + 1, CHUNK)]
        parts.append(_differences(subject.runtime(some), subject.network(some)))
        tried += len(some)
    found = np.concatenate(parts)
    if not len(found):
        missing = Missing("the outputs are beyond the range of the file's number type")
        return Compared(name, tried, missing, missing, missing)
    largest, relative = (Estimate(float(worst)) for worst in found[:, :2].max(axis=0))
    return Compared(name, tried, largest, relative, Estimate(int(found[:, 2].sum())))


def _differences(theirs: FloatArray, ours: FloatArray) -> FloatArray:
    """Largest, relative to the largest output, and whether the class differs; where both are finite."""
    fine = np.isfinite(theirs).all(axis=1) & np.isfinite(ours).all(axis=1)
    theirs, ours = theirs[fine], ours[fine]
    largest = np.abs(theirs - ours).max(axis=1)
    relative = largest / np.maximum(np.abs(ours).max(axis=1), np.finfo(float).tiny)
    return np.stack([largest, relative, chosen(theirs) != chosen(ours)], axis=1)
