"""The picture of a benchmark: accuracy, regions and local complexity, architecture by architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polytope.plots.colours import SERIES
from polytope.studies.run import in_words
from polytope.studies.summary import Line, Mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY = 12
"""Architectures above which their names stand beside the panels, one below the other."""


def plot_benchmark(lines: Sequence[Line], axes: Sequence[Axes]) -> None:
    """Draw three panels; a point is a mean over seeds, its bar the 95 % confidence interval.

    Arguments:
        lines: of ``summary``.
        axes: three.
    """
    architectures = list(dict.fromkeys(line.architecture for line in lines))
    epochs = list(dict.fromkeys(line.epoch for line in lines))
    shift = np.linspace(-0.22, 0.22, len(epochs)) if len(epochs) > 1 else np.zeros(1)
    down = len(architectures) > MANY
    _name(axes, [in_words(a) for a in architectures], down)
    for number, epoch in enumerate(epochs):
        own = {line.architecture: line for line in lines if line.epoch == epoch}
        chosen = [own[a] for a in architectures]
        place = np.arange(len(chosen)) + shift[number]
        label = "before training" if epoch == 0 else f"after {epoch} epoch{'s' * (epoch > 1)}"
        colour = SERIES[number % len(SERIES)]
        for ax, means in zip(
            axes,
            ([c.accuracy for c in chosen], [c.regions for c in chosen], [c.complexity for c in chosen]),
            strict=True,
        ):
            _bars(ax, place, means, colour, label, down)
    if down:
        axes[1].set_xscale("log")
        axes[0].set_xlim(0, 1.02)
        axes[2].set_xlim(left=0)
    else:
        axes[1].set_yscale("log")
        axes[0].set_ylim(0, 1.02)
        axes[2].set_ylim(bottom=0)
    axes[0].legend(fontsize="small")


def _name(axes: Sequence[Axes], names: list[str], down: bool) -> None:
    """Titles, and the names of the architectures: below each panel, or once from top to bottom."""
    titles = (
        "accuracy on test images",
        "activation regions of a window",
        "units with a crossing near an image",
    )
    for number, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        ax.set_title(title, fontsize="medium")
        ax.grid(axis="x" if down else "y", alpha=0.3)
        if down:
            ax.set_yticks(range(len(names)), [] if number else names)
            ax.set_ylim(len(names) - 0.5, -0.5)
        else:
            ax.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)


def _bars(ax: Axes, place: np.ndarray, means: Sequence[Mean], colour: str, label: str, down: bool) -> None:
    """Points with their intervals."""
    values = [mean.value for mean in means]
    margins = [mean.margin or 0.0 for mean in means]
    style: dict[str, Any] = {"fmt": "o", "ms": 4, "capsize": 2, "color": colour, "label": label}
    if down:
        ax.errorbar(values, place, xerr=margins, **style)
    else:
        ax.errorbar(place, values, yerr=margins, **style)
