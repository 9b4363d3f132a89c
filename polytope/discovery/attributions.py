"""What the networks of a study use: shares of the columns, by three measures, with spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from polytope.batched import BatchedNetwork
from polytope.discovery.shares import percent
from polytope.discovery.studies import Study, a_study
from polytope.given import described
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.attribution import integrated_gradients

Method = Literal["integrated", "gradient", "permutation"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Shares of the columns in what the networks do; **estimates**.

    Arguments:
        names: of the columns.
        method: the measure.
        shares: ``[seeds, d]``, each row adds up to 1; zeros of a network that changes with no column.
        incomplete: of integrated gradients, how far a row's attributions are from adding up to the change of
            the output, at most; 0 of others.
    """

    names: tuple[str, ...]
    method: Method
    shares: FloatArray
    incomplete: float

    __repr__ = one_line

    @property
    def mean(self) -> FloatArray:
        """The means over seeds, ``[d]``."""
        found: FloatArray = self.shares.mean(axis=0)
        return found

    @property
    def spread(self) -> FloatArray:
        """The standard deviations over seeds, ``[d]``."""
        found: FloatArray = self.shares.std(axis=0, ddof=1)
        return found

    def __str__(self) -> str:
        order = np.argsort(-self.mean, kind="stable").tolist()
        parts = [f"{self.names[k]} {percent(self.mean[k], 1)} (+- {self.spread[k]:.1%})" for k in order]
        return f"{self.method}: {', '.join(parts)}"


def attribution(
    study: Study, method: Method = "integrated", *, rng: np.random.Generator | None = None
) -> Attribution:
    """How much of a network's output each column makes, on all rows.

    Arguments:
        study: networks and their table.
        method: "integrated": mean sizes of integrated gradients from the mean row, summed piece by piece;
            "gradient": mean sizes of gradients times the spread of the column; "permutation": what the mean
            square of the error on held-out rows grows by when a column is shuffled.
        rng: what shuffles; ``numpy.random.default_rng(0)`` where ``None``.

    Raises:
        TypeError: it is no study, or rng is no ``numpy.random.Generator``.
        ValueError: there is no such method.
    """
    a_study(study, "attribution")
    if not isinstance(rng, np.random.Generator | None):
        raise TypeError(
            f"attribution: rng: a numpy.random.Generator is expected, as of numpy.random.default_rng(0), not "
            f"{described(rng)}."
        )
    if method not in get_args(Method):
        raise ValueError(f"attribution: method is one of {', '.join(get_args(Method))}, not {method!r}.")
    rng = np.random.default_rng(0 if rng is None else rng)
    found, incomplete = [], 0.0
    for number, network in enumerate(study.networks):
        if method == "integrated":
            values, off = _integrated(network, study.table.X)
            incomplete = max(incomplete, off)
        elif method == "gradient":
            gradients = BatchedNetwork(network).jacobian(study.table.X)[:, 0]
            values = np.abs(gradients).mean(axis=0) * study.table.X.std(axis=0)
        else:
            values = _permuted(study, number, rng)
        found.append(values / (values.sum() or 1.0))
    return Attribution(study.table.names, method, np.array(found), incomplete)


def _integrated(network: Network, X: FloatArray) -> tuple[FloatArray, float]:
    """Mean sizes ``[d]``, and the largest defect of completeness."""
    start = X.mean(axis=0)
    parts = integrated_gradients(network, X, start)
    change = network(X)[:, 0] - network(start[None])[0, 0]
    return np.abs(parts).mean(axis=0), float(np.abs(parts.sum(axis=1) - change).max())


def _permuted(study: Study, number: int, rng: np.random.Generator) -> FloatArray:
    """What the mean square grows by, ``[d]``, no less than 0."""
    rows = study.held_out[number]
    X, y, network = study.table.X[rows], study.table.y[rows], study.networks[number]
    before = float(((network(X)[:, 0] - y) ** 2).mean())
    grown = []
    for k in range(X.shape[1]):
        shuffled = X.copy()
        shuffled[:, k] = rng.permutation(X[:, k])
        grown.append(max(float(((network(shuffled)[:, 0] - y) ** 2).mean()) - before, 0.0))
    return np.array(grown)
