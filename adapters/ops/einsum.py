"""Sums of products by a formula of letters, one operand depending on the input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from string import ascii_letters

import numpy as np

from adapters.lowering.fitting import broadcast
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.averages import summed
from adapters.ops.linear import matmul
from adapters.ops.shape import in_shape, permuted
from polytope.errors import CorruptFileError

Labelled = tuple[Value, str]
"""A value and one letter for each of its axes."""


def summed_product(t: Lowering, formula: str, values: Sequence[Value]) -> Value:
    """The sum of products that a formula such as ``bij,jk->bik`` describes."""
    terms, out = _letters(formula, [len(v.shape) for v in values])
    waiting = [_once(t, v, letters) for v, letters in zip(values, terms, strict=True)]
    for place in range(len(waiting)):
        others = set(out).union(*(letters for i, (_, letters) in enumerate(waiting) if i != place))
        waiting[place] = _reduced(t, waiting[place], others)
    rest = [set(out).union(*(letters for _, letters in waiting[i + 1 :])) for i in range(len(waiting))]
    found, letters = reduce(
        lambda a, b: _pair(t, a, b[1], rest[b[0]]), list(enumerate(waiting))[1:], waiting[0]
    )
    found, letters = _reduced(t, (found, letters), set(out))
    if sorted(letters) != sorted(out):
        raise CorruptFileError(f"Its formula {formula!r} asks for letters that no operand has.")
    return permuted(t, found, [letters.index(c) for c in out])


def _letters(formula: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, an ellipsis spelt out in capitals from the end."""
    text = formula.replace(" ", "")
    if not set(text.replace("...", "").replace("->", "").replace(",", "")) <= set(ascii_letters):
        raise CorruptFileError(f"Its formula {formula!r} is none of letters, commas, an arrow and dots.")
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise CorruptFileError(f"Its formula {formula!r} does not name {len(ranks)} operands.")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
    gaps = [r - len(s.replace("...", "")) for s, r in zip(terms, ranks, strict=True) if "..." in s]
    most = spare[: max(gaps, default=0)]
    filled = [
        s.replace("...", "".join(most[len(most) - (r - len(s) + 3) :]))
        for s, r in zip(terms, ranks, strict=True)
    ]
    if any(len(s) != r for s, r in zip(filled, ranks, strict=True)):
        raise CorruptFileError(f"Its formula {formula!r} does not fit its operands.")
    if arrow:
        return filled, out.replace("...", "".join(most))
    letters = "".join(terms).replace(".", "")
    return filled, "".join(most) + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))


def _once(t: Lowering, x: Value, letters: str) -> Labelled:
    """Axes of the same letter become their diagonal."""
    unique = "".join(dict.fromkeys(letters))
    if len({*zip(letters, x.shape, strict=True)}) != len(unique):
        raise CorruptFileError(f"Axes of one letter have different sizes: {letters!r} of {list(x.shape)}.")
    return t.rearrange(x, lambda a: np.einsum(f"{letters}->{unique}", a)), unique


def _reduced(t: Lowering, term: Labelled, kept: set[str]) -> Labelled:
    """Summed over the letters that nothing else needs."""
    x, letters = term
    gone = [a for a, c in enumerate(letters) if c not in kept]
    found = summed(t, x, gone, keep=False, mean=False) if gone else x
    return found, "".join(c for c in letters if c in kept)


def _pair(t: Lowering, a: Labelled, b: Labelled, kept: set[str]) -> Labelled:
    """The product of two terms, summed over the common letters that nothing else needs."""
    (x, p), (y, q) = a, b
    both = [c for c in p if c in q and c in kept]
    inner = [c for c in p if c in q and c not in kept]
    left, right = [c for c in p if c not in q], [c for c in q if c not in p]
    sizes = dict(zip(p, x.shape, strict=True))
    sizes |= {c: max(n, sizes.get(c, 1)) for c, n in zip(q, y.shape, strict=True)}
    if any(n not in (1, sizes[c]) for v, s in ((x, p), (y, q)) for c, n in zip(s, v.shape, strict=True)):
        raise CorruptFileError("Axes of one letter have different sizes.")
    x = _grouped(t, x, p, (both, left, inner), sizes)
    y = _grouped(t, y, q, (both, inner, right), sizes)
    letters = "".join([*both, *left, *right])
    return in_shape(matmul(t, x, y), [sizes[c] for c in letters]), letters


def _grouped(
    t: Lowering, x: Value, letters: str, groups: tuple[list[str], list[str], list[str]], sizes: dict[str, int]
) -> Value:
    """Permuted to the letters of three groups, the last two as one axis each."""
    order = [c for group in groups for c in group]
    turned = permuted(t, x, [letters.index(c) for c in order])
    full = tuple(sizes[c] for c in order)
    if turned.shape != full:
        turned = t.expand(turned, full) if isinstance(turned, Tensor) else broadcast(turned, full)
    rows, columns = (prod(sizes[c] for c in group) for group in groups[1:])
    return in_shape(turned, (*(sizes[c] for c in groups[0]), rows, columns))


@onnx_op("Einsum", note="all operands but one constant")
def einsum(t: Lowering, node: Node) -> Value:
    """Sum of products by a formula of letters."""
    operands = [node[i] for i in range(len(node.inputs))]
    return summed_product(t, node.get("equation", b"").decode(), operands)


@aten_op("tensordot", note="all operands but one constant")
def tensordot(t: Lowering, node: Node) -> Value:
    """Sum of products over axes of the first operand and as many of the second."""
    values = node[0], node[1]
    letters = iter(ascii_letters)
    left, right = ([next(letters) for _ in v.shape] for v in values)
    pairs = zip(node.get("dims_self"), node.get("dims_other"), strict=True)
    for i, j in pairs:
        right[j] = left[i]
    out = [c for c in left if c not in right] + [c for c in right if c not in left]
    return summed_product(t, f"{''.join(left)},{''.join(right)}->{''.join(out)}", values)


@aten_op("einsum", note="all operands but one constant")
def aten_einsum(t: Lowering, node: Node) -> Value:
    """Sum of products by a formula of letters."""
    return summed_product(t, str(node.get("equation")), node.get("tensors"))
