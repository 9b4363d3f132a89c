"""Pictures of what networks suggest: shares of columns, and outputs against targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from polytope.ir.maps import FloatArray
from polytope.plots.colours import SERIES
from polytope.plots.files import new_figure

LONGEST = 40  # characters of a name


def shares_figure(names: Sequence[str], shares: dict[str, FloatArray]) -> Figure:
    """Bars of the columns' shares by each measure, their means over seeds, with standard deviations.

    Arguments:
        names: of the d columns.
        shares: by measure, ``[seeds, d]``.
    """
    said = [_plain(name) for name in names]
    figure = new_figure(5.6 + 0.08 * max(map(len, said)), 1.2 + 0.5 * len(names), 150)
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
    axes.set_yticks(range(len(names)), said)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, None)
    axes.set_xlabel("share: mean and standard deviation over seeds")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(shares))
    return figure


def outputs_figure(y: Sequence[FloatArray], outputs: Sequence[FloatArray], target: str) -> Figure:
    """Outputs on held-out rows against the target, a colour for each seed where there are colours enough.

    Arguments:
        y: ``[k]`` for each seed, targets.
        outputs: ``[k]`` for each seed.
        target: its name.
    """
    figure = new_figure(4.6, 4.2, 150)
    axes = figure.add_subplot()
    few = len(y) <= len(SERIES)
    for number, (values, found) in enumerate(zip(y, outputs, strict=True)):
        colour = SERIES[number if few else 0]
        axes.plot(values, found, ".", color=colour, alpha=0.5, label=f"seed {number}")
    both = np.concatenate([*y, *outputs])
    ends = [both.min(), both.max()]
    axes.plot(ends, ends, color="0.4", linewidth=1, zorder=0)
    name = _plain(target)
    axes.set(xlabel=f"{name}, held-out rows", ylabel="network" if few else f"networks of {len(y)} seeds")
    if few:
        axes.legend(frameon=False, markerscale=2)
    return figure


def _plain(name: str) -> str:
    """A name in one line, without its middle where it is long, whose dollars are no formulas."""
    name = " ".join(name.split())
    if len(name) > LONGEST:
        name = f"{name[: LONGEST // 2]} ... {name[5 - LONGEST // 2 :]}"
    return name.replace("$", r"\$")
