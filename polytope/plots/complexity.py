"""Pictures of local complexity: over a window, by class, and through training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.geometry.slice import Slice
from polytope.given import NetworkLike, as_network
from polytope.measures.local_complexity.count import LocalComplexity, local_complexity
from polytope.measures.spline_features import SplineFeatures

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_complexity_map(
    network: NetworkLike,
    window: Slice,
    radius: float,
    ax: Axes | None = None,
    *,
    low: tuple[float, float] = (-1.0, -1.0),
    high: tuple[float, float] = (2.0, 2.0),
    resolution: int = 100,
    frames: int | ArrayLike | None = None,
    cmap: str = "viridis",
) -> Axes:
    """Draw the crossing count around the points of a plane, as an image.

    Arguments:
        network: a network.
        window: a plane in its input space.
        radius: of the neighbourhoods, in the distance of the input space, where they lie.
        frames: the number of directions, or a frame ``[P, d]``, as in ``local_complexity``.
        ax: where to draw; a new figure's axes by default.
        low, high: corners of the part of the plane that is drawn, in the window's coordinates.
        resolution: points along each side.
        cmap: a colour map of matplotlib.

    Raises:
        ValueError: the window is not a plane.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
        >>> ax = plot_complexity_map(net, pt.Slice([0.0, 0.0], np.eye(2)), 0.1, resolution=5)
        >>> ax.images[0].get_array().shape
        (5, 5)
    """
    network = as_network(network)
    if window.dim != 2:
        raise ValueError(f"plot_complexity_map draws planes; this window has {window.dim} dimensions.")
    across, up = (np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True))
    t = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    counts = local_complexity(network, window.lift(t), radius, frames=frames).total
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    image = ax.imshow(
        counts.reshape(resolution, resolution),
        origin="lower",
        extent=(low[0], high[0], low[1], high[1]),
        cmap=cmap,
    )
    ax.set_xlabel("first coordinate")
    ax.set_ylabel("second coordinate")
    ax.figure.colorbar(image, ax=ax, label=f"units that change piece within {radius:.3g}")
    return ax


def plot_complexity_histogram(
    complexity: LocalComplexity,
    ax: Axes | None = None,
    *,
    labels: ArrayLike | None = None,
    correct: ArrayLike | None = None,
    bins: int = 20,
) -> Axes:
    """Draw how local complexity is distributed over points, by class or correct against wrong predictions.

    Arguments:
        complexity: of B points.
        ax: where to draw; a new figure's axes by default.
        labels: classes, ``int[B]``: one outline for each.
        correct: whether a prediction is right, ``bool[B]``: one outline for right and one for wrong.
        bins: number of bins.

    Raises:
        ValueError: both labels and correct are given, or not one for each point.

    Example:
        >>> found = LocalComplexity(np.array([[1], [4], [2]]))
        >>> ax = plot_complexity_histogram(found, correct=[True, False, True])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['wrong (1)', 'correct (2)']
    """
    total = complexity.total
    if labels is not None and correct is not None:
        raise ValueError("Give labels or correct: a histogram is by one of them.")
    groups = _groups(len(total), labels, correct)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    edges = np.histogram_bin_edges(total, bins)
    for name, members in groups.items():
        if members.any():
            label = f"{name} ({members.sum()})"
            ax.hist(total[members], bins=edges.tolist(), histtype="step", density=True, label=label)
    ax.set_xlabel("local complexity")
    ax.set_ylabel("share of the group's points, per unit")
    ax.legend()
    return ax


def _groups(n: int, labels: ArrayLike | None, correct: ArrayLike | None) -> dict[str, NDArray[np.bool_]]:
    """The points of each group by its name."""
    if labels is None and correct is None:
        return {"points": np.ones(n, dtype=bool)}
    given = np.asarray(correct, dtype=bool) if labels is None else np.asarray(labels)
    if given.shape != (n,):
        raise ValueError(f"One label for each of {n} points is needed, got shape {given.shape}.")
    if labels is None:
        return {"wrong": ~given, "correct": given}
    return {f"class {k}": given == k for k in np.unique(given)}


def plot_complexity_training(
    steps: Sequence[int], means: ArrayLike, ax: Axes | None = None, *, label: str = "local complexity"
) -> Axes:
    """Draw recorded local complexity against the training step, which is on a logarithmic scale.

    Arguments:
        steps: as ``ComplexityRecorder.steps``.
        means: one number for each step, or ``[steps, layers]``, which are summed.
        ax: where to draw; a new figure's axes by default.
        label: the curve's name.

    Example:
        >>> ax = plot_complexity_training([0, 10], [[1.0, 2.0], [2.0, 2.0]])
        >>> ax.lines[0].get_ydata().tolist()
        [3.0, 4.0]
    """
    heights = np.asarray(means, dtype=float).reshape(len(steps), -1).sum(axis=1)
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    ax.plot(np.asarray(steps) + 1, heights, marker=".", label=label)
    ax.set_xscale("log")
    ax.set_xlabel("training step, from 1")
    ax.set_ylabel("mean number of units that change sign")
    ax.legend()
    return ax


def plot_spline_features(
    features: SplineFeatures,
    ax: Axes | None = None,
    *,
    what: str = "distance",
    sample: int = 0,
    tokens: Sequence[str] | None = None,
    cmap: str = "viridis",
) -> Axes:
    """Draw a feature of one sample, a row for each block and a column for each token.

    Arguments:
        features: of blocks that all have the same number of tokens.
        ax: where to draw; a new figure's axes by default.
        what: "positive", "distance" or "angle".
        sample: its number.
        tokens: names of the tokens.
        cmap: a colour map of matplotlib.

    Raises:
        ValueError: there is no such feature, or the blocks have unlike numbers of tokens.

    Example:
        >>> one = (np.array([[0.5, 0.25]]),)
        >>> ax = plot_spline_features(SplineFeatures(("norm",), one, one, one), tokens=["a", "b"])
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['a', 'b']
    """
    labels = {
        "positive": "share of positive units",
        "distance": "distance to a change of sign",
        "angle": "angle to a change of sign (radians)",
    }
    if what not in labels:
        raise ValueError(f"what must be one of {', '.join(map(repr, labels))}, not {what!r}.")
    rows = [values[sample] for values in getattr(features, what)]
    if len({len(row) for row in rows}) != 1:
        raise ValueError("The blocks have unlike numbers of tokens: draw them apart.")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    image = ax.imshow(np.stack(rows), aspect="auto", cmap=cmap)
    ax.set_yticks(range(len(rows)), features.blocks)
    ax.set_xlabel("token")
    if tokens is not None:
        ax.set_xticks(range(len(rows[0])), tokens)
    ax.figure.colorbar(image, ax=ax, label=labels[what])
    return ax
