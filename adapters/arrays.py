"""Archives of plain arrays: W0, b0, W1, b1, ... with one activation between the layers."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy

from adapters.activation_names import named_activation
from adapters.inputs import given_shapes
from adapters.lowering.layers import Array
from polytope.errors import CorruptFileError, UnsafeFileError
from polytope.ir import Activation, Network, mlp
from polytope.ir.maps import FloatArray

OVERFLOWS = "the outputs are beyond the range of {dtype} on every input tried."
LARGEST_ARCHIVE = 2**31
"""Bytes that an archive may unpack to."""


def read_npz(data: bytes, *, activation: str | Activation | None, input_shape: Any) -> Network:
    """The network of an .npz archive; ReLU between the layers unless the caller says otherwise."""
    arrays = _arrays(data)
    count = _count(arrays)
    pairs = [(_weights(arrays, f"W{i}", 2), _weights(arrays, f"b{i}", 1)) for i in range(count)]
    for i, (W, b) in enumerate(pairs):
        before = pairs[i - 1][0].shape[0] if i else W.shape[1]
        if W.shape != (len(b), before) or not W.size:
            wanted = f"({len(b)}, {before if i else 'inputs'})"
            raise CorruptFileError(
                f"W{i} has shape {W.shape}; shape {wanted} was expected, with a row for each of the "
                f"{len(b)} numbers of b{i}, and at least one number."
            )
    between = named_activation("relu" if activation is None else activation)
    network = mlp(pairs, between)
    error, compared, tried = _difference(network, pairs, between)
    on = f" on {compared} of {tried} inputs: float64 overflows on the others" if compared < tried else ""
    note = f"compared with the formula that the format stands for, in numpy{on}"
    if error is None:
        note = OVERFLOWS.format(dtype="float64")
    found = replace(network, import_error=error, import_note=note, dtype=arrays["W0"].dtype.name)
    return shaped(found, input_shape)


def shaped(network: Network, input_shape: Any) -> Network:
    """The network of flat inputs with the caller's shape of one input."""
    if input_shape is None:
        return network
    shape = given_shapes(input_shape, network.input_names)[network.input_names[0]]
    if prod(shape) != network.input_dim:
        raise ValueError(f"input_shape {shape} does not fit: the weights take {network.input_dim} numbers.")
    return replace(network, input_shape=shape)


def _count(arrays: Mapping[str, Array]) -> int:
    """How many layers W0, b0, W1, b1, ... there are, without gaps and without other arrays."""
    count = sum(1 for name in arrays if re.fullmatch(r"W\d+", name))
    expected = {f"{letter}{i}" for i in range(count) for letter in "Wb"}
    if not count or set(arrays) != expected:
        raise CorruptFileError(
            f"The arrays W0, b0, W1, b1, ... were expected; the archive holds {sorted(arrays)[:12]}."
        )
    return count


def _arrays(data: bytes) -> dict[str, Array]:
    """All arrays of an archive, sizes checked before anything is unpacked; objects are never unpickled."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if sum(e.file_size for e in entries) > LARGEST_ARCHIVE or len(entries) > 10_000:
                raise UnsafeFileError(f"The archive unpacks to more than {LARGEST_ARCHIVE:,} bytes.")
            return {e.filename.removesuffix(".npy"): _array(archive, e) for e in entries}
    except (
        zipfile.BadZipFile,
        ValueError,
        TypeError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise CorruptFileError(
            f"The archive is truncated or corrupt, or not an .npz file ({error})."
        ) from error
    except Exception as error:  # zlib and the header parser raise kinds of their own
        if isinstance(error, CorruptFileError | UnsafeFileError):
            raise
        raise CorruptFileError(f"The archive is corrupt ({type(error).__name__}).") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise UnsafeFileError(
                f"Array {entry.filename!r} holds pickled objects, which are never unpacked."
            )
        if dtype.kind not in "fiu":
            raise CorruptFileError(
                f"Array {entry.filename!r} is of type {dtype}; real numbers were expected."
            )
        size = (
            int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize if shape else dtype.itemsize
        )
        if not 0 <= size <= entry.file_size:
            raise CorruptFileError(f"Array {entry.filename!r} of shape {shape} is larger than its entry.")
        flat = np.frombuffer(file.read(size), dtype=dtype)
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _weights(arrays: Mapping[str, Array], name: str, axes: int) -> FloatArray:
    array = np.asarray(arrays[name], dtype=float)
    if array.ndim != axes:
        raise CorruptFileError(f"{name} has shape {array.shape}; {axes} axes were expected.")
    refuse_not_finite(array, name, bound=False)
    return array


def refuse_not_finite(array: Array, name: str, *, infinite: str = "", bound: bool = True) -> None:
    """NaN, or infinity among several numbers (a single one may be a bound), is no weight.

    Arguments:
        infinite: signs that infinities may have: "-" in what may be a mask, "+-" in a bound; "?" is for NaN.
        bound: whether a single number may be a bound; in a file of weights only it is none.
    """
    if array.dtype.kind != "f":
        return
    infinite += "+-" if bound and array.size == 1 else ""
    bad = ~np.isfinite(array)
    for sign in "+-":
        bad &= (array != float(f"{sign}inf")) | (sign not in infinite)
    bad &= ~np.isnan(array) | ("?" not in infinite)
    if bad.any():
        place = [int(i) for i in np.argwhere(bad)[0]]
        raise CorruptFileError(
            f"Tensor {name!r} holds {array[tuple(place)]} at index {place} ({int(bad.sum())} such numbers). "
            "Weights must be finite: the training diverged, or the file is damaged."
        )


def _difference(
    network: Network, pairs: list[tuple[FloatArray, FloatArray]], between: Activation
) -> tuple[float | None, int, int]:
    """The largest difference to the plain formula, if it is finite anywhere; on how many of how many."""
    x = np.random.default_rng(0).standard_normal((8, network.input_dim))
    h = x.T
    for i, (W, b) in enumerate(pairs):
        h = W @ h + b[:, None]
        h = between.values(h) if i + 1 < len(pairs) else h
    finite = np.isfinite(h).all(axis=0)
    worst = float(np.abs(network(x) - h.T)[finite].max()) if finite.any() else None
    return worst, int(finite.sum()), len(x)
