r"""Two networks on a domain: proved equal, proved within a tolerance, or an input where they differ by more.

How far outputs are apart is bounded by the weights that differ, where the two have one architecture, and by
bounds of the network :math:`f(x) - f'(x)` itself. What they leave open is a property of that network,
:math:`\pm (f_i(x) - f'_i(x)) > \varepsilon` for some i, and decided as one: by a counterexample, by
branch and bound, or by every region.

References: Paulsen, Wang, Wang (2020), "ReluDiff: Differential Verification of Deep Neural Networks",
https://arxiv.org/abs/2001.03662
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from polytope.engines.amounts import Seconds, from_zero, threads
from polytope.engines.budget import Budget, BudgetSpent
from polytope.given import DomainLike, NetworkLike, as_domain, as_network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.labelled import nearest
from polytope.properties.cases import Outcome, Shown
from polytope.properties.pairs import Pair

Status = Literal["equal", "within", "different", "undecided"]
Runtime = Callable[[FloatArray], FloatArray]
STEPS = 60  # towards each other, at most


@dataclass(frozen=True, eq=False)
class Equivalence:
    """What is known of the difference of two networks on a domain, in rational arithmetic.

    Arguments:
        status: "equal" (no input has different outputs), "within" (no output differs by more than the
            tolerance), "different" (an input at which one does), "undecided".
        tolerance: the one asked for.
        lower, upper: **bounds** of the largest difference of an output on the domain; ``upper`` is infinite
            where nothing is known.
        witness: ``[d]``, an input at which an output differs by ``lower``, or next to one (see ``rounded``);
            ``None`` where no difference was found.
        outputs: ``[2, out]``, the networks' values there in float64.
        confirmed: whether the ``runtimes`` given differ there by more than the tolerance too; ``None`` if
            none were given, or nothing is different.
        regions: regions that the proof looked at; 0 where bounds or a witness settled it.
        proof: what the status rests on, as in ``PropertyCheck``; ``None`` where undecided.
        seconds: the time taken.
        rounded: whether the witness is only the nearest float64 point to the input meant.
    """

    status: Status
    tolerance: float
    lower: float
    upper: float
    witness: FloatArray | None
    outputs: FloatArray | None
    confirmed: bool | None
    regions: int
    proof: Shown | Literal["witness"] | None
    seconds: float
    rounded: bool = False

    __repr__ = one_line

    @property
    def output(self) -> int | None:
        """The number of the output whose values differ most at the witness; ``None`` without one."""
        return None if self.outputs is None else int(np.abs(self.outputs[0] - self.outputs[1]).argmax())

    @property
    def classes(self) -> tuple[int, int] | None:
        """The numbers of both networks' largest outputs at the witness; ``None`` without several, or one."""
        if self.outputs is None or self.outputs.shape[1] < 2:
            return None
        first, second = self.outputs.argmax(axis=1).tolist()
        return first, second


@dataclass(frozen=True, eq=False)
class DifferenceBounds:
    """Bounds of ``first(x) - second(x)`` on a domain.

    Arguments:
        low, high: ``[out]``, **bounds** that every output's difference keeps.
        lower, upper: **bounds** of the largest absolute difference of any output.
        witness: ``[d]``, an input at which it is at least ``lower``; ``None`` where no difference was found.
        seconds: the time taken.
    """

    low: FloatArray
    high: FloatArray
    lower: float
    upper: float
    witness: FloatArray | None
    seconds: float

    __repr__ = one_line


def equivalent(
    first: NetworkLike,
    second: NetworkLike,
    domain: DomainLike,
    *,
    tolerance: float = 0.0,
    max_seconds: Seconds | None = None,
    workers: int = 1,
    runtimes: tuple[Runtime, Runtime] | None = None,
    rng: np.random.Generator | None = None,
) -> Equivalence:
    """Whether every output of two networks agrees on a domain, up to a tolerance.

    The statement is about their float64 weights, read as real numbers; two exports of one model, whose
    weights were rounded differently, are equal up to a tolerance and not equal.

    Arguments:
        first, second: networks with equally many inputs and outputs.
        domain: a bounded polyhedron in their input space.
        tolerance: the largest absolute difference of an output that is allowed.
        max_seconds: budget; what it stops is undecided, with the bounds found so far.
        workers: threads of the search, in domains of up to six dimensions.
        runtimes: the models' own runtimes, ``[B, d]`` to ``[B, out]`` each, to confirm a witness with:
            ``adapters.runtime(path)`` for an ONNX file.
        rng: source of randomness of the descent; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        ValueError: the networks differ in their numbers of inputs or outputs, jump, or have weights that are
            not finite; the tolerance is negative or no number; the domain does not fit.
        UnboundedDomainError: the domain is unbounded.
        EmptyDomainError: it has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> near = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 0.75]], [0.0])])
        >>> box = pt.Polyhedron.box([-1], [1])
        >>> equivalent(net, net, box).status
        'equal'
        >>> [equivalent(net, near, box, tolerance=t).status for t in (0.3, 0.2)]
        ['within', 'different']
    """
    pair = _pair(first, second, domain, rng)
    tolerance, workers = from_zero(tolerance, "equivalent: tolerance"), threads(workers)
    budget = Budget(None, max_seconds)
    found = _decided(pair, tolerance, budget, workers)
    if runtimes is None or found.status != "different":
        return found
    assert found.witness is not None, "only a witness shows a difference"
    one, other = (np.asarray(run(found.witness[None]), dtype=float).reshape(-1) for run in runtimes)
    return replace(found, confirmed=bool((np.abs(one - other) > tolerance).any()), seconds=budget.seconds)


