"""The canonical representation: layers, their linear maps, and their activations."""

from polytope.ir.activations import (
    Activation,
    MaxGroups,
    PieceCell,
    PieceMaps,
    PiecewiseLinear,
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
from polytope.ir.convolution import Convolution
from polytope.ir.layers import Layer
from polytope.ir.maps import (
    Composition,
    Dense,
    Diagonal,
    LinearMap,
    Selection,
    Sparse,
    Transposed,
)
from polytope.ir.network import Network, Window, mlp, stack

__all__ = [
    "Activation",
    "Composition",
    "Convolution",
    "Dense",
    "Diagonal",
    "Layer",
    "LinearMap",
    "MaxGroups",
    "Network",
    "PieceCell",
    "PieceMaps",
    "PiecewiseLinear",
    "Selection",
    "Sparse",
    "Transposed",
    "Window",
    "absolute",
    "clip",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "max_groups",
    "mlp",
    "piecewise_linear",
    "prelu",
    "relu",
    "stack",
]
