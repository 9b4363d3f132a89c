"""Networks as named arrays and back: how a result on disk keeps the network that it is about.

The structure is JSON, the numbers are arrays; nothing in an archive is code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.errors import CorruptFileError
from polytope.ir.layers import Layer
from polytope.ir.network import Network
from polytope.ir.stored_files import parsed
from polytope.ir.stored_network import KINDS, WHERE_SET, network_of
from polytope.ir.unit_pieces import Spline

STRUCTURE = "structure"


def to_arrays(network: Network | Layer) -> dict[str, NDArray[Any]]:
    """A network, or one of its layers, as arrays; ``structure`` holds JSON text in bytes.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> float(from_arrays(to_arrays(net))([[-3.0]])[0, 0])
        3.0
    """
    arrays: dict[str, NDArray[Any]] = {}
    structure = json.dumps(_encode(network, arrays), sort_keys=True)
    return {STRUCTURE: np.frombuffer(structure.encode(), dtype=np.uint8), **arrays}


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Network:
    """The network that ``to_arrays`` was given.

    Raises:
        CorruptFileError: the arrays do not describe a network.
    """
    numbers = dict(arrays)
    text = numbers.pop(STRUCTURE, None)
    if text is None or text.dtype != np.uint8:
        raise CorruptFileError("The stored network cannot be read: it has no structure.")
    return network_of(parsed(text.tobytes(), "The structure of the stored network"), numbers)


def fingerprint(network: Network | Layer) -> str:
    """The sha256 of the structure and the numbers of a network or a layer, in hexadecimal digits."""
    digest = sha256()
    for name, array in sorted(to_arrays(network).items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).data)
    return digest.hexdigest()


def _encode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """JSON for a value; its arrays are added to ``arrays``."""
    if type(value) in KINDS.values():
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        parts = {
            name: _encode(part, arrays)
            for name, part in named.items()
            if not (name in WHERE_SET and (part is None or part is False))
        }
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, Spline):
        return [value.name, value.spacing]
    if isinstance(value, csr_array):
        parts = {name: _encode(getattr(value, name), arrays) for name in ("data", "indices", "indptr")}
        return {"sparse": parts, "shape": list(value.shape)}
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, tuple):
        return [_encode(item, arrays) for item in value]
    if value is None or isinstance(value, str | float | int):
        return value
    raise TypeError(f"A network does not contain a {type(value).__name__}.")