def difference_bounds(
    first: NetworkLike,
    second: NetworkLike,
    domain: DomainLike,
    *,
    gap: float = 0.01,
    max_seconds: Seconds | None = None,
    workers: int = 1,
    rng: np.random.Generator | None = None,
) -> DifferenceBounds:
    """Bounds of the differences of two networks' outputs on a domain.

    Arguments:
        first, second: networks with equally many inputs and outputs.
        domain: a bounded polyhedron in their input space.
        gap: how near the bounds of the largest difference shall come, relative to the upper.
        max_seconds: budget; the bounds found so far are what it leaves.
        workers: threads of the search, in domains of up to six dimensions.
        rng: source of randomness of the descent; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        ValueError: the networks differ in their numbers of inputs or outputs, jump, or have weights that are
            not finite; the gap is no positive number; the domain does not fit.
        UnboundedDomainError: the domain is unbounded.
        EmptyDomainError: it has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> near = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 0.75]], [0.0])])
        >>> found = difference_bounds(net, near, pt.Polyhedron.box([-1], [1]))
        >>> round(found.lower, 2), round(found.upper, 2)
        (0.25, 0.25)
    """
    pair = _pair(first, second, domain, rng)
    gap, workers = from_zero(gap, "difference_bounds: gap"), threads(workers)
    if not gap > 0:
        raise ValueError(f"difference_bounds: the gap must be a positive number, not {gap}.")
    budget = Budget(None, max_seconds)
    found = _decided(pair, 0.0, budget, workers)
    share = 0.5
    for _ in range(STEPS):
        near = not found.upper - found.lower > gap * found.upper
        if near or not np.isfinite(found.upper) or budget.spent(0):
            break
        asked = found.lower + share * (found.upper - found.lower)
        if not found.lower < asked < found.upper:
            break
        step = Budget(None, None if budget.rest is None else budget.rest / 4)
        found = _decided(pair, asked, step, workers, found)
        if found.status == "undecided":
            share = (1 + share) / 2  # what is larger is easier to rule out
    low, high = pair.bounds
    low, high = np.maximum(low, -found.upper), np.minimum(high, found.upper)
    return DifferenceBounds(low, high, found.lower, found.upper, found.witness, budget.seconds)


def _pair(
    first: NetworkLike, second: NetworkLike, domain: DomainLike, rng: np.random.Generator | None
) -> Pair:
    """The two networks on a domain."""
    one, other = as_network(first, "first"), as_network(second, "second")
    return Pair.of(one, other, as_domain(domain, one.input_dim), rng)


def _decided(
    pair: Pair, tolerance: float, budget: Budget, workers: int, known: Equivalence | None = None
) -> Equivalence:
    """Whether some output differs by more than a tolerance; ``known`` is the answer for another one."""
    witness, lower = (None, Fraction(0)) if known is None else (known.witness, Fraction(known.lower))
    found = Outcome(None, decided=False)
    try:
        with watched(budget.look):
            if known is None:
                pair.bound()
                witness, lower = pair.farthest() if pair.upper > tolerance else (None, Fraction(0))
                if lower <= tolerance < pair.upper:
                    pair.bound_without_zeros(budget)
            if lower > tolerance or pair.upper <= tolerance:
                found = Outcome(witness if lower > tolerance else None, decided=True)
            else:
                found = pair.settled(tolerance, budget, workers)
    except BudgetSpent:
        pass  # what is known so far is the answer
    if found.witness is not None:
        witness = found.witness
        lower = max(pair.apart(witness), lower) if found.is_float else max(Fraction(tolerance), lower)
    elif found.decided:
        pair.bounds = np.clip(pair.bounds, -tolerance, tolerance)
    return Equivalence(
        status=_status(found, pair.upper),
        tolerance=tolerance,
        lower=nearest(lower)[1],
        upper=pair.upper,
        witness=witness,
        outputs=None
        if witness is None
        else np.stack([pair.first(witness[None])[0], pair.second(witness[None])[0]]),
        confirmed=None,
        regions=found.regions,
        proof=None if not found.decided else "witness" if found.witness is not None else found.shown,
        seconds=budget.seconds,
        rounded=not found.is_float,
    )


def _status(found: Outcome, upper: float) -> Status:
    if not found.decided:
        return "undecided"
    if found.witness is not None:
        return "different"
    return "equal" if upper == 0 else "within"
