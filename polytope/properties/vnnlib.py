r"""The input box :math:`l_i \le x_i \le u_i` that a VNN-LIB property states.

Only the constraints on single inputs are read; what is said about outputs is left aside. Where a
property states several boxes (an ``or``), the answer is the smallest box around them, and says so.

References: Demarchi, Guidotti, Pulina, Tacchella (2023), "Supporting Standardization of Neural Networks
Verification with VNNLIB and CoCoNet", https://www.vnnlib.org
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polytope.ir.maps import FloatArray
from polytope.properties.vnnlib_networks import Statements, statements
from polytope.properties.vnnlib_text import Term, asserted, finite_number, head_of, property_text, shown

Ranges = dict[int, tuple[float, float]]  # input -> (low, high); an input that is not named is free

INPUT = re.compile(r"X_(\d{1,9})")


@dataclass(frozen=True, eq=False)
class InputBox:
    """The box that a property states.

    Arguments:
        low, high: ``[d]``.
        exact: whether the stated input set is this box; otherwise the box only contains it.
    """

    low: FloatArray
    high: FloatArray
    exact: bool


@dataclass
class _Reading:
    """What was met on the way that a box cannot say."""

    exact: bool = True


def read_input_box(vnnlib: str | Path) -> InputBox:
    """The input box of a VNN-LIB property, of version 1.0 or 2.0.

    Arguments:
        vnnlib: the property's text, or a file, ``.vnnlib`` or ``.vnnlib.gz``.

    Raises:
        ValueError: there is no such file, the text is not VNN-LIB, or it leaves an input without a bound.

    Example:
        >>> read_input_box("(declare-const X_0 Real) (assert (<= X_0 2)) (assert (>= X_0 -1.5))").low
        array([-1.5])
    """
    stated = statements(property_text(vnnlib))
    inputs = sorted(
        int(name[1])
        for s in stated.terms
        if head_of(s) in ("declare-const", "declare-fun") and (name := INPUT.fullmatch(str(s[1])))
    )
    if not inputs:
        raise ValueError(
            "The property declares no inputs: lines such as (declare-const X_0 Real) were expected."
        )
    if inputs != list(range(len(inputs))):
        raise ValueError("The property's inputs must be declared once each, as X_0, X_1, ... without gaps.")
    reading = _Reading()
    conditions = [asserted(s) for s in stated.terms if head_of(s) == "assert"]
    ranges = _all_of(conditions, reading)
    if ranges is None:
        raise ValueError(
            "The property's input bounds contradict each other: a lower one is above an upper one."
        )
    return _box(ranges, len(inputs), stated, exact=reading.exact)


def _box(ranges: Ranges, d: int, stated: Statements, *, exact: bool) -> InputBox:
    bounds = np.array([ranges.get(i, (-np.inf, np.inf)) for i in range(d)])
    open_ends = np.argwhere(~np.isfinite(bounds))
    if len(open_ends):
        i, side = open_ends[0].tolist()
        name, end = stated.input_name(i), ("lower", "upper")[side]
        raise ValueError(f"The property gives input {name} no {end} bound; a box needs both.")
    if beyond := [i for i in ranges if i >= d]:
        raise ValueError(f"The property bounds X_{beyond[0]}, which it does not declare.")
    return InputBox(bounds[:, 0].copy(), bounds[:, 1].copy(), exact)


def _ranges(term: Term, reading: _Reading) -> Ranges | None:
    """Ranges that contain the inputs that satisfy a condition; ``None`` where there are none."""
    head = head_of(term)
    if head == "and":
        return _all_of(term[1:], reading)
    if head == "or":
        return _any_of(term[1:], reading)
    if head in ("<=", ">=", "<", ">", "=", "==", "!=") and len(term) == 3:
        return _comparison(head, term[1], term[2], reading)
    raise ValueError(f"The property holds a condition of an unknown form: {shown(term)}.")


def _all_of(terms: Sequence[Term], reading: _Reading) -> Ranges | None:
    joint: Ranges = {}
    for term in terms:
        part = _ranges(term, reading)
        if part is None:
            return None
        for i, (low, high) in part.items():
            old = joint.get(i, (-np.inf, np.inf))
            joint[i] = (max(low, old[0]), min(high, old[1]))
            if joint[i][0] > joint[i][1]:
                return None
    return joint


def _any_of(terms: Sequence[Term], reading: _Reading) -> Ranges | None:
    parts = [part for term in terms if (part := _ranges(term, reading)) is not None]
    if not parts:
        return None
    if any(part != parts[0] for part in parts):
        reading.exact = False
    shared = set.intersection(*(set(part) for part in parts))
    return {i: (min(p[i][0] for p in parts), max(p[i][1] for p in parts)) for i in shared}


def _comparison(sign: str, left: Term, right: Term, reading: _Reading) -> Ranges:
    """The range of one input; anything else that names an input makes the box inexact."""
    for variable, number, reverse in ((left, right, False), (right, left, True)):
        name = INPUT.fullmatch(variable) if isinstance(variable, str) else None
        value = finite_number(number)
        if name and value is not None:
            upper = sign[0] == ("<" if not reverse else ">")
            if sign == "!=":
                break
            if sign in ("=", "=="):
                return {int(name[1]): (value, value)}
            return {int(name[1]): (-np.inf, value) if upper else (value, np.inf)}
    if _names_input(left) or _names_input(right):
        reading.exact = False
    return {}


def _names_input(term: Term) -> bool:
    if isinstance(term, str):
        return INPUT.fullmatch(term) is not None
    return any(_names_input(part) for part in term)
