"""Figures without a window, and how they become files: SVG, PNG and PDF that are equal for equal input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
DPI = 200
"""Of PNG files, and of what is drawn as pixels in the others."""

REPEATABLE: Any = {"svg.hashsalt": "polytope", "svg.fonttype": "path"}


def new_figure(width: float = 6.4, height: float = 5.4, dpi: int = DPI) -> Figure:
    """A figure of so many inches that belongs to no window."""
    return Figure(figsize=(width, height), layout="constrained", dpi=dpi)


def picture_format(path: Path) -> str:
    """The format that a path's suffix names.

    Raises:
        ValueError: it names none.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path.name!r} must end in one of {', '.join(FORMATS)}.")
    return path.suffix.lower()


def write_picture(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the path's suffix; equal figures give equal files.

    Raises:
        ValueError: the suffix names no format.
    """
    kind = picture_format(path)
    dates: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context(REPEATABLE):
        figure.savefig(path, metadata=dates.get(kind))
    return path


def svg_of(figure: Figure) -> bytes:
    """A figure as an SVG file; equal figures give equal files."""
    file = io.BytesIO()
    with mpl.rc_context(REPEATABLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def ramp(n: int) -> list[str]:
    """So many colours, as ``#rrggbb``, for numbers from small to large."""
    colours = mpl.colormaps["viridis"]
    return [to_hex(colours(i / (n - 1))) for i in range(n)]
