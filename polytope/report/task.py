"""What a network is used for, as its data says: classes among the outputs, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray

Kind = Literal["classification", "regression", "not known"]
TWO = 2  # classes of a network with one output: its sign tells them apart


@dataclass(frozen=True, eq=False)
class Task:
    """What the labels of the data say that the outputs are.

    Arguments:
        kind: ``"not known"`` without labels.
        classes: ``int[n]``, of a classification: the output that should be the largest; of one output, 1
            where it should be positive and 0 where not.
        targets: ``[n, out]``, of a regression: what the outputs should be.
    """

    kind: Kind = "not known"
    classes: NDArray[np.int64] | None = None
    targets: FloatArray | None = None


NO_TASK = Task()


def task_of(labels: ArrayLike | None, points: int, outputs: int) -> Task:
    """The task of a network whose data has these labels: whole numbers are classes, others are targets.

    Of one output, labels of two values are classes, told apart by the sign; more are targets.

    Arguments:
        labels: ``[points]``, or ``[points, outputs]`` for targets.

    Raises:
        ValueError: they have another shape, are not finite numbers, or name an output that does not exist.
    """
    if labels is None:
        return Task()
    given = np.asarray(labels)
    if given.dtype.kind not in "fiub" or not np.isfinite(given).all():
        raise ValueError("Data: labels must be finite numbers: classes counted from 0, or target values.")
    if given.shape == (points, 1):
        given = given[:, 0]
    if given.shape not in ((points,), (points, outputs)):
        raise ValueError(f"Data: labels must have shape [{points}], got {given.shape}.")
    whole = given.ndim == 1 and bool((given == np.round(given)).all())
    if outputs == 1 and whole and len(values := np.unique(given)) <= TWO and set(values) <= {-1, 0, 1}:
        return Task("classification", (given > 0).astype(np.int64))
    if outputs > 1 and whole:
        return Task("classification", _classes(given, outputs))
    if given.size != points * outputs:
        raise ValueError(
            f"Data: labels of shape {given.shape} that are not whole numbers are values, and must have "
            f"shape [{points}, {outputs}], one for every output."
        )
    return Task("regression", targets=given.astype(float).reshape(points, outputs))


def _classes(labels: NDArray[np.generic], outputs: int) -> NDArray[np.int64]:
    """Whole labels as numbers of outputs."""
    classes = labels.astype(np.int64)
    if (wrong := np.flatnonzero((classes < 0) | (classes >= outputs))).size:
        i = int(wrong[0])
        raise ValueError(
            f"Data: label {classes[i]} of point {i} names no output: there are {outputs}, counted from 0."
        )
    return classes


def chosen(outputs: FloatArray) -> NDArray[np.int64]:
    """The largest output; of a single one, 1 where it is positive."""
    return outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(np.int64)
