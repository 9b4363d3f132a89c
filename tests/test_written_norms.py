"""Normalisations that models write out in small steps are known by what they compute, and others are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from adapters import activations, mlp_blocks
from adapters.mlp_block import MLPBlock

Way = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def mean(x: torch.Tensor) -> torch.Tensor:
    """The mean over the last axis, which stays."""
    return x.mean(-1, keepdim=True)


NORMS: dict[str, tuple[bool, Way]] = {
    "gemma": (False, lambda x, g: x * torch.rsqrt(mean(x.pow(2)) + 1e-6) * (1.0 + g)),
    "by a root": (False, lambda x, g: g * (x / torch.sqrt(mean(x**2) + 1e-6))),
    "by a reciprocal": (False, lambda x, g: g * (x * torch.sqrt(mean(x.square()) + 1e-6).reciprocal())),
    "layer norm": (True, lambda x, g: (x - mean(x)) / torch.sqrt(mean((x - mean(x)) ** 2) + 1e-6) * g),
    "by a variance": (
        True,
        lambda x, g: (x - mean(x)) * torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + 1e-6) * g,
    ),
}
OTHERS: dict[str, Way] = {
    "number behind the root": lambda x, g: g * (x / (torch.sqrt(mean(x**2)) + 1e-6)),
    "negative number": lambda x, g: g * (x * torch.rsqrt(mean(x**2) - 1e-6)),
    "another token's length": lambda x, g: g * (x * torch.rsqrt(mean(x.flip(1) ** 2) + 1e-6)),
    "mean over tokens": lambda x, g: g * (x * torch.rsqrt((x**2).mean(1, keepdim=True) + 1e-6)),
    "another power": lambda x, g: g * (x * torch.rsqrt(mean(x**4) + 1e-6)),
    "unbiased": lambda x, g: (x - mean(x)) * torch.rsqrt(x.var(-1, keepdim=True) + 1e-6) * g,
    "half of the mean": lambda x, g: (x - 0.5 * mean(x)) * torch.rsqrt(mean((x - mean(x)) ** 2) + 1e-6) * g,
    "sum of roots": lambda x, g: g * (x * torch.rsqrt(mean(x**2) + mean(x**2))),
}


class Written(torch.nn.Module):
    """Tokens of six numbers, a norm in steps, an MLP without biases in front."""

    def __init__(self, way: Way) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way, self.weight = way, torch.nn.Parameter(torch.rand(6) - 0.4)
        self.up, self.down = torch.nn.Linear(6, 9, bias=False), torch.nn.Linear(9, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens behind the MLP."""
        return torch.as_tensor(self.down(torch.relu(self.up(self.way(x, self.weight)))))


def check(block: MLPBlock, x: np.ndarray, reached: np.ndarray, centred: bool) -> None:
    """The norm maps tokens x to those that reach the block, and its cones have the signs of the units."""
    norm = block.norm
    assert norm is not None
    assert norm.centred == centred
    u = x - x.mean(axis=1, keepdims=True) if centred else x
    scaled = norm.scale * u / np.sqrt((u**2).mean(axis=1, keepdims=True) + 1e-6) + norm.shift
    np.testing.assert_allclose(scaled, reached, atol=1e-5)  # float32
    if len(block.without_bias):
        signs = block.units().pattern(reached)[:, : len(block.hidden[1])]
        np.testing.assert_array_equal(block.cones().pattern(x), signs[:, block.without_bias])


@pytest.mark.parametrize("name", NORMS)
def test_norms_in_steps_are_those_of_the_module(name: str) -> None:
    centred, way = NORMS[name]
    model, x = Written(way), np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    (block,) = mlp_blocks(model, torch.zeros(1, 3, 6))
    reached = activations(model, x[:, None], at=block.start).reshape(-1, 6)
    assert len(block.without_bias) == 9
    check(block, x.astype(float), reached, centred)


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_a_norm_is_none(name: str) -> None:
    (block,) = mlp_blocks(Written(OTHERS[name]), torch.zeros(1, 3, 6))
    assert block.norm is None


def in_onnx(steps: str, opset: int, **constants: np.ndarray) -> onnx.ModelProto:
    """A model of tokens ``x``, steps ``out = Op(in, ...)`` up to ``normed``, and an MLP."""
    rng = np.random.default_rng(0)
    known = {"W": rng.normal(size=(6, 9)), "V": rng.normal(size=(9, 6)), "eps": np.array(1e-6)} | constants
    nodes = []
    for step in [*steps.split(";"), "up = MatMul(normed, W)", "on = Relu(up)", "y = MatMul(on, V)"]:
        out, call = step.strip().split(" = ")
        op, reads = call.rstrip(")").split("(")
        more = {"axes": [-1]} if op == "ReduceMean" and opset < 18 else {}
        names = reads.split(", ") + (["last"] if op == "ReduceMean" and opset >= 18 else [])
        nodes.append(helper.make_node(op, names, [out], **more))
    stored = [numpy_helper.from_array(a.astype(np.float32), name) for name, a in known.items()]
    stored += [numpy_helper.from_array(np.array([-1]), "last")] if opset >= 18 else []
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, 6]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "written", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


G, S = np.linspace(-1, 1, 6), np.linspace(0, 2, 6)
LAYER = (
    "m = ReduceMean(x); u = Sub(x, m); s = Pow(u, two); v = ReduceMean(s); w = Add(v, eps); r = Sqrt(w); "
    "n = Div(u, r); k = Mul(n, g)"
)
RMS = "s = Mul(x, x); v = ReduceMean(s); w = Add(v, eps); r = Sqrt(w); q = Reciprocal(r); n = Mul(x, q)"
MODELS = {
    "layer norm": (True, f"{LAYER}; normed = Add(k, s0)", 17, {"g": G, "s0": S, "two": np.array(2.0)}),
    "without shift": (True, f"{LAYER}; normed = Identity(k)", 13, {"g": G, "two": np.array(2.0)}),
    "rms": (False, f"{RMS}; normed = Mul(g, n)", 18, {"g": G}),
    "gemma": (
        False,
        f"{RMS}; h = Add(g, one); normed = Mul(n, h)",
        18,
        {"g": G, "one": np.array(1.0)},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_norms_in_steps_are_those_of_the_onnx_model(name: str) -> None:
    centred, steps, opset, constants = MODELS[name]
    model = in_onnx(steps, opset, **constants)
    x = np.random.default_rng(1).normal(size=(50, 3, 6)).astype(np.float32)
    (block,) = mlp_blocks(model)
    reached = activations(model, x, at=block.start).reshape(-1, 6)
    check(block, x.reshape(-1, 6).astype(float), reached, centred)


def test_a_mean_over_other_axes_is_no_norm_in_onnx() -> None:
    model = in_onnx(f"{RMS}; normed = Mul(g, n)", 17, g=G)
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            node.attribute[0].ints[:] = [1]
    (block,) = mlp_blocks(model)
    assert block.norm is None
