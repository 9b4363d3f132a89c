"""A search for inputs that satisfy conditions on outputs: projected sign descent from random points.

References: Madry et al. (2018), "Towards Deep Learning Models Resistant to Adversarial Attacks",
https://arxiv.org/abs/1706.06083
"""

from __future__ import annotations

import numpy as np

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.backward import pull_back
from polytope.ir.maps import FloatArray, IntArray

POINTS, STARTS, STEPS = 1024, 16, 30
ENTRIES = 1 << 25  # numbers that one round of gradients may hold


def descend(
    network: Network, box: FloatArray, domain: Polyhedron, rows: IntArray, rng: np.random.Generator
) -> tuple[FloatArray, float]:
    """A point of the domain where the largest of some outputs is small, ``(x [d], largest)``.

    It ends at the first point where all are negative.

    Arguments:
        network: outputs are conditions, satisfied where they are at most 0; its last layer is affine.
        box: ``[2, d]``, around the domain.
        domain: where points must lie; steps that leave it are not counted.
        rows: ``int[k]``, the outputs that matter.
        rng: source of randomness.
    """
    center, radius = box.mean(axis=0), np.ptp(box, axis=0) / 2
    points = max(1, min(POINTS, ENTRIES // (max(network.input_dim, *network.widths, 1))))
    x = center + radius * rng.uniform(-1, 1, size=(points, network.input_dim))
    x[0] = domain.inscribed_ball[0]
    x = x[np.argsort(network(x)[:, rows].max(axis=1))[:STARTS]]
    best, value = x[0], np.inf
    for step in range(STEPS):
        worst = network(x)[:, rows]
        largest = worst.max(axis=1)
        inside = domain.contains(x)
        if inside.any():
            i = int(np.where(inside, largest, np.inf).argmin())
            if largest[i] < value:
                best, value = x[i].copy(), float(largest[i])
        if value < 0:
            break
        weights = np.zeros((network.output_dim, len(x), 1))
        weights[rows[worst.argmax(axis=1)], np.arange(len(x)), 0] = 1.0
        J, _ = pull_back(network, len(network.layers), weights, network.pattern(x))
        x = np.clip(x - 0.5 * 0.9**step * radius * np.sign(J[:, 0]), box[0], box[1])
    return best, value
