"""Everything that two threads do together in the core, for the thread sanitizer to watch."""

from itertools import pairwise

import numpy as np
import sanitized_core  # noqa: F401

import polytope as pt

rng = np.random.default_rng(1)


def network(*widths: int, whole: bool = False) -> pt.Network:
    """Normal weights, or small integers: full of ties that exact arithmetic decides."""

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape) if whole else rng.standard_normal(shape)

    return pt.mlp([(draw(n, m), draw(n)) for m, n in pairwise(widths)])


def box(d: int) -> pt.Polyhedron:
    """The cube [-1, 1]^d."""
    return pt.Polyhedron.box([-1] * d, [1] * d)


for widths in ((1, 30, 30, 1), (2, 30, 30, 1), (3, 16, 16, 1), (4, 10, 10, 1)):
    for whole in (False, True):
        net = network(*(min(w, 8) for w in widths) if whole else widths, whole=whole)
        one, two = (pt.enumerate_regions(net, box(widths[0]), pt.LayerSplit(workers=w)) for w in (1, 2))
        assert (one.patterns == two.patterns).all()
        assert np.array_equal(np.sort(one.neighbours, axis=0), np.sort(two.neighbours, axis=0))
        assert pt.count_regions(net, box(widths[0]), pt.LayerSplit(workers=2)).upper == len(one)
net, large = network(3, 40, 40, 1), network(4, 64, 64, 1)
stopped = [
    pt.count_regions(net, box(3), pt.LayerSplit(workers=2), max_regions=500),
    pt.count_regions(large, box(4), pt.LayerSplit(workers=2), max_seconds=0.2),
    pt.enumerate_regions(net, box(3), pt.LayerSplit(workers=2), max_regions=500),
]
assert all(found.lower < found.upper for found in stopped)
print("two threads agree with one")
