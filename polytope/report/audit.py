"""The audit: a network and a domain in; a report for people (HTML) and for machines (JSON) out."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polytope.geometry import Polyhedron, Slice
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.measures.units import unit_use
from polytope.regions.complex import RegionComplex
from polytope.regions.enumerate import enumerate_regions
from polytope.regions.found import Engine, Progress
from polytope.regions.sampling import Sampling
from polytope.report.complexity import complexity_facts, default_radius
from polytope.report.html import Picture, page, window_picture
from polytope.report.model import model_facts, unit_facts
from polytope.report.regions import (
    Allowance,
    adjacency_numbers,
    coverage,
    plane_outlines,
    region_numbers,
    search_facts,
)
from polytope.report.scope import Scope, default_scope, polytope_scope
from polytope.report.verdict import verdict

SCHEMA_VERSION = 1
PACKAGES = ("numpy", "scipy", "highspy", "numba", "networkx", "torch", "onnx", "onnxruntime")

Stage = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Arguments:
        report: the content of ``report.json``; every number in it carries a label.
        regions: the complex that it speaks about.
        pictures: for the page.
    """

    report: dict[str, Any]
    regions: RegionComplex
    pictures: tuple[Picture, ...] = ()

    def write_json(self, path: str | Path) -> Path:
        """Write the report for machines; ``polytope/report/templates/report.schema.json`` describes it."""
        Path(path).write_text(json.dumps(self.report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return Path(path)

    def write_html(self, path: str | Path) -> Path:
        """Write the report for people: one file that opens from disk and loads nothing."""
        Path(path).write_text(page(self.report, self.pictures), encoding="utf-8", errors="backslashreplace")
        return Path(path)


def audit(
    network: Network,
    domain: Polyhedron | Scope | None = None,
    *,
    window: Slice | None = None,
    around: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    radius: float | None = None,
    engine: Engine | None = None,
    max_regions: int | None = 100_000,
    max_seconds: float | None = 60.0,
    file: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    stage: Stage | None = None,
) -> Audit:
    r"""Ask a network everything that a reader of its file wants to know, within a budget.

    Arguments:
        network: a piecewise-affine network.
        domain: where to look, in the coordinates of the window or of the input. By default around the data,
            or near the origin; the report says which.
        window: a slice of the input space that the domain lies in.
        around: data points ``[n, d]`` or ``[n, *input_shape]`` for local complexity.
        labels: their classes, ``int[n]``.
        radius: of the local complexity; by default a twentieth of the median distance between points.
        engine, max_regions, max_seconds: as in ``enumerate_regions``. Every follow-up question that would
            take longer than ``max_seconds`` by itself is left out, and the report says so.
        file: the model file, for its name, size and hash.
        command: how to repeat the audit, as shown in the report.
        progress: called with the numbers of regions found and of open cells.
        stage: called with a few words when a new question is begun.

    Raises:
        ValueError: domain, points or labels do not fit the network.
        EmptyDomainError: the domain has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> pt.audit(net, pt.Polyhedron.box([-1], [1])).report["regions"]["activation"]
        {'label': 'exact', 'value': 2}
    """
    tell = stage or (lambda _: None)
    points, classes = _data(network, around, labels)
    scope = _scope(network, domain, window, points)
    inside = scope.restricted(network)
    tell("regions")
    complex = enumerate_regions(
        inside, scope.domain, engine, max_regions=max_regions, max_seconds=max_seconds, progress=progress
    )
    allowance = Allowance(max_seconds if max_seconds is not None else float("inf"))
    tell("units")
    sampled = _sampled(complex)
    report = {
        "schema": "polytope-audit",
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model_facts(network, Path(file) if file else None),
        "domain": _domain_facts(scope),
        "budget": {"max_regions": max_regions, "max_seconds": max_seconds},
        "search": search_facts(complex),
        "units": _unit_section(inside, complex, sampled),
    }
    tell("linear regions and pieces")
    report["regions"] = region_numbers(complex, len(sampled) if sampled else 0, allowance)
    tell("adjacency")
    report["adjacency"] = adjacency_numbers(complex, allowance)
    tell("outlines")
    polygons = plane_outlines(complex, allowance)
    report["coverage"] = coverage(complex, polygons)
    tell("local complexity")
    report["local_complexity"] = _complexity(network, points, classes, radius, allowance)
    tell("picture")
    pictures = window_picture(complex, polygons)
    report |= {"not_done": allowance.left_out, "command": command, "environment": _environment()}
    report["verdict"] = verdict(report)
    return Audit(report, complex, pictures)


def _scope(
    network: Network, domain: Polyhedron | Scope | None, window: Slice | None, points: FloatArray | None
) -> Scope:
    if isinstance(domain, Scope):
        return domain
    if domain is not None:
        return polytope_scope(domain, window)
    if window is not None:
        raise ValueError(
            "audit: a window needs a domain in its coordinates, such as Polyhedron.box([-1, -1], [2, 2])."
        )
    return default_scope(network, points)


def _data(
    network: Network, around: ArrayLike | None, labels: ArrayLike | None
) -> tuple[FloatArray | None, Any]:
    """The points as rows, and their labels."""
    if around is None:
        if labels is not None:
            raise ValueError("audit: labels need the points that they belong to (around=...).")
        return None, None
    x = np.asarray(around, dtype=float)
    if x.ndim < 2 or not len(x) or x[0].size != network.input_dim:
        raise ValueError(f"audit: around must have shape [n, {network.input_dim}], got {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError("audit: around holds a value that is not a finite number; leave such points out.")
    classes = None if labels is None else np.asarray(labels).astype(np.int64)
    if classes is not None and classes.shape != (len(x),):
        raise ValueError(f"audit: labels must have shape [{len(x)}], got {classes.shape}.")
    return x.reshape(len(x), -1), classes


def _sampled(complex: RegionComplex) -> RegionComplex | None:
    """Regions hit by random points, where the search itself was stopped."""
    if complex.complete or not complex.domain.is_bounded:
        return None
    return enumerate_regions(complex.network, complex.domain, Sampling(4096), max_seconds=10.0)


def _unit_section(
    network: Network, complex: RegionComplex, sampled: RegionComplex | None
) -> dict[str, Any] | None:
    """``None`` where not a single region was found, so that nothing is known."""
    known = complex if len(complex) else sampled
    if known is None or not len(known):
        return None
    return unit_facts(network, unit_use(known, sampled.patterns if sampled else None))


def _complexity(
    network: Network, points: FloatArray | None, classes: Any, radius: float | None, allowance: Allowance
) -> dict[str, Any] | None:
    if points is None or not network.n_units:
        return None
    chosen = default_radius(points) if radius is None else radius
    if chosen <= 0 and radius is None:
        allowance.refuse(
            "local complexity", "the data points coincide, so no radius suggests itself; give one"
        )
        return None
    facts = complexity_facts(network, points, classes, chosen, seconds=allowance.seconds / 4)
    if facts["points"] < facts["points_given"]:
        rest = facts["points_given"] - facts["points"]
        why = f"the first {facts['points']:,} took a quarter of the time allowed"
        allowance.refuse(f"local complexity at the other {rest:,} data points", why)
    return facts | {"radius_chosen_by": "default" if radius is None else "user"}


def _domain_facts(scope: Scope) -> dict[str, Any]:
    return {
        "kind": scope.kind,
        "dim": scope.domain.dim,
        "description": scope.description,
        "chosen_by": scope.chosen_by,
        "low": None if scope.low is None else scope.low.tolist(),
        "high": None if scope.high is None else scope.high.tolist(),
    }


def _environment() -> dict[str, str]:
    """Versions of what took part."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in ("polytope-nn", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
