"""What the scripts of this folder share: the command line, and pictures of shares."""

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Figures = dict[str, Any]


def pyplot() -> ModuleType:
    """Matplotlib's pyplot, drawing into files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def shares(axes: Any, names: tuple[str, ...], values: np.ndarray, colour: str = "#0072b2") -> None:
    """Bars of shares ``[seeds, d]``: means over seeds, with standard deviations."""
    at = range(len(names))
    axes.barh(at, values.mean(axis=0), xerr=values.std(axis=0, ddof=1), color=colour)
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set_xlabel("share of the attribution")


def show(text: str | None, measure: Callable[..., Figures], plot: Callable[[Figures, Path], None]) -> None:
    """Measure, print and draw as the command line asks."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the picture")
    parser.add_argument("--steps", type=int, help="of training")
    given = parser.parse_args()
    result = measure() if given.steps is None else measure(given.steps)
    for name, value in result["figures"].items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    if given.out:
        plot(result, given.out)
