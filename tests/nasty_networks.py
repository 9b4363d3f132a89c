"""Families of networks and domains that are hard on floating-point numbers, one of each for every seed.

Numbers that tie, that do not quite tie, and that are of unlike sizes; rows that repeat, oppose or vanish;
activations of every kind; domains that are thin, far away, unbounded, or described by too many rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from polytope import Layer, Network, Polyhedron
from polytope.ir import (
    Activation,
    Dense,
    absolute,
    clip,
    hard_sigmoid,
    hard_tanh,
    leaky_relu,
    max_groups,
    piecewise_linear,
    prelu,
    relu,
)
from polytope.ir.maps import FloatArray

Rng = np.random.Generator
Shape = int | tuple[int, ...]


class Nasty(NamedTuple):
    """A network, a domain, and what they are."""

    network: Network
    domain: Polyhedron
    numbers: str
    activations: tuple[str, ...]
    place: str


def _powers(rng: Rng, shape: Shape) -> FloatArray:
    return np.power(10.0, rng.integers(-9, 10, shape))


NUMBERS: dict[str, Callable[[Rng, Shape], FloatArray]] = {
    "integers": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "dyadics": lambda rng, shape: rng.integers(-5, 6, shape) / 4.0,
    "tenths": lambda rng, shape: rng.integers(-7, 8, shape) / 10.0,
    "thirds": lambda rng, shape: rng.integers(-4, 5, shape) / 3.0,
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "integers of all sizes": lambda rng, shape: rng.integers(-2, 3, shape) * _powers(rng, shape),
    "normal of all sizes": lambda rng, shape: rng.standard_normal(shape) * _powers(rng, shape),
    "units of all sizes": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),  # then rescaled
}
STAIR = piecewise_linear([-1.0, 0.0, 0.5, 2.0], [0.0, 1.0, 0.0, 2.0, -1.0], [0.0, 1.0, 1.0, 0.0, 6.0])
TWICE = piecewise_linear([0.0, 0.0, 1.0], [0.0, 5.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0])  # no room for piece 1
ACTIVATIONS: dict[str, Activation] = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "absolute": absolute(),
    "hard_tanh": hard_tanh(),
    "hard_sigmoid": hard_sigmoid(),
    "clip": clip(-0.5, 0.25),
    "clip_below": clip(-0.5, np.inf),
    "clip_above": clip(-np.inf, 0.7),
    "narrow": clip(0.0, 1e-9),
    "stair": STAIR,
    "twice": TWICE,
}


def _activation(rng: Rng, kind: str, n: int) -> tuple[Activation | None, int]:
    """An activation of n units, and how many pre-activations it reads."""
    if kind == "prelu":
        return prelu(rng.choice([0.3, 1.0, -0.5, 0.0, 2.0], n)), n
    if kind == "max":
        sizes = rng.integers(1, 4, n)
        ends = np.cumsum(sizes)
        groups = np.full((n, 3), -1)
        members = rng.permutation(ends[-1])
        for row, end, size in zip(groups, ends, sizes, strict=True):
            row[:size] = members[end - size : end]
        if sizes[0] < 3 and rng.random() < 0.3:  # a member of two groups
            groups[0, sizes[0]] = groups[-1, 0] if n > 1 else -1
        return max_groups(groups), int(ends[-1])
    return ACTIVATIONS.get(kind), n


def _layer(rng: Rng, numbers: str, inputs: tuple[int, ...], widths: list[int], kind: str, n: int) -> Layer:
    """Rows of some numbers; some repeat others, times 1, -1, 2, 1/3 or 0."""
    activation, rows = _activation(rng, kind, n)
    draw = NUMBERS[numbers]
    W, b = draw(rng, (rows, sum(widths[k] for k in inputs))), draw(rng, rows) * (rng.random() < 0.75)
    for _ in range(int(rng.integers(0, 3))):
        i, j = rng.integers(0, rows, 2)
        factor = rng.choice([1.0, -1.0, 2.0, 1 / 3, 0.0])
        W[i], b[i] = factor * W[j], factor * b[j]
    blocks = np.split(W, np.cumsum([widths[k] for k in inputs])[:-1], axis=1)
    return Layer(inputs, tuple(map(Dense, blocks)), b, activation)


SCALED = ("relu", "leaky", "absolute", "prelu")  # of these f(s z) = s f(z)


def _rescaled(layer: Layer, sizes: list[FloatArray]) -> Layer:
    """The layer with its units in other units of measure, powers of two, and what it reads in theirs."""
    rows = sizes[-1][:, None] if len(sizes[-1]) == len(layer.bias) else np.ones((1, 1))
    maps = [m.rows(np.arange(len(layer.bias))) for m in layer.maps]
    scaled = [Dense(rows * W / sizes[k]) for W, k in zip(maps, layer.inputs, strict=True)]
    return Layer(layer.inputs, tuple(scaled), rows[:, 0] * layer.bias, layer.activation)


WIDEST = {1: 7, 2: 7, 3: 6, 4: 5, 5: 4}


def _network(rng: Rng, numbers: str, d: int) -> tuple[Network, tuple[str, ...]]:
    """One to three layers with activations, some with skips, and one or two outputs."""
    kinds = tuple(
        map(str, rng.choice([*ACTIVATIONS, "relu", "relu", "max", "prelu"], int(rng.integers(1, 4))))
    )
    layers, widths, sizes = [], [d], [np.ones(d)]
    for number, kind in enumerate((*kinds, "")):
        n = int(rng.integers(2, WIDEST[d])) if kind else int(rng.integers(1, 3))
        skip = (int(rng.integers(0, number)),) if number and rng.random() < 0.25 else ()
        layer = _layer(rng, numbers, (number, *skip), widths, kind, n)
        sizes.append(
            np.exp2(rng.integers(-250, 251, n))
            if numbers == "units of all sizes" and kind in SCALED
            else np.ones(n)
        )
        layers.append(_rescaled(layer, sizes))
        widths.append(n)
    return Network((d,), tuple(layers)), kinds


def _redundant(rng: Rng, d: int) -> Polyhedron:
    """A box with rows that touch it, cut it, repeat its own or do nothing, in any order."""
    box = Polyhedron.box([-2.0] * d, [2.0] * d)
    more = rng.integers(-2, 3, (4, d)).astype(float)
    more = more[np.abs(more).max(axis=1) > 0]
    limits = 2 * np.abs(more).sum(axis=1) * rng.choice([1.0, 1.0, 0.75, 2.0], len(more))
    again = rng.integers(0, 2 * d, 2)
    A = np.concatenate([box.A, more, 3 * box.A[again]])
    b = np.concatenate([box.b, limits, 3 * box.b[again]])
    order = rng.permutation(len(b))
    return Polyhedron(A[order], b[order])


def _half_spaces(rng: Rng, d: int, highest: int) -> Polyhedron:
    """At most d + 1 rows of small integers, with limits from 0: mostly unbounded, sometimes flat."""
    A = rng.integers(-2, 3, (int(rng.integers(1, d + 2)), d)).astype(float)
    A = A[np.abs(A).max(axis=1) > 0]
    return Polyhedron(A, rng.integers(0, highest + 1, len(A)).astype(float))


def _box(low: ArrayLike, sides: ArrayLike) -> Polyhedron:
    return Polyhedron.box(low, np.add(low, sides))


PLACES: dict[str, Callable[[Rng, int], Polyhedron]] = {
    "unit box": lambda rng, d: Polyhedron.box([-1.0] * d, [1.0] * d),
    "integer box": lambda rng, d: _box(rng.integers(-3, 1, d), rng.integers(1, 4, d)),
    "rational box": lambda rng, d: _box(rng.integers(-9, 1, d) / 3, rng.integers(1, 30, d) / 10),
    "cross-polytope": lambda rng, d: Polyhedron.cross_polytope(
        rng.integers(-1, 2, d) / 2, rng.integers(1, 5) / 2
    ),
    "redundant rows": _redundant,
    "simplex": lambda rng, d: Polyhedron(
        np.concatenate([-np.eye(d), np.ones((1, d))]), np.append(np.ones(d), rng.integers(1, 4))
    ),
    "half-spaces": lambda rng, d: _half_spaces(rng, d, 2),
    "cone": lambda rng, d: _half_spaces(rng, d, 0),
    "whole space": lambda rng, d: Polyhedron.whole_space(d),
}
BOXES = ("unit box", "integer box", "rational box", "thin", "far")
BOUNDED = (*BOXES, "cross-polytope", "redundant rows", "simplex")
ALL_PLACES = (*PLACES, "thin", "far")


def _moved(network: Network, middle: FloatArray, half: FloatArray) -> Network:
    """The network of ``(x - middle) / half``, up to rounding of its weights."""
    layers = []
    for layer in network.layers:
        maps, bias = list(layer.maps), layer.bias
        for place, k in enumerate(layer.inputs):
            if k == 0:
                W = layer.maps[place].apply(np.diag(1 / half))
                maps[place], bias = Dense(W), bias - W @ middle
        layers.append(Layer(layer.inputs, tuple(maps), bias, layer.activation))
    return Network(network.input_shape, tuple(layers))


def nasty(seed: int, attempt: int = 0, numbers: str | None = None, place: str | None = None) -> Nasty:
    """A network and a domain; of other numbers, or in another place, where these are not given."""
    rng = np.random.default_rng([seed, attempt])
    numbers = numbers or str(rng.choice(list(NUMBERS)))
    place = place or str(rng.choice(ALL_PLACES))
    d = int(rng.choice([1, 2, 2, 2, 3, 3, 4, 5]))
    network, activations = _network(rng, numbers, d)
    if place in PLACES:
        return Nasty(network, PLACES[place](rng, d), numbers, activations, place)
    half = 10.0 ** rng.integers(-10, 1, d) if place == "thin" else 10.0 ** rng.integers(-6, 4, d)
    away = np.zeros(d) if place == "thin" else rng.choice([-1, 1], d) * 10.0 ** rng.integers(3, 10, d)
    return Nasty(
        _moved(network, away, half), Polyhedron.box(away - half, away + half), numbers, activations, place
    )
