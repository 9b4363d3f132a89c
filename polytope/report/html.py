"""The report as one self-contained page: a template filled in with everything escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

import jinja2
from markupsafe import Markup, escape

from polytope.labelled import ends, in_words, said
from polytope.report.findings import glance, standing
from polytope.report.sections import Report
from polytope.report.verdict import classifies
from polytope.report.view import Points, colours, packed
from polytope.report.windows import Window

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


def page(
    report: Report,
    windows: Sequence[Window],
    pictures: tuple[Picture, ...],
    points: Points | None = None,
) -> str:
    """The HTML page of a report. Its one script runs by its hash: no other can, whatever a name holds."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("polytope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "words": lambda number: unbroken(in_words(number)),
        "unbroken": unbroken,
        "said": said,
        "low": lambda number: max(ends(number)[0], 0.0),
        "name": shown,
        "name_long": partial(shown, longest=LONGEST_TEXT),
    }
    script, style = _part("window.js"), _part("report.css")
    return environment.get_template("report.html").render(
        report=report,
        standing=standing(report),
        glance=glance(report),
        classifies=classifies(report),
        named=partial(class_name, report.data.names if report.data else ()),
        pictures=pictures,
        titles=[window.place.title for window in windows],
        shares=[window.share for window in windows],
        sampled=[window.sample is not None for window in windows],
        windows=_data_block(report, windows, points),
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
    )


def unbroken(text: str) -> Markup:
    """Text with numbers such as 1e-06 kept on one line: a browser may break a line behind their hyphen."""
    marked = re.sub(r"[\d.]+e-\d+", r'<span class="number">\g<0></span>', str(escape(text)))
    return Markup(marked)  # noqa: S704  # all that was given is escaped


def _part(name: str) -> str:
    return (files("polytope.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash by which a page's policy admits an inline script or style."""
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"sha256-{digest}"


def _data_block(report: Report, windows: Sequence[Window], points: Points | None) -> str:
    """The windows as JSON that can stand between script tags: no character in it can end the block."""
    if not windows:
        return ""
    found = [packed(window, points) for window in windows]
    for window in found:
        window["title"] = shown(window["title"], LONGEST_TEXT)
    names = [shown(name) for name in report.data.names] if report.data else []
    content = {"windows": found, "colours": colours(), "names": names}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def shown(name: str, longest: int = LONGEST_NAME) -> str:
    """Text from a file in a form that is safe to show: printable and of bearable length."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return printable if len(printable) <= longest else printable[: longest - 1] + "…"


def class_name(names: Sequence[str], number: int) -> str:
    """A class as a reader knows it: its number, and its name where there is one."""
    return f"{number} {shown(names[number])}" if number < len(names) else str(number)


def window_picture(window: Window) -> Picture:
    """The regions of a plane as a picture that needs no script."""
    from polytope.plots.files import new_figure, svg_of
    from polytope.plots.regions import plot_regions

    figure = new_figure(dpi=160)
    plot_regions(
        window.complex,
        figure.subplots(),
        values=window.norms,
        label="gradient norm",
        polygons=window.polygons,
    )
    caption = f"The first window, {len(window.complex):,} regions, coloured by the gradient norm on each."
    return Picture(svg_of(figure), caption)
