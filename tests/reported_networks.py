"""Networks and domains of the kinds on which tools for polyhedra are reported to fail, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from polytope import Network, Polyhedron, mlp
from polytope.ir import Activation, Dense, Layer, clip, max_groups

Place = tuple[Network, Polyhedron]
SQUARE = Polyhedron.box([-1, -1], [1, 1])
PLANE = Polyhedron.whole_space(2)


def lines(A: ArrayLike, b: ArrayLike, activation: Activation | None = None) -> Network:
    """One layer with an activation on ``A x + b = 0``, and the sum of its units."""
    return mlp([(A, b), (np.ones((1, len(np.asarray(b)))), [0.0])], activation)


def unlike_columns() -> Place:
    """A Unix time, an age and a balance as they are: breakpoints through the middle of the box."""
    low, high = np.array([1.6e9, 18.0, 0.0]), np.array([1.7e9, 90.0, 250_000.0])
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 3)) / ((high - low) / 2)
    return lines(A, 0.3 * rng.standard_normal(5) - A @ ((high + low) / 2)), Polyhedron.box(low, high)


def small_box_far_away() -> Place:
    """A box of 2e-6 at 1e6."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((5, 2)) * 1e6
    b = 0.3 * rng.standard_normal(5) - A @ np.array([1e6, 1e6])
    return lines(A, b), Polyhedron.box([1e6 - 1e-6] * 2, [1e6 + 1e-6] * 2)


def long_box(wide: float, thin: float, seed: int) -> Place:
    """Breakpoints through the middle of a box of two very different sides."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((5, 2)) / [wide, thin]
    b = 0.1 * rng.standard_normal(5) - A @ np.array([wide / 2, thin / 2])
    return lines(A, b), Polyhedron.box([0, 0], [wide, thin])


def nearly_parallel(apart: float, domain: Polyhedron) -> Place:
    """Three lines whose directions and places differ by little, and three others."""
    rng = np.random.default_rng(3)
    w = np.array([0.6, -0.8])
    A = np.concatenate([w + apart * rng.standard_normal((3, 2)), rng.standard_normal((3, 2))])
    b = np.concatenate([apart * rng.standard_normal(3), 0.3 * rng.standard_normal(3)])
    return lines(A, b), domain


def far_biases(far: float) -> Place:
    """Lines near the origin and far from it, in the whole plane."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    b[:2] *= far
    return lines(A, b), PLANE


def one_large_unit(scale: float) -> Place:
    """One unit of six is written in other units of measure."""
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((6, 2)), 0.3 * rng.standard_normal(6)
    A[0] *= scale
    b[0] *= scale
    return lines(A, b), SQUARE


def padded_maximum(lowest: float) -> Place:
    """Nine values in a square, padded by a constant that loses every maximum of two by two."""
    rng = np.random.default_rng(1)
    W, b = np.zeros((10, 2)), np.full(10, lowest)
    W[:9], b[:9] = rng.standard_normal((9, 2)), rng.standard_normal(9)
    at = np.full((4, 4), 9)
    at[:3, :3] = np.arange(9).reshape(3, 3)
    windows = max_groups([at[i : i + 2, j : j + 2].ravel() for i in range(3) for j in range(3)])
    last = Layer((1,), (Dense(rng.standard_normal((2, 9))),), np.zeros(2))
    return Network((2,), (Layer((0,), (Dense(W),), b, windows), last)), SQUARE


def slab(thickness: float, domain: Polyhedron) -> Place:
    """A unit with two breakpoints next to each other."""
    return mlp([([[1.0, 0.5]], [0.0]), ([[-1.0]], [thickness / 2])], clip(0, thickness)), domain


def scaled(factor: float, domain: Polyhedron = SQUARE) -> Place:
    """Four lines through one point, a fifth beside it, with weights of one extreme size."""
    A = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0], [2.0, 1.0]])
    return lines(A * factor, np.array([0.0, 0.0, 0.0, 0.0, 0.5]) * factor), domain


REPORTED: dict[str, Callable[[], Place]] = {
    "unlike columns": unlike_columns,
    "a small box far away": small_box_far_away,
    **{
        f"a box of {wide:g} by {thin:g}, {seed}": (lambda a=wide, b=thin, s=seed: long_box(a, b, s))
        for wide, thin in ((1e6, 1.0), (1e8, 1.0), (1e5, 1e-3))
        for seed in range(3)
    },
    **{
        f"lines {apart:g} from parallel, {where}": (lambda a=apart, d=domain: nearly_parallel(a, d))
        for apart in (1e-6, 1e-8, 1e-10)
        for where, domain in (("square", SQUARE), ("plane", PLANE))
    },
    "biases of 1e6": lambda: far_biases(1e6),
    "biases of 1e8": lambda: far_biases(1e8),
    **{f"a unit times {scale:g}": (lambda s=scale: one_large_unit(s)) for scale in (1e6, 1e12, 1e16)},
    "padding by -1e3": lambda: padded_maximum(-1e3),
    "padding by the lowest float32": lambda: padded_maximum(float(np.finfo(np.float32).min)),
    "a slab of 1e-12": lambda: slab(1e-12, SQUARE),
    "a slab of 1e-9 in the plane": lambda: slab(1e-9, PLANE),
    "rows of 1e8 and 1e-6": lambda: (mlp([([[1e8, 0], [0, 1e-6]], [0, 0]), ([[0, 1.0]], [-1e-7])]), SQUARE),
    "equal units in a half-plane": lambda: (
        mlp([([[1, 2], [1, 2]], [0, 0]), ([[1, 1]], [0])]),
        Polyhedron(np.array([[1.0, 1.0]]), np.array([2.0])),
    ),
    "a constant unit in the plane": lambda: (lines([[0.0, 0.0]], [1.0]), PLANE),
    "domain rows with 1e-10": lambda: (
        lines([[1.0, 0.0]], [-50.0]),
        Polyhedron(np.array([[1, 1e-10], [-1, -1e-10], [0, 1], [0, -1]]), np.array([1.0, 1.0, 1e12, 1e12])),
    ),
    "a box of 2 by 1e-10": lambda: (lines([[1.0, 0.0]], [0.0]), Polyhedron.box([-1, 0], [1, 1e-10])),
    "a box of 2e10 by 2": lambda: (lines([[1.0, 0.0]], [0.0]), Polyhedron.box([-1e10, -1], [1e10, 1])),
    "a box of 4 at 1e15": lambda: (
        lines([[1.0, 0.0]], [-1e15 - 1]),
        Polyhedron.box([1e15, -1], [1e15 + 4, 1]),
    ),
    "a triangle 1e-9 high": lambda: (
        lines([[1.0, 0.0]], [0.0]),
        Polyhedron(np.array([[0, -1], [1e-9, 1], [-1e-9, 1]]), np.array([0, 1e-9, 1e-9])),
    ),
    "seven sides, one of 1e-9": lambda: (
        lines(np.eye(7)[[0, 6]], [0.0, 1 - 5e-10]),
        Polyhedron.box([-1] * 7, [1] * 6 + [-1 + 1e-9]),
    ),
    **{f"weights times 2^{k}": (lambda k=k: scaled(2.0**k)) for k in (-1060, -700, 600, 1000)},
}
