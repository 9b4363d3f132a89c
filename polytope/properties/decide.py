"""VNN-LIB properties: a counterexample, or the proof that there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from polytope.engines.amounts import Seconds, threads
from polytope.engines.budget import Budget, BudgetSpent
from polytope.exact.network import ExactNetwork
from polytope.given import NetworkLike, as_network
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.properties.cases import Outcome, Shown, settle
from polytope.properties.vnnlib_property import Case, Property, read_property

Status = Literal["violated", "holds", "undecided"]
Proof = Shown | Literal["witness"]
Runtime = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class PropertyCheck:
    """What is known of a property, in rational arithmetic.

    Arguments:
        status: "violated" (there is a counterexample), "holds" (proved: there is none), "undecided".
        witness: ``[d]``, an input that satisfies all asserts, or next to one (see ``rounded``), or ``None``.
        outputs: ``[out]``, the network's values there in float64.
        confirmed: whether the ``runtime`` given satisfies the asserts there too; ``None`` if none was given.
        regions: regions that the proof looked at; 0 where bounds or a counterexample settled it. Where the
            property holds by enumeration, all regions of the network, cut along the conditions.
        proof: what the status rests on: "bounds" on outputs or inputs alone (or the values at the only input
            allowed), "branching" (bounds on the outputs in each of many cells, and all regions of those where
            bounds do not suffice), "enumeration" of all regions, or a "witness"; ``None`` where undecided.
        seconds: the time taken.
        rounded: whether the witness is only the nearest float64 point to a counterexample, which has other
            coordinates: where asserts hold with equality at a point that no float64 is.
    """

    status: Status
    witness: FloatArray | None
    outputs: FloatArray | None
    confirmed: bool | None
    regions: int
    proof: Proof | None
    seconds: float
    rounded: bool = False

    __repr__ = one_line

    @property
    def largest(self) -> int | None:
        """The number of the largest output at the witness, its class; ``None`` if there is one, or none."""
        return None if self.outputs is None or len(self.outputs) < 2 else int(self.outputs.argmax())

    @property
    def least(self) -> int | None:
        """The number of the least output there."""
        return None if self.outputs is None or len(self.outputs) < 2 else int(self.outputs.argmin())


def check_property(
    network: NetworkLike,
    vnnlib: str | Path | Property,
    *,
    max_seconds: Seconds | None = None,
    workers: int = 1,
    prove: Literal["any", "enumeration"] = "any",
    runtime: Runtime | None = None,
    rng: np.random.Generator | None = None,
) -> PropertyCheck:
    """Whether some input satisfies all asserts of a VNN-LIB property (it is then violated), or none does.

    Arguments:
        network: the network; the statement is about its float64 weights, read as real numbers.
        vnnlib: a file, the property's text, or what ``read_property`` made of one.
        max_seconds: budget; a check that it stops is undecided.
        workers: threads of the search, in bounded domains of up to six dimensions.
        prove: "enumeration" proves by all regions of the inputs even where bounds would do; "any" takes what
            is cheaper.
        runtime: the model's own runtime, ``[B, d]`` to ``[B, out]``, to confirm a counterexample with:
            ``adapters.runtime(path)`` for an ONNX file.
        rng: source of randomness of the descent; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        ValueError: there is no such file, the text is no such property, it declares other inputs or outputs
            than the network's, or there is no such kind of proof.

    References: Katz, Barrett, Dill, Julian, Kochenderfer (2017), "Reluplex" (the properties of ACAS Xu),
        https://arxiv.org/abs/1702.01135

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> box = "(declare-const X_0 Real) (declare-const Y_0 Real) (assert (<= X_0 1)) (assert (>= X_0 -1))"
        >>> [check_property(net, box + f"(assert (>= Y_0 {y}))").status for y in (0.5, 1, 1.001)]
        ['violated', 'violated', 'holds']
    """
    network = as_network(network)
    if prove not in ("any", "enumeration"):
        raise ValueError(f"check_property: prove must be 'any' or 'enumeration', not {prove!r}.")
    workers = threads(workers)
    stated = vnnlib if isinstance(vnnlib, Property) else read_property(vnnlib)
    for what, here, there in (
        ("inputs", stated.n_inputs, network.input_dim),
        ("outputs", stated.n_outputs, network.output_dim),
    ):
        if here != there:
            raise ValueError(f"The property declares {here} {what}, the network has {there}.")
    budget = Budget(None, max_seconds)
    generator = np.random.default_rng(0 if rng is None else rng)
    groups: dict[bytes, list[Case]] = {}
    for case in stated.cases:
        groups.setdefault(case.domain_key, []).append(case)
    decided, regions, exact = True, 0, ExactNetwork(network)
    shown: set[Shown] = {"bounds"}
    for cases in groups.values():
        try:
            with watched(budget.look):
                found = settle(exact, cases, budget, workers, prove == "enumeration", generator)
        except BudgetSpent:
            found = Outcome(None, decided=False)
        regions += found.regions
        decided &= found.decided
        shown.add(found.shown)
        if found.witness is not None:
            return _violated(network, found, stated, runtime, regions, budget.seconds)
    if not decided:
        return PropertyCheck("undecided", None, None, None, regions, None, budget.seconds)
    proof = next(kind for kind in get_args(Shown)[::-1] if kind in shown)
    return PropertyCheck("holds", None, None, None, regions, proof, budget.seconds)


def _violated(
    network: Network,
    found: Outcome,
    stated: Property,
    runtime: Runtime | None,
    regions: int,
    seconds: float,
) -> PropertyCheck:
    x, confirmed = found.witness, None
    assert x is not None, "only a witness shows a violation"
    if runtime is not None:
        y = np.asarray(runtime(x[None]), dtype=float).reshape(-1)
        confirmed = any(_satisfied(case, x, y) for case in stated.cases)
    y = network(x[None])[0]
    return PropertyCheck("violated", x, y, confirmed, regions, "witness", seconds, not found.is_float)


def _satisfied(case: Case, x: FloatArray, y: FloatArray) -> bool:
    """Whether an input and an output satisfy a case, in float64."""
    if not ((case.low <= x) & (x <= case.high)).all() or not (case.A @ x <= case.b).all():
        return False
    value = case.C @ np.concatenate([x, y]) - case.e
    return bool(np.where(case.strict, value < 0, value <= 0).all())
