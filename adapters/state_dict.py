"""Bare weights whose names and shapes determine a chain of layers; the caller says the activation.

A state dict holds neither activations nor strides. Layers are taken in the order of the file; what a
convolution's stride and padding can be is read off the sizes that fit together, and refused where more
than one choice fits.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from adapters.activation_names import named_activation
from adapters.arrays import LARGEST_ARCHIVE, refuse_not_finite
from adapters.check import checked
from adapters.lowering import Array, Lowering, Tensor, Value
from adapters.ops.arithmetic import total
from adapters.ops.convolution import convolved
from adapters.ops.linear import matmul
from adapters.ops.normalization import normalized
from adapters.ops.pointwise import bent
from adapters.ops.windows import Geometry
from adapters.residual_dict import is_residual, network_of_residual
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError, UnsupportedOpError
from polytope.ir import Network, PiecewiseLinear
from polytope.ir.maps import FloatArray

_EXPORT = (
    "If you trust it, open it where its class is defined, and save what can be read without running code:\n"
    "    model = torch.load(PATH, weights_only=False).eval()\n"
    "    torch.onnx.export(model, torch.zeros(1, *INPUT_SHAPE), 'model.onnx', dynamo=True)\n"
    "    # or: torch.save(model.state_dict(), 'weights.pth')"
)


@dataclass(frozen=True, eq=False)
class Block:
    """The tensors of one module: ``weight``, ``bias``, perhaps ``running_mean`` and ``running_var``."""

    name: str
    tensors: Mapping[str, Array]

    @property
    def weight(self) -> Array:
        """The weight, which every block has."""
        return self.tensors["weight"]


def read_weights(data: bytes) -> dict[str, Any]:
    """The state dict in a file of ``torch.save``; code in it is never run."""
    import torch

    _refuse_large(data)
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many unrelated kinds
        raise _refusal(error, data) from error
    return _state(found)


def _refuse_large(data: bytes) -> None:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(e.file_size for e in archive.infolist()) > LARGEST_ARCHIVE:
            raise UnsafeFileError(f"The archive unpacks to more than {LARGEST_ARCHIVE:,} bytes.")


def _refusal(error: Exception, data: bytes) -> LoadError:
    """What a file is that PyTorch does not open with ``weights_only=True``."""
    text = str(error)
    if "weights_only" in text or "WeightsUnpickler" in text or "Unsupported global" in text:
        wanted = re.search(r"GLOBAL (\S+)", text)
        what = f" ({wanted[1]})" if wanted else ""
        return UnsafeFileError(
            f"It is a pickle of python objects{what}, not of weights; unpickling runs code from it. {_EXPORT}"
        )
    kind = "truncated or corrupt" if data[:2] in (b"PK", b"\x80\x02") else "not a PyTorch file"
    return CorruptFileError(f"The file is {kind}: PyTorch cannot read it. Download or save it again.")


def _state(found: Any) -> dict[str, Any]:
    """The state dict in what a file holds: itself, or an entry called state_dict, model, ..."""
    if isinstance(found, list) and len(found) == 1:
        return _state(found[0])
    if isinstance(found, Mapping):
        tensors = {k: v for k, v in found.items() if hasattr(v, "layout")}
        if tensors:
            return tensors
        for key in ("state_dict", "model_state_dict", "model", "net", "weights"):
            if key in found:
                return _state(found[key])
    raise CorruptFileError("The file holds no state dict: a mapping of names to tensors was expected.")


def blocks_of(state: Mapping[str, Any]) -> list[Block]:
    """The modules of a state dict, in the file's order."""
    grouped: dict[str, dict[str, Array]] = {}
    for key, tensor in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        module, _, name = key.removeprefix("module.").rpartition(".")
        grouped.setdefault(module, {})[name] = _numbers(tensor, key)
    for module, tensors in grouped.items():
        if "weight" not in tensors or not set(tensors) <= {"weight", "bias", "running_mean", "running_var"}:
            raise UnsupportedOpError(_undetermined(f"module {module!r} holds {sorted(tensors)}"))
    return [Block(name, tensors) for name, tensors in grouped.items()]


