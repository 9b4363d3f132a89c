"""Smooth activations that exporters write as several nodes, GELU, SiLU and Mish, as one node again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import helper

from adapters.onnx.file import array_of
from polytope.errors import LoadError

_NEAR = 1e-7
"""How far a constant in a file may be off, relatively: it is rounded to float32, and bounds have room."""
_TANH = "Gelu by tanh"


def with_smooth_units(nodes: Sequence[onnx.NodeProto], known: Mapping[str, float]) -> list[onnx.NodeProto]:
    """The nodes, with one node in place of the last of those that make a smooth activation.

    Arguments:
        known: constants that are one number, by name.
    """
    graph = _Nodes({name: node for node in nodes for name in node.output}, known)
    return [graph.as_one(node) or node for node in nodes]


def numbers(initializers: Sequence[onnx.TensorProto], nodes: Sequence[onnx.NodeProto]) -> dict[str, float]:
    """The constants of a model that are one number."""
    stored = {tensor.name: tensor for tensor in initializers}
    stored |= {
        node.output[0]: attribute.t
        for node in nodes
        for attribute in node.attribute
        if node.op_type == "Constant" and attribute.name == "value"
    }
    found = {}
    for name, tensor in stored.items():
        if math.prod(tensor.dims) == 1:
            try:
                found[name] = float(array_of(tensor).reshape(()))
            except (LoadError, ValueError):  # what it is, a rule may say
                continue
    return found


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Nodes by the names of their outputs, and constants."""

    by_output: Mapping[str, onnx.NodeProto]
    known: Mapping[str, float]

    def as_one(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The activation whose last node this is."""
        if node.op_type != "Mul":
            return None
        scale, factors = self._product(node.output[0], 8)
        if len(factors) != 2:
            return None
        for x, gate in (factors, factors[::-1]):
            kind = self._gated_by(x, gate, scale)
            if kind:
                more = {"approximate": "tanh"} if kind == _TANH else {}
                return helper.make_node(kind.split()[0], [x], list(node.output), name=node.name, **more)
        return None

    def _product(self, name: str, depth: int) -> tuple[float, list[str]]:
        """A value as a number times others."""
        if name in self.known:
            return self.known[name], []
        node = self.by_output.get(name)
        if node is None or not depth:
            return 1.0, [name]
        if node.op_type == "Mul":
            parts = [self._product(n, depth - 1) for n in node.input]
            return math.prod(p[0] for p in parts), [n for p in parts for n in p[1]]
        if node.op_type == "Div" and self.known.get(node.input[1]):
            scale, factors = self._product(node.input[0], depth - 1)
            return scale / self.known[node.input[1]], factors
        if node.op_type == "Pow" and self.known.get(node.input[1]) in (2, 3):
            scale, factors = self._product(node.input[0], depth - 1)
            times = int(self.known[node.input[1]])
            return scale**times, factors * times
        return 1.0, [name]

    def _gated_by(self, x: str, gate: str, scale: float) -> str:
        """What ``scale * x * gate`` is; empty if it is none of them."""
        node = self.by_output.get(gate)
        if node is None:
            return ""
        if node.op_type == "Sigmoid" and node.input[0] == x and scale == 1:
            return "Swish"
        inner = self.by_output.get(node.input[0])
        if node.op_type == "Tanh" and inner is not None and scale == 1:
            return "Mish" if inner.op_type == "Softplus" and inner.input[0] == x else ""
        if node.op_type != "Add" or scale != 0.5:
            return ""
        return self._gelu(node, x)

    def _gelu(self, total: onnx.NodeProto, x: str) -> str:
        """Which GELU ``0.5 x total`` is, by 1 + erf(x / sqrt(2)) or 1 + tanh(sqrt(2 / pi) (x + c x^3))."""
        ones = [n for n in total.input if self.known.get(n) == 1]
        others = [self.by_output.get(n) for n in total.input if n not in ones]
        if len(ones) != 1 or len(others) != 1 or others[0] is None:
            return ""
        scale, factors = self._product(others[0].input[0], 4)
        if others[0].op_type == "Erf":
            return "Gelu" if factors == [x] and _is_near(scale, 1 / math.sqrt(2)) else ""
        fits = others[0].op_type == "Tanh" and len(factors) == 1 and _is_near(scale, math.sqrt(2 / math.pi))
        return _TANH if fits and self._is_cubic(factors[0], x) else ""

    def _is_cubic(self, name: str, x: str) -> bool:
        """Whether a value is x + 0.044715 x^3."""
        total = self.by_output.get(name)
        if total is None or total.op_type != "Add" or x not in total.input:
            return False
        [other] = [n for n in total.input if n != x] or [x]
        scale, factors = self._product(other, 8)
        return factors == [x] * 3 and _is_near(scale, 0.044715)


def _is_near(found: float, meant: float) -> bool:
    """Whether a number is another, rounded to single precision."""
    return abs(found / meant - 1) <= _NEAR
