"""Bars of what networks use, beside what the scripts of all folders share."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from showing import Figures, pyplot, show

__all__ = ["Figures", "pyplot", "shares", "show"]


def shares(axes: Any, names: tuple[str, ...], values: np.ndarray, colour: str = "#0072b2") -> None:
    """Bars of shares ``[seeds, d]``: means over seeds, with standard deviations."""
    at = range(len(names))
    axes.barh(at, values.mean(axis=0), xerr=values.std(axis=0, ddof=1), color=colour)
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set_xlabel("share of the attribution")
