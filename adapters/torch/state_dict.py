"""Bare weights: a plain chain of linear layers if the caller says the activation; all else needs its module.

A state dict holds no architecture. Kernels do not say their strides, paddings and pools, normalisations
not their place, names not their order: such files are read into a module that the caller gives. For
matrices alone what is assumed fits one sentence, which the network carries as its ``import_note``.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from adapters.activation_names import named_activation
from adapters.archive import opened
from adapters.arrays import LARGEST_ARCHIVE, refuse_not_finite, shaped
from adapters.lowering.layers import Array
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError, UnsupportedOpError
from polytope.ir import Network, PiecewiseLinear, mlp
from polytope.ir.maps import FloatArray

_EXPORT = (
    "If you trust it, open it where its class is defined, and save what can be read without running code:\n"
    "    model = torch.load(PATH, weights_only=False).eval()\n"
    "    torch.onnx.export(model, torch.zeros(1, *INPUT_SHAPE), 'model.onnx', dynamo=True)\n"
    "    # or: torch.save(model.state_dict(), 'weights.pth')"
)
_GIVE = (
    "Give the architecture: load(path, module=MyNetwork(), input_shape=(...)), or export the model to ONNX."
)
_ENTRIES = ("state_dict", "model_state_dict", "model", "net", "weights")
_WRAPPERS = ("module.", "_orig_mod.")
_BRANCH = re.compile(r"shortcut|downsample|skip|residual|branch|attn|attention|lstm|gru|rnn|embed")
_NUMBERED = re.compile(r"(?:(.+)\.)?(\d+)")

Chain = Sequence[tuple[str, FloatArray, FloatArray]]
"""Linear layers in order: name, W ``[out, in]``, b ``[out]``."""


def read_weights(data: bytes) -> dict[str, Any]:
    """The state dict in a file of ``torch.save``; code in it is never run."""
    import torch

    from adapters.torch.runtime import quiet

    _refuse_large(data)
    try:
        with quiet():
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many unrelated kinds
        raise _refusal(error, data) from error
    return _state(found)


def _refuse_large(data: bytes) -> None:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with opened(data, "a file of PyTorch") as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST_ARCHIVE:
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
    if not isinstance(found, Mapping) or not found:
        what = "an empty dict" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise CorruptFileError(f"The file holds {what}; a state dict was expected: names and tensors.")
    tensors = {key: value for key, value in found.items() if hasattr(value, "layout")}
    dicts = [key for key, value in found.items() if isinstance(value, Mapping | list) and value]
    entries = [key for key in dicts if key in _ENTRIES]
    if not tensors and len(entries) == 1:
        return _state(found[entries[0]])
    if not tensors and not dicts:
        raise CorruptFileError(f"The file holds no tensor: its entries are {_listed(list(found))}.")
    if dicts:
        beside = f"tensors ({_listed(list(tensors))}) beside " if tensors else ""
        raise UnsupportedOpError(
            f"The file holds {beside}dicts or lists ({_listed(dicts)}), not one state dict. "
            "Save the one that is meant: torch.save(model.state_dict(), 'weights.pth')."
        )
    if not all(isinstance(key, str) for key in tensors):
        raise UnsupportedOpError(f"The keys of the state dict are no names: {_listed(list(tensors))}.")
    return tensors


def _listed(names: Sequence[object]) -> str:
    return ", ".join(repr(n) for n in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def unwrapped(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict without the prefix that a wrapper of the whole module put before every name."""
    for prefix in _WRAPPERS:
        if state and all(key.startswith(prefix) for key in state):
            return unwrapped({key.removeprefix(prefix): tensor for key, tensor in state.items()})
    return dict(state)


def network_from_state(state: Mapping[str, Any], *, activation: Any, input_shape: Any) -> Network:
    """A chain of linear layers with one activation between, and a warning that says what was assumed."""
    if activation is None:
        raise UnsupportedOpError(
            "The file holds weights, no architecture. Give it: load(path, module=MyNetwork(), "
            "input_shape=(3, 32, 32)); linear layers one after the other: load(path, activation='relu')."
        )
    between = named_activation(activation)
    if not isinstance(between, PiecewiseLinear):
        raise ValueError("activation must act on single numbers.")
    chain = _chain(unwrapped(state))
    note = _assumption(chain, activation)
    kinds = {str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()}
    network = shaped(mlp([(W, b) for _, W, b in chain], between), input_shape)
    warnings.warn(f"{note} To check it: load(path, module=MyNetwork(), input_shape=(...)).", stacklevel=2)
    return replace(network, import_note=note, dtype=kinds.pop() if len(kinds) == 1 else "float32")


