"""The data of the interactive pictures, as compact JSON: arrays in base64 that the page's script reads."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray
from polytope.report.subject import Subject
from polytope.report.task import chosen
from polytope.report.windows import Window

MOST_OUTPUTS = 20
"""Outputs whose affine maps are part of a picture."""
MOST_MARKS = 200
CLASSES = (  # Paul Tol's muted colours and two greys: distinct to colour-blind readers
    "#332288",
    "#88ccee",
    "#44aa99",
    "#117733",
    "#999933",
    "#ddcc77",
    "#cc6677",
    "#882255",
    "#aa4499",
    "#777777",
    "#bbbbbb",
)


def packed(window: Window, points: Points | None = None) -> dict[str, Any]:
    """One window for the script: outlines, affine maps and numbers to colour by.

    ``corners``: float32 ``[V, 2]``, places in the box ``low .. high`` from 0 to 1; ``counts``: uint16
    ``[R]``, corners of each region; ``maps``: float32 ``[R, outputs, 3]``, slopes and constant of
    f(t) = a t_1 + b t_2 + c.
    """
    complex, polygons = window.complex, window.polygons
    corners = np.concatenate(polygons) if polygons else np.zeros((0, 2))
    low, high = (corners.min(axis=0), corners.max(axis=0)) if polygons else window.place.domain.bounds
    network = complex.network
    outputs = min(network.output_dim, MOST_OUTPUTS)
    J, c = window.maps
    maps = np.concatenate([J[:, :outputs], c[:, :outputs, None]], axis=2)
    values = (J * complex.interior_points[:, None]).sum(axis=2) + c
    return {
        "title": window.place.title,
        "regions": len(complex),
        "share": window.share,
        "low": low.tolist(),
        "high": high.tolist(),
        "outputs": outputs,
        "all_outputs": network.output_dim,
        "corners": _base64((corners - low) / (high - low), "<f4"),
        "counts": _base64(np.array([len(p) for p in polygons]), "<u2"),
        "maps": _base64(maps, "<f4"),
        "classes": _base64(values.argmax(axis=1), "<u2") if network.output_dim > 1 else None,
        "values": _base64(values[:, 0], "<f4") if network.output_dim == 1 else None,
        "norms": _base64(window.norms, "<f4"),
        "complexity": None if window.complexity is None else _base64(window.complexity, "<f4"),
        "radius": window.radius,
        "whole": [end.tolist() for end in window.place.domain.bounds],
        "sample": _sample(window.sample),
        "axes": list(window.place.axes),
        "marks": _marks(window, points),
    }


def _sample(values: FloatArray | None) -> dict[str, Any] | None:
    """The grid over the whole window: the largest output of each point, or its only one."""
    if values is None:
        return None
    single = values.shape[2] == 1
    numbers = values[:, :, 0] if single else values.argmax(axis=2)
    return {"side": len(values), "numbers": _base64(numbers, "<f4" if single else "<u2")}


def _marks(window: Window, points: Points | None) -> list[list[float | int | None]]:
    """The data points in sight: place, number, class, and whether that is the predicted one."""
    some = zip(
        window.place.marks[:MOST_MARKS].tolist(), window.place.numbers[:MOST_MARKS].tolist(), strict=True
    )
    if points is None:
        return [[*t, i, None, None] for t, i in some]
    return [[*t, i, int(points.classes[i]), int(points.predicted[i])] for t, i in some]


@dataclass(frozen=True, eq=False)
class Points:
    """The classes of all data points, and the predicted ones, ``int[n]``."""

    classes: NDArray[np.int64]
    predicted: NDArray[np.int64]


def points_of(subject: Subject) -> Points | None:
    """The classes of the data, where it has some."""
    if subject.labels is None or subject.values is None:
        return None
    return Points(subject.labels, chosen(subject.values))


def colours() -> dict[str, list[str]]:
    """The colours of classes, and of numbers from small to large."""
    from polytope.plots.files import ramp

    return {"classes": list(CLASSES), "ramp": ramp(64)}


def _base64(array: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")
