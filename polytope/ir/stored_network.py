"""The structure of an archive becomes a network: every entry is checked before an object is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.errors import CorruptFileError
from polytope.ir.activations import MaxGroups, PiecewiseLinear
from polytope.ir.continuity import refuse_infinite
from polytope.ir.convolution import Convolution
from polytope.ir.layers import Layer
from polytope.ir.maps import Composition, Dense, Diagonal, LinearMap, Selection, Sparse, Transposed
from polytope.ir.network import Network
from polytope.ir.splines import smooth_spline
from polytope.ir.unit_pieces import Spline

WIDEST = 1 << 31
"""Sizes of a value: what reads them counts in 32 bits."""
MOST_OBJECTS = 1 << 14
"""Layers, maps and activations: five thousand layers, ten times those of the deepest networks in use."""
MOST_SPLINES = 8
"""Different ones: each is made anew, which takes a fraction of a second."""
DEEPEST = 100
"""Maps inside one another: Python's own stack bears ten times as many calls."""

WHERE_SET = {"spline", "dequantised"}
"""Parts that an archive holds only where there is something to say: older ones do not know them."""
MAPS = (Dense, Sparse, Diagonal, Selection, Transposed, Composition, Convolution)
ACTIVATIONS = (PiecewiseLinear, MaxGroups)
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Network, Layer, *ACTIVATIONS, *MAPS)}


