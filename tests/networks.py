"""The families that laws are stated over: networks of every kind, and the files with known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope import mlp
from polytope.ir import (
    Activation,
    Composition,
    Convolution,
    Dense,
    Layer,
    Network,
    Selection,
    absolute,
    clip,
    hard_tanh,
    leaky_relu,
    max_groups,
    prelu,
    relu,
)
from polytope.ir.maps import FloatArray
from polytope.ir.sweep import Floats, sweep

SHARED = Path(__file__).parents[2] / "shared"


def seeds(n: int, quick: int) -> list[Any]:
    """The first n seeds as parameters of a test, all but the first few of them marked slow."""
    return [pytest.param(i, marks=[pytest.mark.slow] if i >= quick else []) for i in range(n)]


def layer_values(network: Network, columns: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """``(z, h)`` of every layer at points ``[d, B]``, in order; they are the same where it is affine."""
    return [(z, h) for _, _, z, h in sweep(network, columns, Floats())]


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test files are not here")


KNOWN_REGIONS = {  # files of networks: activation regions in [-1, 1]^d, each from independent programs
    "2-10-5-1": 38,
    "2-50-50-1": 1377,
    "2-100-100-1": 5592,
    "2-128-128-128-1": 23350,
    "2-256-256-256-1": 95324,
    "he_2-64x6": 55189,
    "he_2-128x4": 101676,
    "he_2-32x10": 35038,
    "3-16-16-1": 756,
    "3-32-32-1": 6752,
    "3-64-64-1": 62126,
    "4-16-16-1": 7387,
    "4-32-32-1": 85991,
    "5-16-16-1": 32992,
    "5-32-32-1": 1158243,
    "deg_concurrent": 8,
    "deg_duplicate": 4,
    "deg_parallel_grid": 16,
    "deg_corner": 4,
    "deg_boxface": 2,
    "deg_zerobias_2-8-8": 28,
    "deg_int_2-8-6": 38,
    "deg_near_1e-5": 7,
    "deg_near_1e-9": 7,
    "deg_scale1e-4": 44,
}


def file_network(name: str) -> Network:
    """A network with known answers."""
    with np.load(SHARED / "nets" / f"{name}.npz") as arrays:
        return mlp([(arrays[f"W{i}"], arrays[f"b{i}"]) for i in range(len(arrays.files) // 2)])


def seeded(seed: int, *widths: int, activation: Activation | None = None) -> Network:
    """Standard normal weights and biases, drawn layer by layer."""
    rng = np.random.default_rng(seed)
    layers = [(rng.standard_normal((n, m)), rng.standard_normal(n)) for m, n in pairwise(widths)]
    return mlp(layers, activation)


def integer(seed: int, *widths: int, activation: Activation | None = None) -> Network:
    """Small integer weights: full of ties, duplicates and lines through common points."""
    rng = np.random.default_rng(seed)
    layers = [(rng.integers(-2, 3, (n, m)), rng.integers(-1, 2, n)) for m, n in pairwise(widths)]
    return mlp(layers, activation)


def residual(seed: int) -> Network:
    """Two skips: the input into the second layer, the first layer into the output."""
    rng = np.random.default_rng(seed)

    def dense(n: int, m: int) -> Dense:
        return Dense(rng.standard_normal((n, m)))

    return Network(
        (2,),
        (
            Layer((0,), (dense(5, 2),), rng.standard_normal(5), relu()),
            Layer((1, 0), (dense(4, 5), dense(4, 2)), rng.standard_normal(4), relu()),
            Layer((1, 2), (dense(2, 5), dense(2, 4)), rng.standard_normal(2)),
        ),
    )


def convolutional(seed: int) -> Network:
    """A window into a convolution, ReLU, max pooling by groups, and a dense output."""
    rng = np.random.default_rng(seed)
    kernel = Convolution(rng.standard_normal((2, 1, 2, 2)), (1, 2, 4), (1, 1), (1, 1), ((0, 1), (1, 0)), 1)
    index = np.arange(16).reshape(2, 1, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(4, 4)
    window = Dense(rng.standard_normal((8, 2)))
    return Network(
        (2,),
        (
            Layer((0,), (window,), rng.standard_normal(8)),
            Layer((1,), (kernel,), rng.standard_normal(16), relu()),
            Layer((2,), (Dense(np.eye(16)),), np.zeros(16), max_groups(index)),
            Layer((3,), (Dense(rng.standard_normal((3, 4))),), rng.standard_normal(3)),
        ),
    )


def grouped(seed: int) -> Network:
    """Maxima of unequal groups over a dense layer, then ReLU."""
    rng = np.random.default_rng(seed)
    groups = max_groups([[0, 1, 2], [3, 4, -1], [5, -1, -1], [0, 4, 5]])
    return Network(
        (2,),
        (
            Layer((0,), (Dense(rng.standard_normal((6, 2))),), rng.standard_normal(6), groups),
            Layer((1,), (Dense(rng.standard_normal((5, 4))),), rng.standard_normal(5), relu()),
            Layer((2,), (Dense(rng.standard_normal((1, 5))),), rng.standard_normal(1)),
        ),
    )


def pooled(seed: int, members: list[list[int]], d: int = 2, *, front: Activation | None = None) -> Network:
    """Integer weights into maxima of groups, ReLU, and two outputs; an activation in front of the maxima."""
    rng = np.random.default_rng(seed)

    def dense(n: int, m: int) -> Dense:
        return Dense(rng.integers(-2, 3, (n, m)).astype(float))

    n = max(map(max, members)) + 1
    bias = [rng.integers(-1, 2, size).astype(float) for size in (n, 4, 2)]
    layers = [Layer((0,), (dense(n, d),), bias[0], front)]
    layers.append(Layer((1,), (Selection(np.arange(n), n),), np.zeros(n), max_groups(members)))
    layers.append(Layer((2,), (dense(4, len(members)),), bias[1], relu()))
    layers.append(Layer((3, 0), (dense(2, 4), dense(2, d)), bias[2]))
    return Network((d,), tuple(layers))


def nearly_symmetric() -> Network:
    """Relu of a b x plus relu of c b y, where a b and c b differ, but not when they are rounded."""
    rng = np.random.default_rng(0)
    a = b = c = 1.0
    while a == c or a * b != c * b:
        a, b = rng.uniform(1, 2, 2).tolist()
        c = float(np.nextafter(a, 2.0))
    product = Composition(Dense(np.diag([a, c])), Dense(b * np.eye(2)))
    hidden = Layer((0,), (product,), np.zeros(2), relu())
    return Network((2,), (hidden, Layer((1,), (Dense(np.ones((1, 2))),), np.zeros(1))))


ACTIVATIONS: dict[str, Activation] = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "prelu": prelu(np.array([0.3, 1.0, -0.5, 0.0, 2.0])),
    "absolute": absolute(),
    "hard_tanh": hard_tanh(),
    "clip_below": clip(-0.5, np.inf),
    "clip_above": clip(-np.inf, 0.7),
}


NETWORKS: dict[str, Callable[[], Network]] = {
    **{
        f"{name}_2-5-5-1": (lambda kind=kind: seeded(3, 2, 5, 5, 1, activation=kind))
        for name, kind in ACTIVATIONS.items()
    },
    "relu_1-6-6-1": lambda: seeded(5, 1, 6, 6, 1),
    "relu_3-5-4-2": lambda: seeded(6, 3, 5, 4, 2),
    "relu_4-5-5-1": lambda: seeded(7, 4, 5, 5, 1),
    "integer_2-5-4-1": lambda: integer(1, 2, 5, 4, 1),
    "integer_3-5-4-1": lambda: integer(2, 3, 5, 4, 1),
    "integer_absolute_2-5-5-1": lambda: integer(4, 2, 5, 5, 1, activation=absolute()),
    "integer_hard_tanh_2-5-5-1": lambda: integer(4, 2, 5, 5, 1, activation=hard_tanh()),
    "residual": lambda: residual(8),
    "convolutional": lambda: convolutional(9),
    "grouped": lambda: grouped(10),
}


def unit_box_of(network: Network) -> tuple[list[float], list[float]]:
    """The corners of [-1, 1]^d."""
    return [-1.0] * network.input_dim, [1.0] * network.input_dim


def diamond(d: int) -> Network:
    """``|x_1| + ... + |x_d| - 1``."""
    eye = np.eye(d)
    return pt.mlp([(np.concatenate([eye, -eye]), np.zeros(2 * d)), (np.ones((1, 2 * d)), [-1.0])])


def box(d: int, size: float) -> pt.Polyhedron:
    return pt.Polyhedron.box([-size] * d, [size] * d)


def convolutions(seed: int) -> Network:
    """Two convolutions with ReLU on 144 inputs, 100 and 128 units, and a dense layer of 6."""
    rng = np.random.default_rng(seed)
    first = Convolution(rng.standard_normal((4, 1, 3, 3)), (1, 12, 12), (2, 2), (1, 1), ((0, 0), (0, 0)), 1)
    second = Convolution(rng.standard_normal((8, 4, 2, 2)), (4, 5, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), 1)
    return Network(
        (1, 12, 12),
        (
            Layer((0,), (first,), rng.standard_normal(100), relu()),
            Layer((1,), (second,), rng.standard_normal(128), hard_tanh()),
            Layer(
                (2, 0), (Dense(rng.standard_normal((6, 128))), Dense(np.ones((6, 144)))), np.zeros(6), relu()
            ),
            Layer((3,), (Dense(rng.standard_normal((2, 6))),), np.zeros(2)),
        ),
    )


def changed(network: Network, size: float, seed: int = 0) -> Network:
    """Every weight and bias off by up to so much, relative to itself; zeros stay."""
    rng = np.random.default_rng(seed)

    def off(numbers: FloatArray) -> FloatArray:
        return numbers * (1 + size * rng.uniform(-1, 1, numbers.shape))

    layers = tuple(
        replace(layer, maps=tuple(m.entrywise(off) for m in layer.maps), bias=off(layer.bias))
        for layer in network.layers
    )
    return replace(network, layers=layers)
