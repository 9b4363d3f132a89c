"""What a caller gives for a network and a domain: what it clearly means, or a sentence what to give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray

Runtime: TypeAlias = Callable[[FloatArray], FloatArray]

LONGEST = 40  # characters of a value that a message shows

if TYPE_CHECKING:
    import os

    import onnx
    import torch
    from numpy.typing import ArrayLike

    from adapters.mlp_block import MLPBlock as MLPBlock
    from adapters.mlp_block import Norm as Norm


class HasNetwork(Protocol):
    """What holds a network, such as ``Simplified`` or ``ModelFile``."""

    @property
    def network(self) -> Network:
        """The network."""


NetworkLike: TypeAlias = "Network | HasNetwork | str | os.PathLike[str] | torch.nn.Module | onnx.ModelProto"
"""A network, what holds one, the path of a model file, or a model in memory."""
DomainLike: TypeAlias = "Polyhedron | ArrayLike"
"""A polyhedron, or a box: ``[[low, high], ...]`` for every input, or ``(low, high)``."""


def as_network(given: NetworkLike, name: str = "network") -> Network:
    """A network itself; else that of what holds one, of a model file, of a PyTorch module or an ONNX model.

    Arguments:
        given: the network, or what it is read from; a module is tried with a vector as long as its first
            layer, a ``Linear``, reads.
        name: of the argument, for the message.

    Raises:
        TypeError: it stands for no network, or ``from_torch`` needs an example.
        LoadError: the model cannot be read.
    """
    if isinstance(given, Network):
        return given
    held = getattr(given, "network", None)
    if isinstance(held, Network) and not isinstance(given, type):
        return held
    from adapters.any_model import network_of

    found = network_of(given)
    if found is None:
        raise TypeError(
            f"{name}: a Network is expected, not {described(given)}; the path of a model file or a PyTorch "
            "module will do (load, from_torch)."
        )
    return found


def traced(module: torch.nn.Module, example: torch.Tensor) -> Network:
    """The network of a PyTorch module on inputs like an example.

    Arguments:
        module: any module that ``from_torch`` reads.
        example: one input, with a batch axis of 1.

    Raises:
        LoadError: the module cannot be read.
    """
    from adapters.memory import from_torch

    return from_torch(module, example)


def runtime_of(network: Network) -> Runtime | None:
    """The runtime that a loaded network was compared with; ``None`` where there is none.

    Arguments:
        network: any network.
    """
    from adapters.check import runtime

    return runtime(network)


def blocks_of(model: Any, x: Any) -> tuple[tuple[MLPBlock, FloatArray], ...]:
    """The MLP blocks of a model, each with the tokens that reach it, ``[samples, tokens, d]``.

    Arguments:
        model: an ONNX file or model, or a PyTorch module.
        x: its input for some samples.
    """
    from adapters.blocks import block_inputs

    return block_inputs(model, x)


def as_domain(given: DomainLike, dim: int | None = None, name: str = "domain") -> Polyhedron:
    """A polyhedron itself, or the box that its ends describe.

    Arguments:
        given: a polyhedron; ``[[low, high], ...]``, a pair for every coordinate, ``[d, 2]``; or
            ``(low, high)``, of two vectors ``[d]`` or two numbers.
        dim: the number of inputs that it must have, if that is known.
        name: of the argument, for the message.

    Raises:
        TypeError: it is neither, or could be read as two boxes.
        ValueError: it has another number of coordinates, or a low end above the high one.
        EmptyDomainError: the ends of a coordinate are equal.
    """
    domain = given if isinstance(given, Polyhedron) else _box(given, dim, name)
    if dim is not None and domain.dim != dim:
        raise ValueError(f"The {name} lies in R^{domain.dim}, the network's input in R^{dim}.")
    return domain


def as_problem(network: NetworkLike, domain: DomainLike) -> tuple[Network, Polyhedron]:
    """A network, and a domain in its input space.

    Arguments:
        network, domain: as of ``as_network`` and ``as_domain``.

    Raises:
        TypeError, ValueError, LoadError, EmptyDomainError: as of these.
    """
    read = as_network(network)
    return read, as_domain(domain, read.input_dim)


def _box(given: Any, dim: int | None, name: str) -> Polyhedron:
    """The box that a pair, or pairs, describe."""
    expected = (
        f"{name}: a Polyhedron is expected, or a box such as [[-1, 1], [-1, 1]] (a pair for every input) or "
        f"(low, high), not {described(given)}: Polyhedron.box(low, high) makes one."
    )
    if isinstance(given, str | bytes | dict | set) or given is None:
        raise TypeError(expected)
    try:
        ends = floats(given)
    except (TypeError, ValueError) as error:
        raise TypeError(expected) from error
    if ends.shape == (2,) and dim is not None:  # two numbers for all inputs
        return Polyhedron.box(ends[0], ends[1], dim)
    readings = [part for part in _readings(ends) if dim is None or len(part[0]) == dim]
    if not readings:
        raise TypeError(expected)
    return Polyhedron.box(*_clear(readings, name))


def _readings(ends: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """The pairs of ends that a table may mean, as columns or as rows."""
    if ends.ndim != 2:
        return []
    columns = [(ends[:, 0], ends[:, 1])] if ends.shape[1] == 2 else []
    return columns + ([(ends[0], ends[1])] if len(ends) == 2 else [])


def _clear(readings: list[tuple[FloatArray, FloatArray]], name: str) -> tuple[FloatArray, FloatArray]:
    """The reading that is a box, where there is one only."""
    boxes = [(low, high) for low, high in readings if (low < high).all()]
    if len(boxes) == 2 and not np.array_equal(boxes[0], boxes[1]):
        raise TypeError(
            f"{name}: these numbers are a box for every input's pair as well as for (low, high): write "
            "Polyhedron.box(low, high)."
        )
    return boxes[0] if boxes else readings[0]


def described(given: object) -> str:
    """A value in a few words: its type, and the value where it is short.

    Arguments:
        given: what a caller passed.
    """
    if isinstance(given, type):
        return f"the class {given.__name__}"
    text = _short_repr(given)
    return f"{text} ({type(given).__name__})" if 0 < len(text) <= LONGEST else f"a {type(given).__name__}"


def _short_repr(given: object) -> str:
    """What Python shows of a short value; empty for others, and where its own code does not show it."""
    if not isinstance(given, int | float | str | list | tuple):
        return ""
    try:
        return "" if isinstance(given, str | list | tuple) and len(given) > LONGEST else repr(given)
    except Exception:  # a class of the caller may raise whatever it likes
        return ""
