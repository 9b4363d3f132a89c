"""The MLP blocks of a model, found by structure."""

from __future__ import annotations

from typing import Any

from adapters.inside import in_rows, inputs_of, values
from adapters.lowering.refusals import presentable
from adapters.mlp_block import MLPBlock, Step
from polytope.errors import UnsupportedOpError
from polytope.ir.maps import FloatArray


def mlp_blocks(model: Any, example_input: Any = None) -> tuple[MLPBlock, ...]:
    """The MLP blocks of a transformer or any other model, in the order in which they are computed.

    A block is a linear map, an activation (ReLU, or one that has splines), perhaps a product with another
    linear map of the same input or with itself, and a linear map behind it, each of the last axis alone.

    Arguments:
        model: an ONNX file or model, or a ``torch.nn.Module``.
        example_input: of a module: a tensor with a batch axis in front, or a tuple; whole numbers too.

    Raises:
        LoadError: the model cannot be read or traced.
        TypeError: the model is of another kind, or a module without an example.

    Example:
        >>> import torch
        >>> layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=32, batch_first=True)
        >>> mlp_blocks(layer, torch.zeros(1, 5, 8))[0].units().n_units
        32
    """
    with presentable():
        return tuple(_found(_flow(model, example_input)))


def block_inputs(model: Any, x: Any) -> tuple[tuple[MLPBlock, FloatArray], ...]:
    """The MLP blocks of a model, each with the tokens that reach it, ``[samples, tokens, d]`` in float64.

    Arguments:
        model: as of ``mlp_blocks``.
        x: the model's input for n samples, as of ``activations``.
    """
    blocks, found = _traced(model, x) if hasattr(model, "modules") else _read(model, x)
    return tuple(
        (block, rows.reshape(len(rows), -1, block.hidden[0].shape[1]))
        for block, rows in zip(blocks, found, strict=True)
    )


def _read(model: Any, x: Any) -> tuple[tuple[MLPBlock, ...], list[FloatArray]]:
    """The blocks of an ONNX model, and what reaches them."""
    blocks = _some(mlp_blocks(model))
    return blocks, values(model, x, [block.start for block in blocks])


def _traced(module: Any, x: Any) -> tuple[tuple[MLPBlock, ...], list[FloatArray]]:
    """The blocks of a module, and what reaches them, from one trace."""
    from adapters.torch.blocks import traced_flow
    from adapters.torch.inside import arrays_in_program

    inputs = inputs_of(x)
    with presentable():
        flow, exported, given = traced_flow(module, inputs)
        blocks = _some(tuple(_found(flow)))
        found = arrays_in_program(exported, given, [block.start for block in blocks])
        return blocks, in_rows(found, inputs)


def _some(blocks: tuple[MLPBlock, ...]) -> tuple[MLPBlock, ...]:
    """At least one block."""
    if not blocks:
        raise UnsupportedOpError("The model has no MLP block: a linear map, an activation, a linear map.")
    return blocks


def _flow(model: Any, example_input: Any) -> dict[str, Step]:
    """All values of a model by name, in order."""
    if hasattr(model, "modules"):
        from adapters.torch.blocks import traced_flow

        if example_input is None:
            raise TypeError(
                "mlp_blocks: a module needs an example of its input: mlp_blocks(module, example)."
            )
        return traced_flow(model, inputs_of(example_input))[0]
    from adapters.onnx.blocks import flow_of_model
    from adapters.onnx.inside import model_of

    return flow_of_model(model_of(model, "mlp_blocks"))


def _found(flow: dict[str, Step]) -> list[MLPBlock]:
    readers: dict[str, list[str]] = {}
    for name, step in flow.items():
        for read in step.reads:
            readers.setdefault(read, []).append(name)
    return [
        block
        for name, step in flow.items()
        if step.kind == "activation"
        for block in _at(flow, readers, name)
    ]


def _at(flow: dict[str, Step], readers: dict[str, list[str]], name: str) -> list[MLPBlock]:
    """The block around an activation, if it is one."""
    hidden, start = _linear_in_front(flow, flow[name].reads[0])
    if hidden is None:
        return []
    behind, how = _readers(flow, readers, name), ""
    for product in [n for n in behind if flow[n].kind == "product"]:
        factors = {_source(flow, read) for read in flow[product].reads}
        other = factors - {name}
        squared = not other
        gated = any(_linear_in_front(flow, n)[1] == start for n in other)
        if squared or gated:
            behind, how = _readers(flow, readers, product), "squared" if squared else "gated"
    end = next((n for n in behind if flow[n].kind == "linear"), "")
    readout = flow[end].weights if end else None
    if readout is None:
        return []
    norm = flow[start].norm if start in flow else None
    return [MLPBlock(start, end, flow[name].name, how == "gated", how == "squared", hidden, readout, norm)]


def _source(flow: dict[str, Step], name: str) -> str:
    """A value through what does not change it."""
    while name in flow and flow[name].kind == "same":
        name = flow[name].reads[0]
    return name


def _linear_in_front(flow: dict[str, Step], name: str) -> tuple[tuple[FloatArray, FloatArray] | None, str]:
    """The linear map whose value this is, and what it reads."""
    step = flow.get(_source(flow, name))
    if step is None or step.kind != "linear":
        return None, ""
    return step.weights, _source(flow, step.reads[0])


def _readers(flow: dict[str, Step], readers: dict[str, list[str]], name: str) -> list[str]:
    """What reads a value, through what does not change it."""
    found = []
    for reader in readers.get(name, ()):
        found += _readers(flow, readers, reader) if flow[reader].kind == "same" else [reader]
    return found
