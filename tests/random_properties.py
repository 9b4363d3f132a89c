"""Properties at random: conditions on outputs at, next to, and away from their least values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

import polytope as pt

Condition = tuple[list[float], float, bool]  # weights of outputs, limit, strict


def condition(rng: np.random.Generator, ends: list[tuple[Fraction, Fraction]]) -> Condition:
    """``sign * Y_k <= limit``, or <, with a limit at the least value, next to it, or somewhere."""
    k, sign = int(rng.integers(len(ends))), int(rng.choice([1, -1]))
    least = sign * ends[k][sign < 0]
    limit = float(least)
    move = rng.integers(5)
    if move < 2:
        limit = float(np.nextafter(limit, np.inf if move else -np.inf))
    elif move == 2:
        limit += float(rng.random()) * float(ends[k][1] - ends[k][0])
    weights = [float(sign) if j == k else 0.0 for j in range(len(ends))]
    return weights, limit, bool(rng.integers(2))


def stated(domain: pt.Polyhedron, n_outputs: int, conditions: list[Condition]) -> str:
    """The property that asks for an input of a box that satisfies conditions."""
    high, low = domain.b[: domain.dim].tolist(), (-domain.b[domain.dim :]).tolist()
    text = [f"(declare-const X_{i} Real)" for i in range(domain.dim)]
    text += [f"(declare-const Y_{k} Real)" for k in range(n_outputs)]
    text += [f"(assert (>= X_{i} {v!r}))" for i, v in enumerate(low)]
    text += [f"(assert (<= X_{i} {v!r}))" for i, v in enumerate(high)]
    for weights, limit, strict in conditions:
        terms = " ".join(f"(* {c!r} Y_{k})" for k, c in enumerate(weights))
        text.append(f"(assert ({'<' if strict else '<='} (+ {terms}) {limit!r}))")
    return "\n".join(text)