def _chain(state: Mapping[str, Any]) -> Chain:
    """The linear layers in the file's order; whatever else there is needs its module."""
    grouped: dict[str, dict[str, Array]] = {}
    for key, tensor in state.items():
        name, _, part = key.rpartition(".")
        grouped.setdefault(name, {})[part] = _numbers(tensor, key)
    _refuse_other_layers(grouped)
    _refuse_contradiction(list(grouped))
    chain: list[tuple[str, FloatArray, FloatArray]] = []
    for name, tensors in grouped.items():
        W = tensors["weight"].astype(float)
        b = tensors.get("bias", np.zeros(len(W))).astype(float)
        if b.shape != W.shape[:1] or not W.size:
            raise UnsupportedOpError(f"{name!r} has weights {W.shape} and a bias {b.shape}. {_GIVE}")
        if chain and W.shape[1] != len(chain[-1][2]):
            before, n = chain[-1][0], len(chain[-1][2])
            raise UnsupportedOpError(
                f"The weights are no chain in the order of the file: {name!r} takes {W.shape[1]} numbers, "
                f"{before!r} in front of it gives {n}. {_GIVE}"
            )
        chain.append((name, W, b))
    return chain


def _refuse_other_layers(grouped: Mapping[str, Mapping[str, Array]]) -> None:
    """Kernels, normalisations, branches and parameters of other kinds are not placed by a state dict."""
    for name, tensors in grouped.items():
        weight = tensors.get("weight")
        if weight is not None and weight.ndim > 2:
            what = f"{name!r} is a convolution, and strides, padding and pooling are not in the file"
        elif "running_mean" in tensors or (weight is not None and weight.ndim == 1):
            what = f"{name!r} normalises or scales, and where it stands is not in the file"
        elif _BRANCH.search(name):
            what = f"{name!r} names a branch or a layer with a structure of its own"
        elif weight is None or not set(tensors) <= {"weight", "bias"} or weight.ndim != 2:
            what = f"{name!r} holds {_listed(sorted(tensors))}, which is no linear layer"
        else:
            continue
        raise UnsupportedOpError(f"The weights do not determine an architecture: {what}. {_GIVE}")


def _refuse_contradiction(names: Sequence[str]) -> None:
    """Numbers in keys must leave a gap where an activation is to stand.

    A Sequential numbers all its modules, so a gap is a module without weights, and no gap is nothing. A
    list of layers that a forward runs through has no gaps at all, and a prefix.
    """
    for prefix, members in _numbered(names).items():
        steps = [b - a for (a, _), (b, _) in pairwise(members)]
        whole_file_or_sequential = not prefix or any(step > 1 for step in steps)
        for step, (_, first), (_, second) in zip(steps, members, members[1:], strict=False):
            if step < 1:
                raise UnsupportedOpError(
                    f"The file's order is not that of its keys: {first!r} comes before {second!r}. {_GIVE}"
                )
            if step == 1 and whole_file_or_sequential:
                raise UnsupportedOpError(
                    f"{first!r} and {second!r} stand next to each other in a Sequential, so there is no "
                    f"activation between them: this is no chain with one between all layers. {_GIVE}"
                )


def _numbered(names: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """Numbers and names of the layers that are entries of a Sequential or a list, by its name."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            found.setdefault(match[1] or "", []).append((int(match[2]), name))
    return found


def _assumption(chain: Chain, activation: Any) -> str:
    """What a chain of layers is taken for, in a sentence."""
    names = _listed([name for name, _, _ in chain])
    name = activation if isinstance(activation, str) else "the given activation"
    between = f"{name} between all of them" if len(chain) > 1 else "no activation"
    gaps = [m for m in _numbered([name for name, _, _ in chain]).values() if len(m) > 1]
    agree = all(b - a > 1 for m in gaps for (a, _), (b, _) in pairwise(m))
    return (
        "The file holds weights only, so nothing can run it; assumed: the linear layers "
        f"{names} in this order, {between}, nothing else that computes"
        + (" (the gaps in the numbers of the keys agree)." if gaps and agree else ".")
    )


def _numbers(tensor: Any, key: str) -> Array:
    dense = real(tensor, key)
    array: Array = dense.detach().double().numpy() if dense.is_floating_point() else dense.numpy()
    refuse_not_finite(array, key, bound=False)
    return array


def real(tensor: Any, key: str) -> Any:
    """A tensor of real numbers, sparse ones filled in; quantised, complex and absent numbers are refused."""
    if tensor.is_quantized or tensor.is_complex():
        raise UnsupportedOpError(f"Tensor {key!r} is quantised or complex, which is not supported.")
    if tensor.is_meta:
        raise CorruptFileError(
            f"Tensor {key!r} holds no numbers: it was saved from the meta device. Save the trained weights."
        )
    return tensor.to_dense() if str(tensor.layout) != "torch.strided" else tensor
