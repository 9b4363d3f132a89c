"""The report on the model itself: file, inputs, outputs, layers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from polytope.ir import Activation, Layer, Network
from polytope.ir.deviation import spline_deviation, splines_of
from polytope.labelled import Bound, Exact, Missing, Number
from polytope.report.network_sections import File, LayerFacts, ModelFacts


def file_facts(path: Path) -> File:
    """Name, size and hash of the model file."""
    data = path.read_bytes()
    return File(path.name, len(data), hashlib.sha256(data).hexdigest())


def model_facts(network: Network, file: Path | None, piece: str = "") -> ModelFacts:
    """What the file holds."""
    return ModelFacts(
        file=file_facts(file) if file else None,
        piece=piece,
        splines=tuple(f"{spline.name}, spacing {spline.spacing:g}" for spline in splines_of(network)),
        deviation=_deviation(network),
        dequantised=network.dequantised,
        dtype=network.dtype,
        inputs=tuple(network.input_names),
        outputs=tuple(network.output_names),
        input_shape=tuple(network.input_shape),
        input_dim=Exact(network.input_dim),
        output_dim=Exact(network.output_dim),
        units=Exact(network.n_units),
        layers=tuple(_layer(number, layer) for number, layer in enumerate(network.layers, start=1)),
    )


def _deviation(network: Network) -> Number:
    """What splines change, at most."""
    if not splines_of(network):
        return Missing("the model has no smooth activation")
    return Bound(0.0, float(spline_deviation(network).max()), "of any output, on all inputs")


def _layer(number: int, layer: Layer) -> LayerFacts:
    return LayerFacts(
        layer=number,
        reads=tuple(layer.inputs),
        maps=tuple(type(linear).__name__.lower() for linear in layer.maps),
        outputs=layer.width,
        activation=activation_name(layer.activation, len(layer.bias)) if layer.activation else None,
    )


def activation_name(activation: Activation, n: int) -> str:
    """What the first unit of a layer does, in words, read off its pieces."""
    pieces = activation.n_pieces(0)
    pattern = np.zeros(activation.n_units(n), dtype=np.int8)
    maps = []
    for piece in range(pieces):
        pattern[0] = piece
        maps.append(activation.affine(pattern))
    if len({int(m.source[0]) for m in maps}) > 1:
        return f"maximum of {pieces}"
    slopes = tuple(float(m.slope[0]) for m in maps)
    shifted = any(float(m.intercept[0]) for m in maps)
    known = {(0.0, 1.0): "ReLU", (-1.0, 1.0): "absolute value", (1.0,): "identity", (0.0, 1.0, 0.0): "clip"}
    if slopes in known and (not shifted or slopes == (0.0, 1.0, 0.0)):
        return known[slopes]
    if len(slopes) == 2 and slopes[1] == 1.0 and not shifted:
        return f"leaky ReLU, slope {slopes[0]:g}"
    return "piecewise linear, slopes " + ", ".join(f"{s:g}" for s in slopes)
