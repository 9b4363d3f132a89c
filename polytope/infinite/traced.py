"""The calls of a torch module in order, by torch.fx: which layer or function reads which values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

IN_PLACE = {operator.iadd, operator.isub, operator.imul, operator.itruediv}
SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}


@dataclass(frozen=True, eq=False)
class Call:
    """One layer or function of a module.

    Arguments:
        name: what messages call it.
        result: the value that it makes.
        reads: the values that it reads.
        module: the layer; ``None`` for a function.
        function: of the tensors that it reads.
        kind: the name of the layer's class, or of the function.
        options: keyword arguments and further arguments of a function, for activations.
    """

    name: str
    result: str
    reads: tuple[str, ...]
    module: nn.Module | None
    function: Callable[..., Tensor]
    kind: str
    options: tuple[tuple[Any, ...], dict[str, Any]]
    is_sum: bool


class _Tracer(fx.Tracer):
    """Goes into containers and stays in front of layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """A layer: with parameters of its own, of torch, without children, or one that says what it is."""
        own = bool(m._parameters) or not m._modules or hasattr(m, "affine") or hasattr(m, "ties")
        return own or (m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential))


def calls(module: nn.Module) -> tuple[str, list[Call], str]:
    """The calls of a module.

    Arguments:
        module: of one input and one output.

    Returns:
        The name of the input, the calls in order, and the name of the output's value.

    Raises:
        ValueError: what the module does depends on its values, or it has several inputs or outputs.
    """
    wrapped = nn.Sequential(module)
    try:
        graph = _Tracer().trace(wrapped)
    except Exception as error:  # fx raises errors of many kinds from inside the module
        raise ValueError(
            f"{type(module).__name__} cannot be traced as layers of one input that do not depend on its "
            f"values ({error}): write its layers as nn.Sequential."
        ) from error
    found: list[Call] = []
    inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
    (output,) = (node.args[0] for node in graph.nodes if node.op == "output")
    if len(inputs) != 1 or not isinstance(output, fx.Node):
        raise ValueError(f"{type(module).__name__}: one input and one output are needed.")
    for node in graph.nodes:
        _refuse_changed(wrapped, node)
        if node.op in ("placeholder", "output") or _is_size(node):
            continue
        found.append(_call(wrapped, node))
    return inputs[0], found, output.name


def _refuse_changed(module: nn.Module, node: fx.Node) -> None:
    """Refuse a value that is changed in place and read again: the graph says which value, not when.

    Raises:
        ValueError: there is such a value.
    """
    layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "")
    in_place = name.endswith("_") and not name.endswith("__")
    in_place |= node.target in IN_PLACE or bool(node.kwargs.get("inplace"))
    if not (in_place or getattr(layer, "inplace", False)) or not node.all_input_nodes:
        return
    changed, nodes = node.all_input_nodes[0], list(node.graph.nodes)
    if any(nodes.index(user) > nodes.index(node) for user in changed.users):
        raise ValueError(
            f"The module changes a value in place in {node.name!r} and reads it again: give it "
            "inplace=False, or use the result."
        )


def _is_size(node: fx.Node) -> bool:
    """Whether a node is the shape of a value, or one of its sizes."""
    if node.op == "call_function" and node.target is operator.getitem:
        return isinstance(node.args[0], fx.Node) and _is_size(node.args[0])
    shape = node.op == "call_function" and node.target is getattr and node.args[1:] == ("shape",)
    return shape or (node.op == "call_method" and node.target == "size")


def _is_number_of_points(node: fx.Node) -> bool:
    """Whether a size is the first one: ``x.size(0)`` or ``x.shape[0]``."""
    return (*node.args[1:], *node.kwargs.values()) == (0,)


def _tensors_of(node: fx.Node) -> list[fx.Node]:
    """The values that a node reads, without the number of points, which every call knows.

    Raises:
        ValueError: it uses another size, or no value at all.
    """
    sizes = [n for n in node.all_input_nodes if _is_size(n)]
    if not all(_is_number_of_points(n) for n in sizes):
        raise ValueError(
            f"The module uses the sizes of a value in {node.name!r}: only the number of points, x.size(0), "
            "is known; write nn.Flatten, nn.Unflatten, or the numbers themselves."
        )
    found = [n for n in node.all_input_nodes if n not in sizes]
    if not found and node.op != "get_attr":
        raise ValueError(f"The module makes values of its own in {node.name!r}, of no layer and no input.")
    return found


def _call(module: nn.Module, node: fx.Node) -> Call:
    """One node as a function of the tensors that it reads."""
    inputs = _tensors_of(node)
    reads = tuple(n.name for n in inputs)
    if node.op == "get_attr":
        raise ValueError(
            f"The module uses its own tensor {node.target!r} outside of a layer: write it as a layer, such "
            "as nn.Linear, so that its weights can be told apart."
        )
    layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def run(*tensors: Tensor) -> Tensor:
        points = dict.fromkeys(node.all_input_nodes, tensors[0].shape[0])
        values: dict[fx.Node, Any] = {**points, **dict(zip(inputs, tensors, strict=True))}
        args: Any = fx.node.map_arg(node.args, lambda n: values[n])
        keywords: Any = fx.node.map_arg(node.kwargs, lambda n: values[n])
        if layer is not None:
            done = layer(*args, **keywords)
        elif node.op == "call_method":
            first, *rest = args
            done = getattr(first, str(node.target))(*rest, **keywords)
        else:
            assert callable(node.target), "a function"
            done = node.target(*args, **keywords)
        return done  # type: ignore[no-any-return]

    target = node.target
    kind = type(layer).__name__ if layer is not None else getattr(target, "__name__", str(target))
    name = str(target).partition(".")[2] or kind if layer is not None else str(kind)
    rest = tuple(a for a in node.args[1:] if not isinstance(a, fx.Node))
    plain = len(reads) == len(node.args) and not node.kwargs  # alpha= would scale one of them
    is_sum = layer is None and target in SUMS and plain
    return Call(name, node.name, reads, layer, run, kind, (rest, dict(node.kwargs)), is_sum)