def _numbers(tensor: Any, key: str) -> Array:
    dense = tensor.to_dense() if str(tensor.layout) != "torch.strided" else tensor
    if dense.is_quantized or dense.is_complex():
        raise UnsupportedOpError(f"Tensor {key!r} is quantised or complex, which has no rule.")
    array: Array = dense.detach().double().numpy() if dense.is_floating_point() else dense.numpy()
    refuse_not_finite(array, key)
    return array


def _undetermined(what: str) -> str:
    return (
        f"The weights do not determine a chain of layers: {what}. Give the architecture: "
        "load(path, module=MyNetwork(), input_shape=(...)), or export the model to ONNX."
    )


def network_from_state(state: Mapping[str, Any], *, activation: Any, input_shape: Any) -> Network:
    """A chain of linear layers, convolutions and batch normalisations, with one activation between."""
    if activation is None:
        raise UnsupportedOpError(
            "The file holds weights only, not the activation between the layers. "
            "Say it: load(path, activation='relu')."
        )
    bend = named_activation(activation)
    if not isinstance(bend, PiecewiseLinear):
        raise ValueError("activation must act on single numbers.")
    if is_residual(state):
        return network_of_residual(state, activation=activation, input_shape=input_shape)
    blocks = blocks_of(state)
    _refuse_branches(blocks)
    shape = _input_shape(blocks, input_shape)
    geometry = _geometry(blocks, shape)
    t = Lowering()
    [x] = t.input([(1, *shape)])
    network = Network(shape, t.finish([_chained(t, x, blocks, geometry, bend)]))
    kinds = {
        str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()
    }
    dtype = kinds.pop() if len(kinds) == 1 else "float32"
    return checked(network, _reference(blocks, shape, geometry, bend), dtype)


def _reference(
    blocks: Sequence[Block], shape: tuple[int, ...], geometry: Geometry | None, bend: PiecewiseLinear
) -> Callable[[FloatArray], FloatArray]:
    """The same chain by PyTorch's own functions, one sample at a time."""
    import torch
    from torch.nn import functional

    convolutions = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}

    def one(row: FloatArray) -> FloatArray:
        x, started = torch.from_numpy(row.reshape(1, *shape)), False
        for block in blocks:
            p = {name: torch.from_numpy(np.array(array)) for name, array in block.tensors.items()}
            if p["weight"].ndim == 1:
                statistics = (p["running_mean"], p["running_var"], p["weight"], p.get("bias"))
                x = functional.batch_norm(x, *statistics)
                continue
            if started:
                x = torch.from_numpy(bend.values(x.numpy().reshape(-1, 1))).reshape(x.shape)
            started = True
            if p["weight"].ndim == 2:
                x = functional.linear(x.flatten(1), p["weight"], p.get("bias"))
            else:
                assert geometry is not None, "a chain with kernels has a geometry"
                groups = x.shape[1] // p["weight"].shape[1]
                options = (geometry.stride, geometry.padding[0][0], 1, groups)
                x = convolutions[p["weight"].ndim](x, p["weight"], p.get("bias"), *options)
        flat: FloatArray = x.numpy().ravel()
        return flat

    return lambda x: np.stack([one(row) for row in x])


def _refuse_branches(blocks: Sequence[Block]) -> None:
    """Names of parallel branches, and sizes that do not follow each other, are no chain."""
    for block in blocks:
        if re.search(r"shortcut|downsample|skip|residual|branch|attn|lstm|gru", block.name):
            raise UnsupportedOpError(_undetermined(f"{block.name!r} names a branch"))


