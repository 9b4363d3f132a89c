"""What an audit is about: the network, the part of the input space looked at, data points, the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.geometry import Polyhedron, Slice
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.labelled import Exact, plural
from polytope.report.asked import Data, ModelFile, Runtime
from polytope.report.scope import Scope, default_scope
from polytope.report.task import NO_TASK, TWO, Task, task_of

CHUNK = 256  # points in one pass
LARGEST_BOX = 4096  # dimensions of a box whose rows are made: 256 MB


@dataclass(frozen=True, eq=False)
class Subject:
    """What the questions of an audit are asked about.

    Arguments:
        network: on the whole input space.
        scope: the domain, and the window that it lies in.
        points: data points ``[n, d]``, at least one; ``None`` for none.
        task: what their labels say that the outputs are.
        names: of the classes, by number; empty where they have none.
        runtime: the model's own, ``[B, d]`` to ``[B, out]``.
    """

    network: Network
    scope: Scope
    points: FloatArray | None = None
    task: Task = NO_TASK
    names: tuple[str, ...] = ()
    runtime: Runtime | None = None

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The classes of the points, ``int[n]``, where they have some."""
        return self.task.classes

    @cached_property
    def values(self) -> FloatArray | None:
        """The outputs at the points, ``[n, out]``."""
        if self.points is None:
            return None
        return np.concatenate(
            [self.network(self.points[i : i + CHUNK]) for i in range(0, len(self.points), CHUNK)]
        )

    @cached_property
    def inside(self) -> Network:
        """The network as a function of the domain's coordinates."""
        return self.scope.restricted(self.network)

    @cached_property
    def radius(self) -> float:
        """The radius of neighbourhoods that suits the points; 0 without any."""
        return 0.0 if self.points is None else default_radius(self.points)

    @cached_property
    def data_box(self) -> Polyhedron | None:
        """The bounding box of the data; coordinates that do not vary are given a little room.

        ``None`` without data, and in so many dimensions that its rows, a matrix, would fill the memory.
        """
        if self.points is None or self.points.shape[1] > LARGEST_BOX:
            return None
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        room = 1e-6 * max(float(np.abs(self.points).max()), 1e-300)
        return Polyhedron.box(low - room * (low == high), high + room * (low == high))


def default_radius(x: FloatArray) -> float:
    """A twentieth of the median distance between two of the first points; 0 where they coincide."""
    some = x[:100]
    distances = np.linalg.norm(some[:, None] - some[None, :], axis=2)
    return 0.05 * float(np.median(distances[np.triu_indices(len(some), 1)])) if len(some) > 1 else 0.0


def to_distances(window: Slice | None, dim: int) -> FloatArray:
    """The matrix K ``[k, k]`` with t = K u, where u are coordinates of a window in which lengths are true.

    With the directions D of the window, D D^T = L L^T, K is the inverse of L^T.
    """
    if window is None:
        return np.eye(dim)
    gram = window.directions @ window.directions.T
    if (gram == np.eye(dim)).all():
        return np.eye(dim)
    K: FloatArray = np.linalg.inv(np.linalg.cholesky(gram).T)
    return K


def subject_of(model: ModelFile, domain: Polyhedron | Scope | None, data: Data | None) -> Subject:
    """The subject of an audit.

    Raises:
        ValueError: domain, points or labels do not fit the network.
    """
    points, task = (None, Task()) if data is None else _data(model.network, data)
    if domain is None:
        domain = default_scope(model.network, points)
    scope = domain if isinstance(domain, Scope) else Scope.of(domain)
    names = _names(model, task)
    subject = Subject(model.network, scope, points, task, names, model.runtime)
    assert subject.inside.layers, "the scope fits"
    return subject


def _names(model: ModelFile, task: Task) -> tuple[str, ...]:
    """The names of the classes, one for every output; of one output two, of no and yes."""
    names, outputs = tuple(map(str, model.classes)), model.network.output_dim
    classes = outputs if outputs > 1 else TWO
    if names and (len(names) != classes or task.kind == "regression"):
        given = plural(Exact(len(names)), "class name")
        verb = "is" if len(names) == 1 else "are"
        raise ValueError(f"{given} {verb} given, and the network tells {classes} classes apart.")
    return names


def _data(network: Network, data: Data) -> tuple[FloatArray, Task]:
    """The points as rows, and what their labels say."""
    x = np.asarray(data.points, dtype=float)
    if x.ndim < 2 or not len(x) or x[0].size != network.input_dim:
        raise ValueError(f"Data: points must have shape [n, {network.input_dim}], got {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError("Data: points holds a value that is not a finite number; leave such points out.")
    return x.reshape(len(x), -1), task_of(data.labels, len(x), network.output_dim)
