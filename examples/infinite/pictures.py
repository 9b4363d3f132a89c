"""What the scripts of this folder share: dense networks, and their command line."""

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

Figures = dict[str, Any]


def dense(*widths: int) -> nn.Sequential:
    """A fully connected ReLU network."""
    layers = [layer for m, n in pairwise(widths) for layer in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def pyplot() -> ModuleType:
    """Matplotlib's pyplot, drawing into files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def show(text: str | None, measure: Callable[..., Figures], plot: Callable[[Figures, Path], None]) -> None:
    """Measure, print and draw as the command line asks."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the picture")
    parser.add_argument("--draws", type=int, help="networks to draw")
    given = parser.parse_args()
    result = measure() if given.draws is None else measure(given.draws)
    for name, value in result["figures"].items():
        print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
    if given.out:
        plot(result, given.out)
