"""What a benchmark leaves in its folder: a table, a picture, JSON, and Parquet with every window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polytope.labelled import log10
from polytope.studies.log import Row
from polytope.studies.measure import radius_of
from polytope.studies.run import Bench
from polytope.studies.summary import as_json, markdown, summary

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("depth", pa.int64()),
        ("width", pa.int64()),
        ("initialisation", pa.string()),
        ("activation", pa.string()),
        ("skip", pa.bool_()),
        ("parameters", pa.int64()),
        ("seed", pa.int64()),
        ("epoch", pa.int64()),
        ("window", pa.int64()),
        ("regions_lower", pa.int64()),
        ("log10_regions_upper", pa.float64()),
        ("complete", pa.bool_()),
        ("linear_regions", pa.int64()),
        ("crossings", pa.list_(pa.int64())),
        ("accuracy", pa.float64()),
        ("local_complexity", pa.float64()),
        ("log10_bound", pa.float64()),
    ]
)


def write_files(bench: Bench, folder: Path) -> list[Path]:
    """Write ``table.md``, ``plot.svg``, ``summary.json`` and ``rows.parquet``; the paths."""
    from polytope.plots.files import new_figure, write_picture
    from polytope.studies.picture import MANY, plot_benchmark  # loads matplotlib

    lines, radius = summary(bench), radius_of(bench.data, bench.spec.measure)
    names = ("table.md", "plot.svg", "summary.json", "rows.parquet")
    table, plot, numbers, rows = (folder / name for name in names)
    table.write_text(markdown(bench, lines, radius), encoding="utf-8")
    facts = as_json(bench, lines, radius)
    numbers.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([w for row in bench.rows for w in _flat(row)], SCHEMA), rows)
    rows_of_names = len({line.architecture for line in lines})
    figure = new_figure(10.0, 4.2 if rows_of_names <= MANY else 0.26 * rows_of_names)
    plot_benchmark(lines, list(figure.subplots(1, 3)))
    write_picture(figure, plot)
    return [table, plot, numbers, rows]


def _flat(row: Row) -> list[dict[str, Any]]:
    """A run as one record for each window at each epoch."""
    own = {key: value for key, value in row.items() if key != "epochs"}
    return [
        own
        | {
            "epoch": int(epoch),
            "window": number,
            "regions_lower": window["lower"],
            "log10_regions_upper": log10(window["upper"]),
            "complete": window["lower"] == window["upper"],
            "linear_regions": window["linear"],
            "crossings": _sides(moment, number),
            "accuracy": moment["accuracy"],
            "local_complexity": sum(moment["local_complexity"]),
            "log10_bound": moment["log10_bound"],
        }
        for epoch, moment in row["epochs"].items()
        for number, window in enumerate(moment["windows"])
    ]


def _sides(moment: Row, number: int) -> list[int | None] | None:
    """Crossings on the three sides of a window's triangle; ``None`` where not counted to the end."""
    sides = moment.get("segments", [])[3 * number : 3 * number + 3]
    return [s["lower"] if s["lower"] == s["upper"] else None for s in sides] or None
