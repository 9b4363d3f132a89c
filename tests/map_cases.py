"""Networks whose maps are compared exactly."""

from itertools import pairwise

import numpy as np

import polytope as pt
from tests.networks import NETWORKS


def unlike(seed: int, *widths: int) -> pt.Network:
    """Weights of both signs from 1e-9 to 1e9, and outputs in which large terms cancel."""
    rng = np.random.default_rng(seed)
    layers = []
    for m, n in pairwise(widths):
        W = rng.standard_normal((n, m)) * 10.0 ** rng.integers(-9, 10, (n, m))
        layers.append((W, rng.standard_normal(n) * 10.0 ** rng.integers(-9, 10, n)))
    W, b = layers[-1]
    W[:, 1] = -W[:, 0]
    layers[-1] = (W, b)
    layers[-2][0][1], layers[-2][1][1] = layers[-2][0][0], layers[-2][1][0]
    return pt.mlp(layers)


MAPS = {**NETWORKS, **{f"unlike_{i}": (lambda i=i: unlike(i, 2, 5, 5, 2)) for i in range(4)}}
