r"""The network that a VNN-LIB property of version 2.0 declares, and its asserts in the words of version 1.0.

``(declare-input X float32 [2, 3])`` declares ``X[0,0]`` to ``X[1,2]``, which are inputs 0 to 5 in this order;
what is declared after it follows. All numbers are read as real ones, whatever their declared type.

References: the VNN-LIB 2.0 standard, https://www.vnnlib.org, chapter "Query Language"
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from polytope.properties.vnnlib_text import Term, head_of, shown, terms_of

REAL_TYPES = ("real", "float16", "float32", "float64", "bfloat16")
MOST_VALUES = 1_000_000

_VERSION = re.compile(r"<(\d{1,4})\.\d{1,4}>")
_NAME = re.compile(r"[A-Za-z]\w{0,200}", re.ASCII)
_INDEXED = re.compile(r"([A-Za-z]\w{0,200})(?:\[([\d,]*)\])?", re.ASCII)
_SECOND = ("vnnlib-version", "declare-network")


@dataclass(frozen=True)
class Declared:
    """Values that a property of version 2.0 declares together.

    Arguments:
        name: of the variable.
        kind: the type of its elements, as written.
        shape: as written; empty for a single value.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many values."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Statements:
    """A property as its declarations and asserts.

    Arguments:
        terms: of version 1.0, with inputs ``X_0``, ... and outputs ``Y_0``, ...
        inputs, outputs: as version 2.0 declares them; empty for a property of version 1.0.
    """

    terms: list[Term]
    inputs: tuple[Declared, ...] = ()
    outputs: tuple[Declared, ...] = ()

    def input_name(self, i: int) -> str:
        """An input, as the property writes it."""
        return element_name(self.inputs, i) or f"X_{i}"


def element_name(variables: Sequence[Declared], i: int) -> str:
    """How a value is written; nothing where none is declared."""
    for variable in variables:
        if i < variable.size:
            places = np.unravel_index(i, variable.shape) if variable.shape else ()
            return variable.name + (f"[{','.join(str(int(p)) for p in places)}]" if variable.shape else "")
        i -= variable.size
    return ""


def statements(text: str) -> Statements:
    """A property of version 1.0 or 2.0.

    Raises:
        ValueError: the text is neither, or it is about other things than inputs and outputs of one network.
    """
    terms = terms_of(text)
    if not any(head_of(term) in _SECOND for term in terms):
        return Statements(terms)
    _check_version(terms)
    networks = [term for term in terms if head_of(term) == "declare-network"]
    if len(networks) != 1:
        names = ", ".join(shown(term[1]) for term in networks)
        raise ValueError(
            f"The property is about {len(networks)} networks ({names or 'none is declared'}): properties of "
            "one network are decided; whether two agree up to a tolerance, by `polytope compare A B "
            "--tolerance T`, in Python `equivalent`."
        )
    inputs, outputs = _declared(networks[0])
    rest = [term for term in terms if head_of(term) not in _SECOND]
    if other := [term for term in rest if head_of(term) != "assert"]:
        raise ValueError(f"The property holds a statement of an unknown form: {shown(other[0])}.")
    places = _places(inputs, "X") | _places(outputs, "Y")
    asserts = [_renamed(term, places) for term in rest]
    sizes = (("X", inputs), ("Y", outputs))
    consts: list[Term] = [
        ["declare-const", f"{letter}_{i}", "Real"]
        for letter, variables in sizes
        for i in range(sum(variable.size for variable in variables))
    ]
    return Statements([*consts, *asserts], inputs, outputs)


def _check_version(terms: Sequence[Term]) -> None:
    for term in terms:
        if head_of(term) == "vnnlib-version":
            version = _VERSION.fullmatch(str(term[1])) if len(term) == 2 else None
            if version is None or version[1] != "2":
                said = shown(term[1])
                raise ValueError(
                    f"The property is written in VNN-LIB {said}; versions 1.0 and <2.0> are read."
                )


def _declared(network: Term) -> tuple[tuple[Declared, ...], tuple[Declared, ...]]:
    """The inputs and outputs of a declared network."""
    found: dict[str, list[Declared]] = {"declare-input": [], "declare-output": []}
    for part in network[2:]:
        head = head_of(part)
        if head == "declare-hidden":
            name = shown(part[1])
            raise ValueError(
                f"The property is about hidden values, {name}: only inputs and outputs are read."
            )
        if head not in found:
            raise ValueError(f"The property declares a network with an unknown part: {shown(part)}.")
        found[head].append(_variable(part))
    inputs, outputs = (tuple(found[head]) for head in ("declare-input", "declare-output"))
    if not inputs or not outputs:
        raise ValueError("The property must declare inputs and outputs of its network.")
    if (size := sum(variable.size for variable in (*inputs, *outputs))) > MOST_VALUES:
        raise ValueError(f"The property declares {size:,} values; at most {MOST_VALUES:,} are read.")
    names = [variable.name for variable in (*inputs, *outputs)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"The property declares {twice[0]!r} twice.")
    return inputs, outputs


def _variable(part: Term) -> Declared:
    """One declaration: a name, and a type with its shape."""
    words = part[1:]
    if len(words) == 3 and words[2] == "initialized":
        raise ValueError(
            f"The property lets the model set the input {shown(words[0])}; state its value in an assert."
        )
    kind, _, shape = str(words[1]).partition("[") if len(words) == 2 else ("", "", "")
    sizes = shape[:-1].split(",") if shape[:-1] else []
    right = len(words) == 2 and isinstance(words[0], str) and _NAME.fullmatch(words[0])
    if not right or not shape.endswith("]") or not all(re.fullmatch(r"\d{1,9}", n) for n in sizes):
        raise ValueError(
            f"The property's {shown(part)} must hold a name, a type and a shape, such as X float32 [1, 5]."
        )
    if kind.lower() not in REAL_TYPES:
        raise ValueError(
            f"The property declares {shown(words[0])} of the type {shown(kind)}; "
            f"only numbers with fractions are supported: {', '.join(REAL_TYPES)}."
        )
    variable = Declared(str(words[0]), kind, tuple(map(int, sizes)))
    if not variable.size:
        raise ValueError(f"The property declares {variable.name!r} without values: a size is 0.")
    return variable


def _places(variables: Sequence[Declared], letter: str) -> dict[str, tuple[Declared, str, int]]:
    """Each name with its variable, the letter of version 1.0 and the place of its first value."""
    ends = np.cumsum([0, *(variable.size for variable in variables)]).tolist()
    return {variable.name: (variable, letter, end) for variable, end in zip(variables, ends, strict=False)}


def _renamed(term: Term, places: dict[str, tuple[Declared, str, int]]) -> Term:
    """A term with the variables of version 1.0."""
    if isinstance(term, list):
        return [*term[:1], *(_renamed(part, places) for part in term[1:])]
    word = _INDEXED.fullmatch(term)
    if word is None:
        return term
    if word[1] not in places:
        raise ValueError(f"The property names {term[:40]!r}, which it does not declare.")
    variable, letter, start = places[word[1]]
    index = tuple(int(i) for i in word[2].split(",") if i) if word[2] else ()
    if len(index) != len(variable.shape) or any(i >= n for i, n in zip(index, variable.shape, strict=False)):
        shape = list(variable.shape)
        raise ValueError(f"The property names {term[:40]!r}, but {variable.name} has the shape {shape}.")
    place = start + (int(np.ravel_multi_index(index, variable.shape)) if index else 0)
    return f"{letter}_{place}"
