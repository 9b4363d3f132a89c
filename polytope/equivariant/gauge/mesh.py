r"""The tangent bundle of a triangle mesh: frames, logarithms along edges, parallel transport, holonomy.

At a vertex the corners' angles are scaled to add up to 2 pi, so directions are angles on a circle. A *gauge*
is a choice of the direction 0 at every vertex. Edges are *directed*, ``edges[e] = (i, j)``: the neighbour
j as seen from i. A tangent vector at j with coordinates v has, carried to i along the edge, the coordinates
:math:`R(\mathrm{transport}) v`. A frame turned by an angle k changes coordinates by :math:`R(-k)`; this is
the one convention of ``polytope.equivariant`` for gauges.

References:
    F. Knoppel, K. Crane, U. Pinkall, P. Schroder, "Globally optimal direction fields", 2013.
    P. de Haan, M. Weiler, T. Cohen, M. Welling, "Gauge equivariant mesh CNNs", 2021,
    https://arxiv.org/abs/2003.05425.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from polytope.errors import GeometryError
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class TangentBundle:
    r"""Frames and transport of an oriented triangle mesh without boundary.

    Arguments:
        vertices: ``[V, 3]``.
        faces: ``int[F, 3]``, counter-clockwise as seen from outside.
        gauge: ``[V]``, radians by which the frames are turned, counter-clockwise, from the default ones,
            whose first axis points along the first edge of the vertex.

    Raises:
        GeometryError: the mesh is not a closed oriented surface; the message says where.
        ValueError: arrays of wrong shapes, or vertices that are not finite.

    Example:
        >>> x = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
        >>> bundle = TangentBundle(x, [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
        >>> bundle.euler_characteristic, round(float(bundle.holonomy.sum()) / np.pi, 12)
        (2, 4.0)
    """

    vertices: FloatArray
    faces: IntArray
    gauge: FloatArray | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        vertices, faces = np.array(self.vertices, dtype=float), np.array(self.faces)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
            raise ValueError(
                f"TangentBundle: vertices must be finite, of shape [V, 3], not {vertices.shape}."
            )
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces) or faces.dtype.kind not in "iu":
            raise ValueError(f"TangentBundle: faces must be whole numbers, [F, 3], not {faces.shape}.")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"TangentBundle: faces name vertices outside 0..{len(vertices) - 1}.")
        gauge = np.zeros(len(vertices)) if self.gauge is None else np.array(self.gauge, dtype=float)
        if gauge.shape != (len(vertices),) or not np.isfinite(gauge).all():
            raise ValueError(
                f"TangentBundle: the gauge must be one finite angle for each vertex, not {gauge.shape}."
            )
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces.astype(np.int64))
        object.__setattr__(self, "gauge", gauge)
        check_closed_surface(self.vertices, self.faces)

    @property
    def n_vertices(self) -> int:
        """Number of vertices, V."""
        return len(self.vertices)

    @property
    def euler_characteristic(self) -> int:
        """V - E + F."""
        return self.n_vertices - len(self.faces) // 2

    @cached_property
    def corner_angles(self) -> FloatArray:
        """The angles of the faces' corners, ``[F, 3]``, by the lengths of the edges alone."""
        x = self.vertices[self.faces]
        after, before = np.roll(x, -1, axis=1) - x, np.roll(x, 1, axis=1) - x
        sine = np.linalg.norm(np.cross(after, before), axis=-1)
        return np.asarray(np.arctan2(sine, (after * before).sum(axis=-1)))

    @cached_property
    def scaled_angles(self) -> FloatArray:
        """The corners' angles scaled to add up to 2 pi at every vertex, ``[F, 3]``."""
        total = np.bincount(self.faces.ravel(), self.corner_angles.ravel(), self.n_vertices)
        return np.asarray(self.corner_angles * (2 * np.pi / total)[self.faces])

    @cached_property
    def _fans(self) -> tuple[IntArray, FloatArray]:
        """Directed edges, counter-clockwise around each vertex, and their directions in the default gauge."""
        following = {}
        for (i, j, k), angles in zip(self.faces.tolist(), self.scaled_angles.tolist(), strict=True):
            following[i, j], following[j, k], following[k, i] = (k, angles[0]), (i, angles[1]), (j, angles[2])
        first = dict(sorted(following, reverse=True))
        edges, directions = [], []
        for i in range(self.n_vertices):
            j, angle = first[i], 0.0
            while True:
                edges.append((i, j))
                directions.append(angle)
                j, step = following[i, j]
                angle += step
                if j == first[i]:
                    break
        return np.array(edges), np.array(directions)

    @property
    def edges(self) -> IntArray:
        """The directed edges (i, j), ``int[E, 2]`` with E twice the number of edges, sorted by i."""
        return self._fans[0]

    @cached_property
    def lengths(self) -> FloatArray:
        """The edges' lengths, ``[E]``."""
        start, end = self.vertices[self.edges].swapaxes(0, 1)
        return np.asarray(np.linalg.norm(end - start, axis=1))

    @cached_property
    def directions(self) -> FloatArray:
        """The edges' directions at their first vertex, radians in the gauge, ``[E]``."""
        assert self.gauge is not None, "the constructor filled it in"
        return self._fans[1] - self.gauge[self.edges[:, 0]]

    @cached_property
    def log_map(self) -> FloatArray:
        r"""The neighbour's logarithm, :math:`\log_i(j)`, in the frame of i, ``[E, 2]``.

        Its length is the edge's, and its direction the scaled one.
        """
        unit = np.stack([np.cos(self.directions), np.sin(self.directions)], axis=1)
        return np.asarray(self.lengths[:, None] * unit)

    @cached_property
    def _opposite(self) -> IntArray:
        """The number of the same edge in the other direction, ``int[E]``."""
        number = {edge: e for e, edge in enumerate(map(tuple, self.edges.tolist()))}
        return np.array([number[j, i] for i, j in self.edges.tolist()])

    @cached_property
    def transport_angle(self) -> FloatArray:
        """The angle by which coordinates turn when carried from j to i along the edge (i, j), ``[E]``.

        An edge is straight: its direction at i, and the opposite of its direction at j, are carried onto
        each other.
        """
        return wrapped(self.directions - self.directions[self._opposite] - np.pi)

    @cached_property
    def holonomy(self) -> FloatArray:
        """The angle by which a vector turns when carried around a face counter-clockwise, ``[F]``.

        It is the face's share of curvature, whatever the gauge: the sum over faces is 2 pi times the Euler
        characteristic. A sum of transports is known up to 2 pi; the turn that it leaves open is the one
        nearest to the excess of the scaled angles over pi (0 but for faces of more than pi of curvature).
        """
        number = {edge: e for e, edge in enumerate(map(tuple, self.edges.tolist()))}
        i, j, k = self.faces.T.tolist()
        around = [[number[edge] for edge in zip(a, b, strict=True)] for a, b in ((j, i), (k, j), (i, k))]
        turned = wrapped(self.transport_angle[np.array(around)].sum(axis=0))
        excess = self.scaled_angles.sum(axis=1) - np.pi
        return np.asarray(turned + 2 * np.pi * np.round((excess - turned) / (2 * np.pi)))

    @cached_property
    def normals(self) -> FloatArray:
        """Unit normals, ``[V, 3]``: the faces' normals weighted by the corners' angles."""
        x = self.vertices[self.faces]
        normal = np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0])
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        total = np.zeros_like(self.vertices)
        np.add.at(total, self.faces, normal[:, None] * self.corner_angles[:, :, None])
        return np.asarray(total / np.linalg.norm(total, axis=1)[:, None])

    @cached_property
    def frames(self) -> FloatArray:
        """An orthonormal basis of each tangent plane, ``[V, 2, 3]``: a section of the frame bundle.

        The first axis of the default gauge is the first edge's direction in the plane; a vector with
        coordinates v is ``v @ frames[i]`` in space.
        """
        assert self.gauge is not None, "the constructor filled it in"
        starts = np.searchsorted(self.edges[:, 0], np.arange(self.n_vertices))
        along = self.vertices[self.edges[starts, 1]] - self.vertices
        along -= (along * self.normals).sum(axis=1, keepdims=True) * self.normals
        along /= np.linalg.norm(along, axis=1)[:, None]
        across = np.cross(self.normals, along)
        c, s = np.cos(self.gauge)[:, None], np.sin(self.gauge)[:, None]
        return np.stack([c * along + s * across, c * across - s * along], axis=1)

    def turned(self, angle: ArrayLike) -> TangentBundle:
        """The same mesh in another gauge.

        Arguments:
            angle: ``[V]``, radians by which the frames are turned, counter-clockwise.

        Returns:
            The bundle with the angles added to its gauge.

        Raises:
            ValueError: angles of another shape, or not finite.
        """
        return TangentBundle(self.vertices, self.faces, self.gauge + np.asarray(angle, dtype=float))


