"""Pictures of what networks suggest: shares of columns, and outputs against targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from polytope.ir.maps import FloatArray
from polytope.plots.colours import SERIES
from polytope.plots.files import new_figure


def shares_figure(names: Sequence[str], shares: dict[str, FloatArray]) -> Figure:
    """Bars of the columns' shares by each measure, their means over seeds, with standard deviations.

    Arguments:
        names: of the d columns.
        shares: by measure, ``[seeds, d]``.
    """
    figure = new_figure(6.4, 0.6 + 0.5 * len(names), 150)
    axes = figure.add_subplot()
    height = 0.8 / len(shares)
    for number, (measure, values) in enumerate(shares.items()):
        at = np.arange(len(names)) + (number - (len(shares) - 1) / 2) * height
        axes.barh(
            at,
            values.mean(axis=0),
            height,
            xerr=values.std(axis=0, ddof=1),
            color=SERIES[number],
            label=measure,
        )
    axes.set_yticks(range(len(names)), [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, None)
    axes.set_xlabel("share (mean and standard deviation over seeds)")
    axes.legend(frameon=False)
    return figure


def outputs_figure(y: Sequence[FloatArray], outputs: Sequence[FloatArray], target: str) -> Figure:
    """Outputs on held-out rows against the target, a colour for each seed.

    Arguments:
        y: ``[k]`` for each seed, targets.
        outputs: ``[k]`` for each seed.
        target: its name.
    """
    figure = new_figure(4.6, 4.2, 150)
    axes = figure.add_subplot()
    for number, (values, found) in enumerate(zip(y, outputs, strict=True)):
        axes.plot(values, found, ".", color=SERIES[number % len(SERIES)], alpha=0.5, label=f"seed {number}")
    both = np.concatenate([*y, *outputs])
    ends = [both.min(), both.max()]
    axes.plot(ends, ends, color="0.4", linewidth=1, zorder=0)
    axes.set(xlabel=f"{_plain(target)}, held-out rows", ylabel="network")
    if len(y) <= len(SERIES):
        axes.legend(frameon=False, markerscale=2)
    return figure


def _plain(name: str) -> str:
    """A name whose dollars matplotlib does not take for formulas."""
    return name.replace("$", r"\$")
