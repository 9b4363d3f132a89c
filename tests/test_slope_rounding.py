"""A unit's affine function is off by no more than its bound, also where its row has no error at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope import Network, Polyhedron, _core
from polytope.core.vertex_cells import vertex_problem
from polytope.ir import Dense, Layer, PiecewiseLinear, hard_tanh, leaky_relu

BOX = Polyhedron.box([-1.0, -1.0], [1.0, 1.0])


@pytest.mark.parametrize("activation", [leaky_relu(0.1), leaky_relu(0.3), hard_tanh()])
def test_slopes_are_rounded(activation: PiecewiseLinear) -> None:
    weights = np.array([[3.0, 0.7], [7.0, -1.1], [1.0, 0.0], [0.0, 0.9]])
    layers = (
        Layer((0,), (Dense(weights),), np.zeros(4), activation),
        Layer((1,), (Dense(np.ones((1, 4))),), np.zeros(1), activation),
    )
    net = vertex_problem(Network((2,), layers), BOX, 1).net
    net.Z0[3] = 0.0  # as if the rows were exact
    for u in range(4):
        for piece in range(int(net.n_seg[u])):
            h = _core.unit_form(net, u, piece)
            at = int(net.tab[u]) + piece
            slope, intercept = Fraction(float(net.slope[at])), Fraction(float(net.icept[at]))
            exact = [slope * Fraction(float(x)) for x in net.Z0[:3, net.src[u]]]
            exact[2] += intercept
            wrong = sum(abs(Fraction(float(x)) - y) for x, y in zip(h[:3], exact, strict=True))
            assert wrong <= Fraction(float(h[3]))
            if slope in (0, 1) and not intercept:
                assert h[3] == 0.0