def wrapped(angle: FloatArray) -> FloatArray:
    """Angles moved into [-pi, pi) by whole turns."""
    return np.asarray((angle + np.pi) % (2 * np.pi) - np.pi)


def check_closed_surface(vertices: FloatArray, faces: IntArray) -> None:
    """Refuse what is not a closed oriented surface without flat corners.

    Raises:
        GeometryError: the first law that fails, with the vertex, edge or face where it does.
    """
    x = vertices[faces]
    doubled = np.linalg.norm(np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]), axis=1)
    longest = np.linalg.norm(np.roll(x, 1, axis=1) - x, axis=-1).max(axis=1)
    flat = np.flatnonzero(doubled <= 1e-12 * longest**2)
    if len(flat):
        raise GeometryError(f"The mesh's face {flat[0]} {tuple(faces[flat[0]].tolist())} has no area.")
    unused = np.setdiff1d(np.arange(len(vertices)), faces)
    if len(unused):
        raise GeometryError(
            f"The mesh's vertex {unused[0]} belongs to no face: remove vertices without faces."
        )
    directed = np.stack([faces.ravel(), np.roll(faces, -1, axis=1).ravel()], axis=1)
    keys, counts = np.unique(directed, axis=0, return_counts=True)
    if counts.max() > 1:
        i, j = keys[counts > 1][0].tolist()
        raise GeometryError(
            f"The mesh's edge ({i}, {j}) is used twice in the same direction: it is not a manifold, or its "
            "faces are not oriented alike."
        )
    missing = set(map(tuple, keys.tolist())) - {(j, i) for i, j in keys.tolist()}
    if missing:
        i, j = min(missing)
        raise GeometryError(
            f"The mesh has a boundary: only one face holds its edge ({i}, {j}). Close it first."
        )
    _check_fans(faces)


def _check_fans(faces: IntArray) -> None:
    """Refuse vertices whose faces are not one fan."""
    following: dict[int, dict[int, int]] = {}
    for i, j, k in faces.tolist():
        for a, b, c in ((i, j, k), (j, k, i), (k, i, j)):
            following.setdefault(a, {})[b] = c
    for vertex, after in following.items():
        start = next(iter(after))
        visited, at = 1, after[start]
        while at != start:
            visited, at = visited + 1, after[at]
        if visited != len(after):
            raise GeometryError(
                f"The mesh is not a manifold at vertex {vertex}: its faces form more than one fan. Split it."
            )
