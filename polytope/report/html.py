"""The report as one self-contained page: a template filled in with everything escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jinja2

from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex
from polytope.report.labels import in_words

LONGEST_NAME = 80
LONGEST_TEXT = 2000


@dataclass(frozen=True)
class Picture:
    """An SVG image with a caption."""

    svg: bytes
    caption: str

    @property
    def data_uri(self) -> str:
        """The image as an address that needs no network."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


def page(report: dict[str, Any], pictures: tuple[Picture, ...]) -> str:
    """The HTML page of a report."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("polytope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": in_words,
        "name": shown,
        "name_long": partial(shown, longest=LONGEST_TEXT),
    }
    return environment.get_template("report.html").render(report=report, pictures=pictures)


def shown(name: str, longest: int = LONGEST_NAME) -> str:
    """Text from a file in a form that is safe to show: printable and of bearable length."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def window_picture(complex: RegionComplex, polygons: Sequence[FloatArray] | None) -> tuple[Picture, ...]:
    """The regions of a plane as a picture; none where there are no outlines to draw."""
    if not polygons:
        return ()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from polytope.report.plots import plot_regions

    with mpl.rc_context({"svg.hashsalt": "polytope", "svg.fonttype": "path"}):
        figure = Figure(figsize=(6.4, 5.4), layout="constrained", dpi=160)
        plot_regions(complex, figure.subplots(), polygons=polygons)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    found = (
        f"the {len(complex):,} regions"
        if complex.complete
        else f"the {len(complex):,} regions found (not all)"
    )
    caption = f"The plane with {found}, coloured by the norm of the affine map on each."
    return (Picture(file.getvalue(), caption),)