def network_of(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Network:
    """The network of a structure, each of whose arrays is used once.

    Raises:
        CorruptFileError: it is none; the message names the entry.
    """
    source = _Source(dict(arrays))
    try:
        network: Network = source.one_of(tree, (Network,))
        for layer in network.layers:
            _check_activation(layer)
        refuse_infinite(network)
    except ValueError as error:  # of the constructors, which say what does not fit
        raise CorruptFileError(f"The stored network is none: {error}") from error
    if source.arrays:
        raise CorruptFileError("The stored network holds arrays that nothing names.")
    return network


def count_entries(linear: LinearMap) -> int:
    """How many entries the matrices of a map's factors have, without making them."""
    total = 0
    for factor in linear.chain():
        while isinstance(factor, Transposed):
            factor = factor.of
        if isinstance(factor, Convolution):
            total += prod(factor.output_shape) * prod(factor.kernel.shape[1:])
        elif isinstance(factor, Dense):
            total += factor.matrix.size
        elif isinstance(factor, Sparse):
            total += factor.matrix.nnz
        else:
            total += factor.shape[0]
    return total


class _Source:
    """The arrays that no entry has used so far, and how many objects were made."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.arrays, self.objects, self.depth = arrays, 0, 0
        self.splines: set[tuple[str, float]] = set()

    def one_of(self, value: Any, kinds: tuple[type[Any], ...]) -> Any:
        """An object of one of these kinds."""
        if not (isinstance(value, dict) and value.keys() == {"kind", "parts"}):
            raise _wrong("an object", "a kind and its parts")
        kind = next((k for k in kinds if k.__name__ == value["kind"]), None)
        if kind is None:
            raise _wrong("a kind", " or ".join(k.__name__ for k in kinds))
        self.objects += 1
        self.depth += 1
        if self.objects > MOST_OBJECTS or self.depth > DEEPEST:
            raise CorruptFileError(
                f"The stored network has more than {MOST_OBJECTS:,} layers and maps, or more than {DEEPEST} "
                "maps inside one another."
            )
        parts, readers = value["parts"], PARTS[kind]
        if not (isinstance(parts, dict) and parts.keys() | WHERE_SET & readers.keys() == readers.keys()):
            raise _wrong(f"the parts of a {kind.__name__}", ", ".join(readers))
        made = kind(
            **{name: readers[name](self, part, f"{kind.__name__}.{name}") for name, part in parts.items()}
        )
        if isinstance(made, LinearMap) and not all(n < WIDEST for n in made.shape):
            raise _wrong(f"the sizes of a {kind.__name__}", f"less than {WIDEST:,}")
        self.depth -= 1
        return made

    def array(self, value: Any, where: str, kinds: str, axes: int | None) -> NDArray[Any]:
        """An array of numbers of one of the kinds, taken away."""
        if not (isinstance(value, dict) and value.keys() == {"array"} and isinstance(value["array"], str)):
            raise _wrong(where, "the name of an array")
        array = self.arrays.pop(value["array"], None)
        if array is None:
            raise CorruptFileError(f"The stored network: the array of {where} is missing, or used twice.")
        half = array.dtype.kind == "f" and array.dtype.itemsize < 4  # no sparse matrix holds such numbers
        if array.dtype.kind not in kinds or half or axes not in (None, array.ndim):
            raise _wrong(where, f"an array of {axes or 'some'} axes of numbers of its kind")
        return array


Part = Callable[[_Source, Any, str], Any]


def _wrong(where: str, wanted: str) -> CorruptFileError:
    return CorruptFileError(f"The stored network: {where} is not what was expected ({wanted}).")


def _numbers(axes: int | None, kinds: str = "fiu") -> Part:
    return lambda source, value, where: source.array(value, where, kinds, axes)


def _indices(axes: int) -> Part:
    return lambda source, value, where: source.array(value, where, "iu", axes)


def _object(*kinds: type[Any]) -> Part:
    return lambda source, value, where: source.one_of(value, kinds)


def _optional(part: Part) -> Part:
    return lambda source, value, where: None if value is None else part(source, value, where)


def _several(part: Part) -> Part:
    def read(source: _Source, value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise _wrong(where, "a list")
        return tuple(part(source, item, where) for item in value)

    return read


def _integer(least: int) -> Part:
    def read(source: _Source, value: Any, where: str) -> int:
        if type(value) is not int or not least <= value < WIDEST:
            raise _wrong(where, f"a whole number from {least} to {WIDEST - 1:,}")
        return value

    return read


def _text(source: _Source, value: Any, where: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _wrong(where, "text")
    return value


def _truth(source: _Source, value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false")
    return value


def _real(source: _Source, value: Any, where: str) -> float:
    if type(value) is not float and not (type(value) is int and abs(value) < 2**53):
        raise _wrong(where, "a number")
    return value


def _pair(first: Part, second: Part) -> Part:
    def read(source: _Source, value: Any, where: str) -> tuple[Any, Any]:
        if not (isinstance(value, list) and len(value) == 2):
            raise _wrong(where, "pairs")
        return first(source, value[0], where), second(source, value[1], where)

    return read


def _spline(source: _Source, value: Any, where: str) -> Spline | None:
    """The spline of a function and a spacing, made anew: nothing that a file says of it is believed."""
    name, spacing = _pair(_text, _real)(source, value, where)
    source.splines.add((name, spacing))
    if len(source.splines) > MOST_SPLINES:
        raise _wrong(where, f"at most {MOST_SPLINES} splines")
    try:
        return smooth_spline(name, spacing).spline
    except ValueError as error:
        raise _wrong(where, "the name of a smooth function and a spacing") from error


def _matrix(source: _Source, value: Any, where: str) -> csr_array:
    """A sparse matrix whose rows and columns are those that it says."""
    parts = value.get("sparse") if isinstance(value, dict) and value.keys() == {"sparse", "shape"} else None
    if not (isinstance(parts, dict) and parts.keys() == {"data", "indices", "indptr"}):
        raise _wrong(where, "a sparse matrix")
    m, n = _pair(_integer(0), _integer(0))(source, value["shape"], where)
    data = source.array(parts["data"], where, "fiu", 1)
    indices, ends = (source.array(parts[name], where, "i", 1) for name in ("indices", "indptr"))
    rises = len(ends) == m + 1 and ends[0] == 0 and ends[-1] == len(data) and (np.diff(ends) >= 0).all()
    inside = len(indices) == len(data) and (not len(data) or (indices.min() >= 0 and indices.max() < n))
    if not (rises and inside):
        raise _wrong(where, "a sparse matrix whose entries lie inside it")
    return csr_array((data, indices, ends), shape=(m, n))


_SIZES = _several(_integer(1))
PARTS: dict[type[Any], dict[str, Part]] = {
    Network: {
        "input_shape": _SIZES,
        "layers": _several(_object(Layer)),
        "input_names": _several(_text),
        "output_names": _several(_text),
        "input_parts": _several(_pair(_text, _SIZES)),
        "import_error": _optional(_real),
        "import_note": _text,
        "dtype": _text,
        "dequantised": _truth,
    },
    Layer: {
        "inputs": _several(_integer(0)),
        "maps": _several(_object(*MAPS)),
        "bias": _numbers(1, "f"),
        "activation": _optional(_object(*ACTIVATIONS)),
    },
    PiecewiseLinear: {
        "breakpoints": _numbers(2),
        "slopes": _numbers(2),
        "intercepts": _numbers(2),
        "spline": _spline,
    },
    MaxGroups: {"members": _indices(2)},
    Dense: {"matrix": _numbers(2)},
    Sparse: {"matrix": _matrix},
    Diagonal: {"factors": _numbers(1)},
    Selection: {"index": _indices(1), "n_inputs": _integer(0)},
    Transposed: {"of": _object(*MAPS)},
    Composition: {"outer": _object(*MAPS), "inner": _object(*MAPS)},
    Convolution: {
        "kernel": _numbers(None),
        "input_shape": _SIZES,
        "stride": _SIZES,
        "dilation": _SIZES,
        "padding": _several(_pair(_integer(-WIDEST), _integer(-WIDEST))),
        "groups": _integer(1),
    },
}
assert all([*PARTS[kind]] == [f.name for f in fields(kind)] for kind in KINDS.values()), (
    "a part has no reader"
)


def _tables(activation: PiecewiseLinear) -> tuple[NDArray[Any], ...]:
    return activation.breakpoints, activation.slopes, activation.intercepts


def _check_activation(layer: Layer) -> None:
    """Raise a ``ValueError`` unless the activation has a row for each unit, and groups of what is there."""
    activation, n = layer.activation, len(layer.bias)
    if isinstance(activation, PiecewiseLinear):
        tables = _tables(activation)
        if activation.spline is not None:
            made = _tables(smooth_spline(activation.spline.name, activation.spline.spacing))
            if not all(np.array_equal(own, one) for own, one in zip(tables, made, strict=True)):
                raise ValueError(f"the pieces of a spline are not those of {activation.spline.name}.")
        if any(len(table) not in (1, n) for table in tables):
            raise ValueError(f"an activation has other rows than one, or one for each of {n} units.")
    if isinstance(activation, MaxGroups) and activation.members.max() >= n:
        raise ValueError(f"a group names a member that is not among {n} pre-activations.")