def _input_shape(blocks: Sequence[Block], given: Any) -> tuple[int, ...]:
    first = next((b.weight for b in blocks if b.weight.ndim > 1), None)
    if first is None:
        raise UnsupportedOpError(_undetermined("there is no matrix and no kernel"))
    if given is not None:
        shape = tuple(int(n) for n in given)
        return shape[1:] if first.ndim > 2 and len(shape) == first.ndim and shape[0] == 1 else shape
    if first.ndim == 2:
        return (first.shape[1],)
    raise UnsupportedOpError(
        f"The weights start with a convolution of {first.shape[1]} channels and do not say the image size. "
        f"Say it: load(path, input_shape=({first.shape[1]}, 32, 32), activation='relu')."
    )


def _chained(t: Lowering, x: Value, blocks: Sequence[Block], geometry: Geometry | None, bend: Any) -> Value:
    """The layers one after the other; a bend in front of every matrix or kernel but the first."""
    started = False
    for block in blocks:
        weight, bias = block.weight, block.tensors.get("bias")
        if weight.ndim == 1:
            x = _normalised(t, x, block)
            continue
        x = bent(t, x, bend) if started else x
        started = True
        if weight.ndim == 2:
            size = prod(x.shape)
            if size != weight.shape[1]:
                raise UnsupportedOpError(
                    _undetermined(f"{block.name!r} takes {weight.shape[1]} numbers of {size}")
                )
            flat = x.reshaped((1, size)) if isinstance(x, Tensor) else x.reshape(1, size)
            x = matmul(t, flat, weight.T)
            x = x if bias is None else total(t, x, bias)
        else:
            assert geometry is not None, "a chain with kernels has a geometry"
            g = Geometry(weight.shape[2:], geometry.stride, geometry.dilation, geometry.padding)
            x = convolved(t, x, weight, bias, g, x.shape[1] // weight.shape[1])
    return x


def _normalised(t: Lowering, x: Value, block: Block) -> Value:
    if "running_mean" not in block.tensors:
        raise UnsupportedOpError(_undetermined(f"{block.name!r} normalises, but holds no statistics"))
    mean, variance = (np.asarray(block.tensors[f"running_{n}"]) for n in ("mean", "var"))
    bias = block.tensors.get("bias", np.zeros_like(mean))
    return normalized(t, x, block.weight, bias, mean, variance, 1e-5)


def _geometry(blocks: Sequence[Block], shape: tuple[int, ...]) -> Geometry | None:
    """The one stride, and the one padding of at most half a kernel, with which all sizes fit."""
    kernels = [b.weight for b in blocks if b.weight.ndim > 2]
    matrices = [b.weight for b in blocks if b.weight.ndim == 2]
    if not kernels:
        return None
    axes = kernels[0].ndim - 2
    if len(shape) != axes + 1:
        raise UnsupportedOpError(_undetermined(f"input shape {shape} does not fit a kernel of {axes} axes"))
    fitting = []
    for stride, pad in product((1, 2, 3, 4), range(min(k.shape[-1] for k in kernels) // 2 + 1)):
        sizes = _sizes_behind(kernels, shape[1:], stride, pad)
        if sizes and (not matrices or matrices[0].shape[1] == kernels[-1].shape[0] * prod(sizes)):
            fitting.append((stride, pad))
    if len(fitting) != 1:
        raise UnsupportedOpError(
            _undetermined(f"strides and paddings {fitting[:4]} all fit" if fitting else "no stride fits")
        )
    [(stride, pad)] = fitting
    return Geometry((1,) * axes, (stride,) * axes, (1,) * axes, ((pad, pad),) * axes)


def _sizes_behind(
    kernels: Sequence[Array], sizes: Sequence[int], stride: int, pad: int
) -> tuple[int, ...] | None:
    """Image sizes behind a chain of convolutions, ``None`` where one does not fit."""
    for kernel in kernels:
        sizes = [(n + 2 * pad - k) // stride + 1 for n, k in zip(sizes, kernel.shape[2:], strict=True)]
        if min(sizes) < 1:
            return None
    return tuple(sizes)
