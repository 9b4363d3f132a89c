"""Dense networks, beside what the scripts of all folders share."""

import sys
from itertools import pairwise
from pathlib import Path

from torch import nn

sys.path.append(str(Path(__file__).parents[1]))
from showing import Figures, pyplot, show

__all__ = ["Figures", "dense", "pyplot", "show"]


def dense(*widths: int) -> nn.Sequential:
    """A fully connected ReLU network."""
    layers = [layer for m, n in pairwise(widths) for layer in (nn.Linear(m, n), nn.ReLU())]
    return nn.Sequential(*layers[:-1])
