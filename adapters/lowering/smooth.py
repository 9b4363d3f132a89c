"""Smooth activations as splines, for who asks for them: ``smooth=`` is the spacing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.reasons import refusal
from adapters.lowering.registry import Node, Outputs, Rule
from polytope.errors import UnsupportedOpError
from polytope.ir.splines import smooth_spline


def smooth_rule(table: str, op: str) -> Rule | None:
    """What stands for a smooth operator; ``None`` for one that has no spline."""
    made = _RULES[table].get(op) or (_RULES[table].get(op.rstrip("_")) if table == "ATen" else None)
    if made is None:
        return None

    def rule(t: Lowering, node: Node) -> Outputs:
        x = node.input(0) if table == "ONNX" else node.get("self")
        if not isinstance(x, Tensor):
            raise refusal(table, op)
        return made(t, x, node)

    return rule


def _plain(name: str) -> Callable[[Lowering, Tensor, Node], Value]:
    return lambda t, x, node: _spline(t, x, name)


def _spline(t: Lowering, x: Tensor, name: str, scale: float = 1.0) -> Value:
    """phi(scale x) / scale."""
    assert t.spacing is not None, "there are rules for smooth operators only where a spacing is given"
    try:
        made = smooth_spline(name, t.spacing)
    except ValueError as error:
        raise UnsupportedOpError(str(error)) from error
    if scale == 1:
        return t.activate(x, made)
    inner = t.activate(t.scale(x, np.asarray(scale)), made)
    return t.scale(inner, np.asarray(1 / scale))


def _gelu(t: Lowering, x: Tensor, node: Node) -> Value:
    return _spline(t, x, "gelu_tanh" if node.get("approximate") in ("tanh", b"tanh") else "gelu")


def _swish(t: Lowering, x: Tensor, node: Node) -> Value:
    return _spline(t, x, "silu", float(node.get("alpha", 1.0)))


def _softplus(t: Lowering, x: Tensor, node: Node) -> Value:
    return _spline(t, x, "softplus", float(node.get("beta", 1.0)))


_COMMON = {"sigmoid": _plain("sigmoid"), "tanh": _plain("tanh"), "mish": _plain("mish"), "gelu": _gelu}
_RULES: Mapping[str, Mapping[str, Callable[[Lowering, Tensor, Node], Value]]] = {
    "ONNX": {
        **{name.capitalize(): rule for name, rule in _COMMON.items()},
        "Softplus": _softplus,
        "Swish": _swish,
    },
    "ATen": {**_COMMON, "softplus": _softplus, "silu": _plain("silu")},
}
