r"""VNN-LIB properties: the unsafe set as a union of cases, each a polyhedron in inputs and outputs.

A property asks whether some input satisfies all its asserts; such an input is a counterexample. Linear
constraints over inputs and outputs with ``and`` and ``or`` become a list of cases
:math:`\{(x, y) : l \le x \le u,\ A x \le b,\ C (x, y) \le e\}`. Each number in the text is read as the
float64 nearest to it; sums and products of them are exact.

References: Demarchi, Guidotti, Pulina, Tacchella (2023), "Supporting Standardization of Neural Networks
Verification with VNNLIB and CoCoNet", https://www.vnnlib.org
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.properties.vnnlib_networks import Declared, statements
from polytope.properties.vnnlib_text import Term, asserted, finite_number, head_of, property_text, shown

Linear = dict[str, Fraction]  # variable -> coefficient; the constant is under ""
MOST_CASES = 10_000

_VARIABLE = re.compile(r"([XY])_(\d{1,9})")


@dataclass(frozen=True, eq=False)
class Case:
    """One polyhedron of counterexamples.

    Arguments:
        low, high: ``[d]``, bounds of the inputs; where a limit is no float64, rounded outward, and in A too.
        A, b: ``[m, d]`` and ``[m]``, further constraints ``A x <= b`` on the inputs alone.
        C, e: ``[k, d + out]`` and ``[k]``, constraints ``C (x, y) <= e`` that name outputs, or are strict.
        strict: ``bool[k]``, which of these must hold strictly.
    """

    low: FloatArray
    high: FloatArray
    A: FloatArray
    b: FloatArray
    C: FloatArray
    e: FloatArray
    strict: NDArray[np.bool_]

    @property
    def domain_key(self) -> bytes:
        """Equal for cases with the same inputs."""
        return b"|".join(a.tobytes() for a in (self.low, self.high, self.A, self.b))


@dataclass(frozen=True, eq=False)
class Property:
    """The counterexamples that a property looks for.

    Arguments:
        n_inputs, n_outputs: as declared.
        cases: a counterexample satisfies one of them; none of them has an empty box. Where there are none,
            the asserts contradict each other, and the property holds.
        inputs, outputs: as version 2.0 declares them; empty for a property of version 1.0.
    """

    n_inputs: int
    n_outputs: int
    cases: tuple[Case, ...]
    inputs: tuple[Declared, ...] = ()
    outputs: tuple[Declared, ...] = ()

    __repr__ = one_line


def read_property(vnnlib: str | Path) -> Property:
    """The cases of a VNN-LIB property, of version 1.0 or 2.0.

    Arguments:
        vnnlib: the property's text, or a file, ``.vnnlib`` or ``.vnnlib.gz``.

    Raises:
        ValueError: there is no such file, the text is not VNN-LIB, a constraint is not linear, an input has
            no bound, there are more than 10,000 cases, or numbers in it add up to one that float64 cannot
            hold.

    Example:
        >>> case, = read_property('''(declare-const X_0 Real) (declare-const Y_0 Real)
        ...     (assert (>= X_0 -1)) (assert (<= X_0 1)) (assert (>= Y_0 (+ X_0 2)))''').cases
        >>> case.low.tolist(), case.high.tolist(), case.C.tolist(), case.e.tolist()
        ([-1.0], [1.0], [[1.0, -1.0]], [-2.0])
    """
    stated = statements(property_text(vnnlib))
    declared = [
        _VARIABLE.fullmatch(str(s[1])) for s in stated.terms if head_of(s) in ("declare-const", "declare-fun")
    ]
    names = [name for name in declared if name]
    sizes = {}
    for letter, what in (("X", "inputs"), ("Y", "outputs")):
        numbers = sorted(int(name[2]) for name in names if name[1] == letter)
        if not numbers or numbers != list(range(len(numbers))):
            raise ValueError(
                f"The property's {what} must be declared once each, as {letter}_0, {letter}_1, ... "
                "without gaps."
            )
        sizes[letter] = len(numbers)
    condition: Term = ["and", *[asserted(s) for s in stated.terms if head_of(s) == "assert"]]
    d, out = sizes["X"], sizes["Y"]
    cases = [_case(atoms, d, out) for atoms in _cases(condition)]
    kept = tuple(case for case in cases if (case.low <= case.high).all())
    for case in kept:
        if (free := np.flatnonzero(~np.isfinite(case.low) | ~np.isfinite(case.high))).size:
            name = stated.input_name(int(free[0]))
            raise ValueError(f"The property leaves input {name} without a bound; a check needs a box.")
    return Property(d, out, kept, stated.inputs, stated.outputs)


def _cases(term: Term) -> list[list[tuple[Linear, bool]]]:
    """The disjunctive normal form: lists of ``(linear <= 0, strict)``."""
    head = head_of(term)
    if head == "and" or (isinstance(term, list) and term == ["and"]):
        parts = [_cases(part) for part in term[1:]]
        _check_number(prod(len(part) for part in parts))
        return [[atom for part in choice for atom in part] for choice in product(*parts)]
    if head == "or":
        joined = [case for part in term[1:] for case in _cases(part)]
        _check_number(len(joined))
        return joined
    if head in ("<=", ">=", "<", ">", "=", "==", "!=") and len(term) == 3:
        left, right = _linear(term[1]), _linear(term[2])
        upper, lower = _minus(left, right), _minus(right, left)
        if head == "!=":
            return [[(upper, True)], [(lower, True)]]
        if head in ("=", "=="):
            return [[(upper, False), (lower, False)]]
        return [[(upper if head[0] == "<" else lower, len(head) == 1)]]
    raise ValueError(f"The property holds a condition of an unknown form: {shown(term)}.")


def _check_number(n: int) -> None:
    if n > MOST_CASES:
        raise ValueError(f"The property unfolds into {n} cases; at most {MOST_CASES} are taken.")


def _linear(term: Term) -> Linear:
    """A linear expression."""
    value = finite_number(term)
    if value is not None:
        return {"": Fraction(value)}
    if isinstance(term, str):
        if _VARIABLE.fullmatch(term):
            return {term: Fraction(1)}
        if term[:1] in "+-.0123456789":
            raise ValueError(f"The property holds {term[:40]!r}, which is no number that float64 can hold.")
        raise ValueError(f"The property names {term[:40]!r}, which is neither X_i, Y_j nor a number.")
    head, parts = head_of(term), [_linear(part) for part in term[1:]]
    if head == "+":
        return _sum(parts)
    if head == "-" and parts:
        return _minus(parts[0], _sum(parts[1:])) if len(parts) > 1 else _scaled(parts[0], Fraction(-1))
    if head == "*" and parts:
        factors = [part.get("", Fraction(0)) for part in parts if set(part) <= {""}]
        others = [part for part in parts if not set(part) <= {""}]
        if len(others) <= 1:
            return _scaled(others[0] if others else {"": Fraction(1)}, prod(factors, start=Fraction(1)))
    raise ValueError(f"The property holds an expression that is not linear: {shown(term)}.")


def _scaled(linear: Linear, factor: Fraction) -> Linear:
    return {name: factor * value for name, value in linear.items()}


def _sum(parts: Sequence[Linear]) -> Linear:
    total: Linear = {}
    for part in parts:
        total = _minus(total, _scaled(part, Fraction(-1)))
    return total


def _minus(left: Linear, right: Linear) -> Linear:
    out = dict(left)
    for name, value in right.items():
        out[name] = out.get(name, Fraction(0)) - value
    return out


def _case(atoms: Sequence[tuple[Linear, bool]], d: int, out: int) -> Case:
    """Atoms sorted into bounds, constraints on inputs, and constraints with outputs or that are strict."""
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    inputs, conditions, strict = [np.zeros((0, d + out + 1))], [np.zeros((0, d + out + 1))], []
    for linear, is_strict in atoms:
        row, limit = _row(linear, d, out), -linear.get("", Fraction(0))
        if not row:
            if limit < 0 or (is_strict and limit == 0):  # 0 <= -1: nothing satisfies this case
                low, high = np.full(d, 1.0), np.full(d, 0.0)
            continue
        if is_strict or max(row) >= d:
            conditions.append(_as_floats(row, limit, d + out))
            strict.append(is_strict)
        if max(row) < d and not (len(row) == 1 and _is_bound(row, limit, low, high)):
            inputs.append(_as_floats(row, limit, d + out))
    A, C = np.concatenate(inputs), np.concatenate(conditions)
    return Case(low, high, A[:, :d], A[:, -1], C[:, :-1], C[:, -1], np.array(strict, dtype=bool))


def _row(linear: Linear, d: int, out: int) -> dict[int, Fraction]:
    """The coefficients that are not zero, of inputs and then of outputs, by place."""
    row = {}
    for name, value in linear.items():
        if name:
            i = int(name[2:])
            if i >= (d if name[0] == "X" else out):
                raise ValueError(f"The property names {name}, which it does not declare.")
            row[i + (0 if name[0] == "X" else d)] = value
    return {i: value for i, value in row.items() if value}


def _is_bound(row: dict[int, Fraction], limit: Fraction, low: FloatArray, high: FloatArray) -> bool:
    """Tighten the bounds of one input, rounded outward; whether that says it all."""
    [(i, factor)] = row.items()
    end = _rounded(limit / factor, up=factor > 0)
    if factor > 0:
        high[i] = min(high[i], end)
    else:
        low[i] = max(low[i], end)
    return bool(np.isfinite(end)) and Fraction(end) == limit / factor


def _as_floats(row: dict[int, Fraction], limit: Fraction, n: int) -> FloatArray:
    """The row in float64, ``[1, n + 1]``, which must hold its numbers."""
    out = np.zeros((1, n + 1))
    for i, value in [*row.items(), (n, limit)]:
        out[0, i] = _rounded(value, up=True)
        if not np.isfinite(out[0, i]) or Fraction(float(out[0, i])) != value:
            raise ValueError(
                f"Numbers in a condition of the property make about {out[0, i]:.17g}, but not a float64: "
                "state it as one number, or multiply the condition by some factor."
            )
    return out


def _rounded(value: Fraction, *, up: bool) -> float:
    """The float64 next to a number that is not below it, or not above it."""
    end = np.inf if up else -np.inf
    try:
        nearest = float(value)
    except OverflowError:
        return end if (value > 0) == up else float(-np.sign(end) * np.finfo(float).max)
    beyond = Fraction(nearest) < value if up else Fraction(nearest) > value
    return float(np.nextafter(nearest, end)) if beyond else nearest
