"""Closed surfaces as lists of faces, changed by random Euler moves, and counted in integers.

A face is a cycle of vertices. The moves are those that polyhedra are built by: a face becomes a cone over its
boundary, a vertex is cut off, two faces merge along an edge, and a handle joins two faces: the last alone
changes the genus. Whatever the moves, V - E + F is 2 - 2 genus; nothing here uses that.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

Face = tuple[int, ...]
NAMES = ("V", "E", "triangles", "largest degree")
TETRAHEDRON: list[Face] = [(0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0)]


def edges(face: Face) -> list[tuple[int, int]]:
    """The directed edges of a face; on a closed oriented surface each is there once, and its reverse once."""
    return list(zip(face, face[1:] + face[:1]))  # noqa: B905


def cone(faces: list[Face], rng: np.random.Generator) -> list[Face]:
    """A face becomes triangles that meet in a new vertex."""
    k = int(rng.integers(len(faces)))
    new = 1 + max(map(max, faces))
    return faces[:k] + faces[k + 1 :] + [(a, b, new) for a, b in edges(faces[k])]


def cut(faces: list[Face], rng: np.random.Generator) -> list[Face]:
    """A vertex becomes a face, with a new vertex on each of its edges."""
    face = faces[int(rng.integers(len(faces)))]
    v = face[int(rng.integers(len(face)))]
    after, first = {}, 1 + max(map(max, faces))
    for face in faces:
        if v in face:
            i = face.index(v)
            after[face[i - 1]] = face[(i + 1) % len(face)]
    name = {u: first + i for i, u in enumerate(after)}
    out: list[Face] = []
    for face in faces:
        if v in face:
            i = face.index(v)
            ends = name[face[i - 1]], name[face[(i + 1) % len(face)]]
            face = (*face[:i], *ends, *face[i + 1 :])
        out.append(face)
    around = [next(iter(after))]
    while after[around[-1]] != around[0]:
        around.append(after[around[-1]])
    return [*out, tuple(name[u] for u in reversed(around))]


def merge(faces: list[Face], rng: np.random.Generator) -> list[Face]:
    """Two faces become one; only where they share one edge, whose ends keep three edges."""
    degree = Counter(v for face in faces for v in face)
    for k in rng.permutation(len(faces)).tolist():
        for a, b in edges(faces[k]):
            if degree[a] > 3 and degree[b] > 3:
                other = next(n for n, face in enumerate(faces) if (b, a) in edges(face))
                if len(set(faces[k]) & set(faces[other])) == 2:
                    one, two = turned(faces[k], b), turned(faces[other], a)  # b ... a, and a ... b
                    rest = [face for n, face in enumerate(faces) if n not in (k, other)]
                    return [*rest, one + two[1:-1]]
    return faces


def turned(face: Face, first: int) -> Face:
    """The same cycle, from another vertex on."""
    k = face.index(first)
    return face[k:] + face[:k]


def handle(faces: list[Face], rng: np.random.Generator) -> list[Face]:
    """Two triangles without common neighbours give way to a tube of three squares; else a face is coned."""
    near: dict[int, set[int]] = {}
    for face in faces:
        for v in face:
            near.setdefault(v, set()).update(face)
    triangles = [face for face in faces if len(face) == 3]
    pairs = [
        (one, two)
        for i, one in enumerate(triangles)
        for two in triangles[:i]
        if not set().union(*(near[v] for v in one)) & set(two)
    ]
    if not pairs:
        return handle(cone(faces, rng), rng)
    one, two = pairs[int(rng.integers(len(pairs)))]
    tube = [
        (a, b, d, c)
        for (a, b), (c, d) in zip(edges(one), [(two[-i], two[-i - 1]) for i in range(3)], strict=True)
    ]
    return [face for face in faces if face not in (one, two)] + tube


def surface(rng: np.random.Generator, genus: int, moves: int) -> list[Face]:
    """A random surface: its handles, then so many other moves, of kinds as likely as this surface likes."""
    faces = TETRAHEDRON
    for _ in range(genus):
        faces = handle(faces, rng)
    likely = rng.dirichlet([1.0, 1.0, 1.0])
    for _ in range(moves):
        faces = (cone, cut, merge)[int(rng.choice(3, p=likely))](faces, rng)
    return faces


def counts(faces: list[Face]) -> tuple[list[int], int]:
    """V, E, the number of triangles and the largest degree; and F."""
    degree = Counter(v for face in faces for v in face)
    directed = sum(map(len, faces))
    triangles = sum(len(face) == 3 for face in faces)
    return [len(degree), directed // 2, triangles, max(degree.values())], len(faces)


def counted(rng: np.random.Generator, genera: list[int], most: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A row of counts for each genus asked for, and the numbers of faces."""
    found = [counts(surface(rng, genus, int(rng.integers(1, most)))) for genus in genera]
    return np.array([row for row, _ in found]), np.array([f for _, f in found])
