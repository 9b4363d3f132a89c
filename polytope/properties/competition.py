"""Several properties of one network, and answers in the form that the competition VNN-COMP asks for.

References: Brix, Bak, Liu, Johnson (2023), "The Fourth International Verification of Neural Networks
Competition", https://arxiv.org/abs/2312.16760. The VNN-LIB 2.0 standard, chapter "Command-line Interface"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from polytope.engines.amounts import Seconds, in_seconds
from polytope.given import NetworkLike, as_network, described
from polytope.ir.maps import FloatArray
from polytope.properties.decide import PropertyCheck, Runtime, check_property
from polytope.properties.vnnlib_networks import Declared
from polytope.properties.vnnlib_property import Property, read_property


def check_properties(
    network: NetworkLike,
    properties: Sequence[str | Path | Property],
    *,
    max_seconds: Seconds | None = None,
    workers: int = 1,
    runtime: Runtime | None = None,
) -> tuple[PropertyCheck, ...]:
    """What ``check_property`` says of each of several properties, in their order.

    All are read before the first one is decided.

    Arguments:
        network: the network.
        properties: files, texts, or what ``read_property`` made of them.
        max_seconds: budget of each.
        workers, runtime: as in ``check_property``.

    Raises:
        TypeError: the properties are no list.
        ValueError: as ``check_property`` does; a message about a file begins with its name.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> text = '''(vnnlib-version <2.0>)
        ...     (declare-network f (declare-input X real [1]) (declare-output Y real [1]))
        ...     (assert (and (>= X[0] -1) (<= X[0] 1) (>= Y[0] {})))'''
        >>> [found.status for found in check_properties(net, [text.format(y) for y in (0.5, 1.5)])]
        ['violated', 'holds']
    """
    network = as_network(network)
    if isinstance(properties, str | PathLike | Property) or not isinstance(properties, Iterable):
        raise TypeError(
            f"check_properties: a list of properties is expected, not {described(properties)}; "
            "check_property decides one."
        )
    stated = [_read(one) for one in properties]
    return tuple(
        check_property(network, one, max_seconds=max_seconds, workers=workers, runtime=runtime)
        for one in stated
    )


def _read(vnnlib: str | Path | Property) -> Property:
    if isinstance(vnnlib, Property):
        return vnnlib
    try:
        return read_property(vnnlib)
    except ValueError as error:
        if isinstance(vnnlib, Path) and vnnlib.name not in str(error):
            raise ValueError(f"{vnnlib.name}: {error}") from error
        raise


def competition_result(found: PropertyCheck, stated: Property, *, max_seconds: Seconds | None = None) -> str:
    """A result file of VNN-COMP: "sat" with a counterexample, "unsat", "timeout" or "unknown".

    "sat" is a property that is violated. For a property of version 1.0 the counterexample is a list such as
    ``((X_0 0.5) (Y_0 1.25))``, one value a line; for one of version 2.0 each variable with its type and
    shape, and then its values. Values are float64, with as many digits as tell them apart. Where the check
    says ``rounded``, the input is the one next to a counterexample that no float64 is.

    Arguments:
        found: what ``check_property`` said.
        stated: the property.
        max_seconds: the budget that it had, which tells "timeout" from "unknown".

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> stated = pt.read_property('''(declare-const X_0 Real) (declare-const Y_0 Real)
        ...     (assert (= X_0 -0.5)) (assert (>= Y_0 0.25))''')
        >>> print(competition_result(pt.check_property(net, stated), stated), end="")
        sat
        ((X_0 -0.5)
        (Y_0 0.5))
    """
    if found.witness is None or found.outputs is None:
        limit = in_seconds(max_seconds)
        late = limit is not None and found.seconds >= limit
        word = "unsat" if found.status == "holds" else "timeout" if late else "unknown"
        return word + "\n"
    if stated.inputs:
        lines = [*_variables(stated.inputs, found.witness), *_variables(stated.outputs, found.outputs)]
    else:
        pairs = [
            f"({letter}_{i} {_number(value)})"
            for letter, values in (("X", found.witness), ("Y", found.outputs))
            for i, value in enumerate(values)
        ]
        lines = [f"({pairs[0]}", *pairs[1:-1], f"{pairs[-1]})"]
    return "\n".join(["sat", *lines]) + "\n"


def _variables(variables: Sequence[Declared], values: FloatArray) -> Iterator[str]:
    """Each variable, and its values in the order of its places."""
    for variable, part in zip(
        variables, np.split(values, np.cumsum([t.size for t in variables])[:-1]), strict=True
    ):
        yield f"{variable.name} {variable.kind} [{','.join(map(str, variable.shape))}]"
        yield from map(_number, part)


def _number(value: float) -> str:
    return repr(float(value))
