r"""Which patterns have the same affine map, in exact arithmetic.

Different words, made of the residues of a random combination of the outputs modulo one prime, prove maps
different. Equal maps are proved by the pieces that the outputs depend on, where these are the same, and
else by residues modulo enough primes. What words brought together by chance is taken apart by other words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from polytope.exact.residues import Residues, enough_primes
from polytope.ir.activations import PatternArray
from polytope.ir.backward import OnPieces, batches, to_sources
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.ir.sweep import outputs_to_input

Words = NDArray[np.uint64]
ENTRIES = 1 << 20  # numbers in the maps that are compared at a time


def map_labels(network: Network, patterns: PatternArray) -> IntArray:
    """Labels ``int[R]``, from 0, of the affine maps of patterns ``int8[R, units]``: equal for equal maps.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0], [1.0]], [0.0, 5.0, 0.0]), ([[1e17, 0.3, -1e17]], [0.0])])
        >>> labels = map_labels(net, np.array([[1, 1, 1], [0, 1, 0], [1, 0, 1]], dtype=np.int8))
        >>> labels[0] == labels[1], labels[0] == labels[2]
        (np.True_, np.False_)
    """
    moduli = [Residues(network, p) for p in enough_primes(network)]
    return separated(moduli, patterns, np.random.default_rng(0))


def vanish(network: Network, patterns: PatternArray) -> bool:
    """Whether the affine maps of all patterns are exactly zero."""
    every = np.eye(network.output_dim)
    moduli = [Residues(network, p) for p in enough_primes(network)]
    step = max(1, ENTRIES // (network.output_dim * (network.input_dim + 1)))
    return not any(
        m.rows(patterns[i : i + step], every).any() for i in range(0, len(patterns), step) for m in moduli
    )


def separated(moduli: Sequence[Residues], patterns: PatternArray, rng: np.random.Generator) -> IntArray:
    """The labels of ``map_labels``; maps that agree modulo all primes given count as equal."""
    labels = np.zeros(len(patterns), dtype=np.int64)
    undecided = np.arange(len(patterns))
    while len(undecided):
        modulus = moduli[int(rng.integers(len(moduli)))]
        words = _words(modulus, patterns, undecided, rng)
        order = np.lexsort((words, labels[undecided]))
        undecided, words = undecided[order], words[order]
        first = np.append(True, np.diff(words.view(np.int64)) | np.diff(labels[undecided])).astype(bool)
        labels[undecided] = labels.max() + np.cumsum(first)
        undecided = _mixed(moduli, patterns, undecided, labels[undecided])
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _words(modulus: Residues, patterns: PatternArray, which: IntArray, rng: np.random.Generator) -> Words:
    """A word for the map of each pattern, the same for equal maps."""
    d = modulus.network.input_dim
    combination = rng.integers(1, modulus.prime, (modulus.network.output_dim, 1))
    combination -= (combination > modulus.prime // 2) * modulus.prime
    scramble = rng.integers(2**64, size=d + 1, dtype=np.uint64) | np.uint64(1)
    out = np.empty(len(which), dtype=np.uint64)
    step = max(1, ENTRIES // (d + 1))
    for i in range(0, len(which), step):
        look()
        rows = modulus.rows(patterns[which[i : i + step]], combination.astype(float))
        out[i : i + step] = (rows[:, 0].view(np.uint64) * scramble).sum(axis=1, dtype=np.uint64)
    return out


def _mixed(moduli: Sequence[Residues], patterns: PatternArray, which: IntArray, labels: IntArray) -> IntArray:
    """The patterns with labels that stand for different maps.

    Arguments:
        which: patterns, by number, in the order of their labels.
    """
    alike = np.append(False, labels[1:] == labels[:-1])
    shared = alike | np.append(alike[1:], False)
    which, labels = which[shared], labels[shared]
    names = _signature_words(moduli[0].network, patterns, which)
    order = np.lexsort((names, labels))
    which, labels, names = which[order], labels[order], names[order]
    left = np.flatnonzero(labels[1:] == labels[:-1])
    same_name = names[left] == names[left + 1]
    same_name[same_name] = _same_pieces(
        moduli[0].network, patterns, which[left[same_name]], which[left[same_name] + 1]
    )
    left = left[~same_name]
    left = left[~_same_maps(moduli, patterns, which[left], which[left + 1])]
    return which[np.isin(labels, labels[left])]


def _same_maps(
    moduli: Sequence[Residues], patterns: PatternArray, a: IntArray, b: IntArray
) -> NDArray[np.bool_]:
    """Whether the maps of pairs of patterns agree modulo all primes."""
    out, d = moduli[0].network.output_dim, moduli[0].network.input_dim
    every = np.eye(out)
    same = np.ones(len(a), dtype=bool)
    step = max(1, ENTRIES // (out * (d + 1)))
    for i in range(0, len(a), step):
        look()
        part = slice(i, i + step)
        for modulus in moduli:
            left = i + np.flatnonzero(same[part])
            used, place = np.unique(np.stack([a[left], b[left]]), return_inverse=True)
            rows = modulus.rows(patterns[used], every)
            one, two = place.reshape(2, -1)
            same[left] = (rows[one] == rows[two]).all(axis=(1, 2))
    return same


def _signature_words(network: Network, patterns: PatternArray, which: IntArray) -> Words:
    """A word for the pieces that the outputs depend on, for each pattern."""
    words: Words = np.random.default_rng(1).integers(2**64, size=network.n_units, dtype=np.uint64)
    return np.concatenate(
        [np.zeros(0, np.uint64)]
        + [
            (s.astype(np.uint64) * words).sum(axis=1, dtype=np.uint64)
            for s in _signatures(network, patterns, which)
        ]
    )


def _same_pieces(network: Network, patterns: PatternArray, a: IntArray, b: IntArray) -> NDArray[np.bool_]:
    """Whether the outputs depend on the same pieces: then the maps of pairs of patterns are equal."""
    pairs = zip(_signatures(network, patterns, a), _signatures(network, patterns, b), strict=True)
    return np.concatenate([np.zeros(0, bool)] + [(s == t).all(axis=1) for s, t in pairs])


def _signatures(network: Network, patterns: PatternArray, which: IntArray) -> Iterator[PatternArray]:
    """The pieces of units on which an output depends, -1 for other units; ``int8[some, units]`` at a time."""
    for some in batches(network, len(which), 1):
        domain = _Reach(network, patterns[which[some]])
        outputs_to_input(network, np.ones((network.output_dim, len(domain.patterns))), domain)
        yield domain.signature


class _Reach(OnPieces):
    """Ones at the values that the outputs can depend on, ``[width, B]``, by paths of numbers but zero."""

    def __init__(self, network: Network, patterns: PatternArray) -> None:
        super().__init__(network, patterns)
        self.signature = np.full(patterns.shape, -1, dtype=np.int8)

    def affine(self, number: int, layer: Layer, weights: FloatArray) -> Iterator[FloatArray]:
        return (_ones(linear.entrywise(_ones).apply_transpose(weights)) for linear in layer.maps)

    def activate(self, number: int, layer: Layer, weights: FloatArray) -> FloatArray:
        pieces, reached = self.pieces(number), weights.T > 0
        own = self.network.layer_pattern(number, self.signature)
        own[reached] = self.network.layer_pattern(number, self.patterns)[reached]
        n = len(layer.bias)
        sloped = _ones(pieces.slope) * weights
        return _ones(to_sources(pieces, sloped[:, :, None], n)[:, :, 0])

    def plus(self, k: int, a: FloatArray, b: FloatArray) -> FloatArray:
        return _ones(a + b)


def _ones(values: FloatArray) -> FloatArray:
    """1 in the place of every number but zero."""
    return np.where(values != 0, 1.0, 0.0)
