"""What a caller gives an audit: what it clearly means, or a sentence that says what to give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from polytope.engines.bars import Bar
from polytope.geometry import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_domain, as_network, described, runtime_of
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.paths import as_path
from polytope.report.asked import AuditBudget, Data, ModelFile, Requirements, Silence, Watch
from polytope.report.points import points_from_file
from polytope.report.scope import Scope

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

DataLike: TypeAlias = "Data | ArrayLike | tuple[ArrayLike, ArrayLike] | str | os.PathLike[str]"
"""Data points ``[n, d]``, or a pair of them with their labels, or a file as of ``polytope audit --data``."""


def as_model(given: NetworkLike | ModelFile) -> ModelFile:
    """A network with its file and runtime, as far as they are known.

    Arguments:
        given: a network, with its file or alone, or what it is read from.

    Raises:
        TypeError, LoadError: as of ``as_network``.
    """
    if isinstance(given, ModelFile):
        return given
    network = as_network(given)
    path = given if isinstance(given, str | os.PathLike) else None
    return ModelFile(network, None if path is None else os.fspath(path), runtime_of(network))


def as_scope(given: DomainLike | Scope | None, network: Network) -> Polyhedron | Scope | None:
    """Where to look.

    Arguments:
        given: a polyhedron, a box in numbers, or a scope; ``None`` for the default.
        network: the network.

    Raises:
        TypeError: it is none of them, such as data points.
    """
    if given is None or isinstance(given, Scope | Polyhedron):
        return given
    try:
        return as_domain(given, network.input_dim)
    except TypeError as error:
        raise TypeError(f"{error} Data points are given as data=X.") from error


def as_data(given: DataLike | None, network: Network) -> Data | None:
    """Data points, perhaps with their labels.

    Arguments:
        given: ``Data``, points ``[n, d]``, a pair of points and labels, or a file of them.
        network: whose input they are.

    Raises:
        TypeError: it is none of them.
        ValueError: the file cannot be read, or does not fit the network.
    """
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        read = points_from_file(as_path(given, "data"), network)
        return Data(read.x, read.labels)
    points: Any = given
    labels: Any = None
    radius: float | None = None
    if isinstance(given, Data):
        points, labels, radius = given.points, given.labels, given.radius
    elif isinstance(given, tuple) and len(given) == 2:
        points, labels = given
    expected = (
        "data: points are expected, [n, d], or a pair (X, y) with labels, or a file of them, not "
        f"{described(given)}."
    )
    if isinstance(points, str | bytes) or points is None:
        raise TypeError(expected)
    try:
        table = floats(points)
    except (TypeError, ValueError) as error:
        raise TypeError(expected) from error
    if table.ndim < 2:
        raise TypeError(expected)
    return Data(table, labels if labels is None else _whole(labels), radius)


def _whole(labels: Any) -> Any:
    """Labels as they are; tensors as arrays."""
    return labels.detach().cpu().numpy() if hasattr(labels, "detach") else labels


def as_budget(given: AuditBudget | float | str | None) -> AuditBudget:
    """What an audit may spend.

    Arguments:
        given: a budget, or its seconds, as a number or a text such as "20s".

    Raises:
        TypeError: it is neither.
        ValueError: the time is not positive.
    """
    if given is None:
        return AuditBudget()
    return given if isinstance(given, AuditBudget) else AuditBudget(given)


def as_requirements(given: Requirements | None) -> Requirements:
    """What must hold.

    Arguments:
        given: the requirements.

    Raises:
        TypeError: something else.
    """
    if given is None or isinstance(given, Requirements):
        return given or Requirements()
    raise TypeError(
        'required: pt.Requirements(properties=["p.vnnlib"], fail_on=["dead_units>0.1"]) is expected, not '
        f"{described(given)}."
    )


@contextmanager
def shown(progress: bool, watch: Watch | None) -> Iterator[Watch]:
    """Whom the audit tells how far it is.

    Arguments:
        progress: whether a bar is shown.
        watch: who is told instead.

    Raises:
        ValueError: both are given.
    """
    if progress and watch is not None:
        raise ValueError("audit: give progress=True or a watch; not both.")
    if not progress:
        yield watch or Silence()
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.stage("")
