"""The images of a benchmark: training and test sets, and planes through test images."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.geometry import Slice
from polytope.ir.maps import FloatArray
from polytope.labelled import Exact, plural
from polytope.report.points import LABEL_NAMES, POINT_NAMES, read_arrays
from polytope.studies.spec import Spec

TRIALS = 100  # of choosing three images that are not on a line


@dataclass(frozen=True, eq=False)
class Data:
    """Images ``[n, d]`` and their classes ``int[n]``, for training and for testing.

    Arguments:
        x, y: of the training images.
        x_test, y_test: of the test images.
        classes: number of classes.
        digest: the SHA-256 of all of them.
    """

    x: FloatArray
    y: NDArray[np.int64]
    x_test: FloatArray
    y_test: NDArray[np.int64]
    classes: int
    digest: str


def read_data(spec: Spec, file: Path | None = None) -> Data:
    """The images that a specification names.

    Arguments:
        spec: a benchmark.
        file: an ``.npz`` in the place of the one that it names.

    Raises:
        ValueError: scikit-learn is missing, the file does not fit, or it holds too few images.
    """
    given = spec.data
    if given.name == "digits":
        if file is not None:
            raise ValueError("--data is for specifications with data.name = 'npz'; this one takes digits.")
        images, labels = _digits()
    else:
        images, labels = _npz(file or spec.folder / given.file)
    wanted = given.train + given.test
    if wanted > len(images):
        raise ValueError(f"data.train + data.test = {wanted:,} images are asked for of {len(images):,}.")
    order = np.random.default_rng(0).permutation(len(images))[:wanted]
    x = images[order].reshape(wanted, -1).astype(float) / given.scale
    if not np.isfinite(x).all():
        raise ValueError("An image holds a value that is not a finite number.")
    y = labels[order].astype(np.int64)
    names, y = np.unique(y, return_inverse=True)
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    n = given.train
    return Data(x[:n], y[:n], x[n:], y[n:], len(names), digest)


def planes(data: Data, number: int) -> list[Slice]:
    """Planes through three test images, of different classes where there are three; always the same ones.

    Raises:
        ValueError: the images have one number each, or the test images are of one class or on a line.
    """
    rng = np.random.default_rng(1)
    present = np.unique(data.y_test)
    if len(present) < 2 or data.x.shape[1] < 2:
        classes = "one class" if len(present) == 1 else f"{len(present)} classes"
        numbers = plural(Exact(data.x.shape[1]), "number")
        raise ValueError(
            "Windows go through images of two classes and two numbers at least; the test images have "
            f"{classes} and {numbers} each."
        )
    return [_plane(data, present, rng) for _ in range(number)]


def _plane(data: Data, present: NDArray[np.int64], rng: np.random.Generator) -> Slice:
    """The plane through three images; with two classes one has two of them."""
    for _ in range(TRIALS):
        if len(present) >= 3:
            chosen = rng.choice(present, 3, replace=False)
        else:
            chosen = np.append(present, rng.choice(present))
        corners = [data.x_test[rng.choice(np.flatnonzero(data.y_test == k))] for k in chosen]
        with suppress(ValueError):  # they lie on a line
            return Slice.through(*corners)
    raise ValueError(f"No three test images span a plane: {TRIALS} choices of them lay on lines.")


def _digits() -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError("data.name = 'digits' needs scikit-learn: pip install scikit-learn.") from error
    images, labels = load_digits(return_X_y=True)
    return images, labels


def _npz(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    arrays = read_arrays(path)
    images = next((arrays[name] for name in POINT_NAMES if name in arrays), None)
    labels = next((arrays[name] for name in LABEL_NAMES if name in arrays), None)
    if images is None or labels is None or labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path.name} must hold images (or X) and one whole number for each in labels (or y)."
        )
    if images.dtype.kind not in "fiub" or images.ndim < 2:
        raise ValueError(f"{path.name}: the images are {images.dtype}{list(images.shape)}, not numbers.")
    return images, labels
