"""Networks fitted to a table from several seeds, and how well they do on rows that they never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polytope.discovery.asking import amount, count
from polytope.discovery.checks import step_of
from polytope.discovery.fits import fitted
from polytope.discovery.shares import score
from polytope.discovery.tables import Table
from polytope.discovery.training import Progress, Settings, trained
from polytope.given import described
from polytope.ir import Network
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.labelled import Estimate


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores on held-out rows, a number for each seed; **estimates**.

    Arguments:
        network, linear, constant: ``[seeds]``, R^2 of the networks, of least squares on the training rows,
            and of their mean.
        rounded: ``[seeds]``, the share of held-out rows whose target is the network's output, rounded to the
            steps of the target; ``None`` where the target is not integer.
    """

    network: FloatArray
    linear: FloatArray
    constant: FloatArray
    rounded: FloatArray | None

    __repr__ = one_line

    def __str__(self) -> str:
        rows = [("networks", self.network), ("linear fit", self.linear), ("constant", self.constant)]
        lines = [f"held-out R^2, {name}: {in_interval(values)}" for name, values in rows]
        if self.rounded is not None:
            said = in_interval(self.rounded, 0.0)
            lines.append(f"share of held-out rows that rounded outputs say: {said}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Study:
    """Networks of several seeds that were fitted to a table.

    Arguments:
        table: the rows.
        networks: one for each seed, in the units of the table; functions of its columns.
        held_out: the rows that each network did not see, ``int[k]`` each.
        scores: on these rows.
        settings: how the networks were trained.
        holdout: the share of rows held out.
    """

    table: Table
    networks: tuple[Network, ...]
    held_out: tuple[IntArray, ...]
    scores: Scores
    settings: Settings
    holdout: float

    __repr__ = one_line

    def outputs(self) -> FloatArray:
        """The networks' outputs on all rows, ``[seeds, n]``."""
        return np.stack([network(self.table.X)[:, 0] for network in self.networks])

    @property
    def predicts(self) -> bool:
        """Whether the interval of the networks' held-out R^2 lies above 0: they say more than a constant."""
        return interval(self.scores.network)[1] > 0


def hypothesis(
    table: Table,
    *,
    hidden: Sequence[int] = (16, 16),
    seeds: int = 5,
    holdout: float = 0.2,
    steps: int = 6000,
    batch: int = 128,
    learning_rate: float = 1e-2,
    accept_relations: bool = False,
    progress: Progress | None = None,
) -> Study:
    """Fit small ReLU networks to a table, each from its own seed and with its own held-out rows.

    Equal rows are held out together. The same arguments give the same networks on the same machine; another
    processor rounds otherwise, and training takes that further.

    Arguments:
        table: what is fitted.
        hidden: widths of the hidden layers.
        seeds: how many networks; two at least, so that a spread can be seen.
        holdout: the share of different rows held out.
        steps, batch, learning_rate: of Adam, whose rate falls to 0.
        accept_relations: fit though ``table.rank`` is not full: coefficients are then not determined.
        progress: called every 100 steps with the steps done and all steps.

    Raises:
        TypeError: it is no table, or a number is none.
        ValueError: a relation between columns holds, or a single column gives away the target, and this was
            not accepted; a number is out of its range; or a network grew beyond float64.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.integers(-9, 10, (60, 2))
        >>> study = hypothesis(Table(X, X[:, 0] - X[:, 1], ["a", "b"]), seeds=2, steps=300)
        >>> bool(study.scores.network.min() > 0.9)
        True
    """
    if not isinstance(table, Table):
        raise TypeError(f"hypothesis: a Table is expected, not {described(table)}.")
    seeds = count(seeds, "hypothesis: seeds", 2)
    if amount(holdout, "hypothesis: holdout") >= 1:
        raise ValueError("hypothesis: holdout lies between 0 and 1.")
    settings = Settings(hidden, steps, batch, learning_rate)  # type: ignore[arg-type]
    if not (table.rank.full or accept_relations):
        raise ValueError(
            f"hypothesis: {'; '.join(table.rank.said)}. Leave columns out, or accept_relations=True: "
            "coefficients of such columns mean nothing by themselves."
        )
    held = [_held_out(table.X, holdout, np.random.default_rng(seed)) for seed in range(seeds)]
    every = np.arange(len(table.y))
    rows = [np.setdiff1d(every, out) for out in held]
    networks = tuple(trained(table.X, table.y, rows, settings, progress))
    return Study(table, networks, tuple(held), _scores(table, networks, rows, held), settings, holdout)


def retrain(
    study: Study,
    features: Sequence[str],
    *,
    accept_relations: bool = False,
    progress: Progress | None = None,
) -> Study:
    """The same study with some of the columns only, in the same way.

    Arguments:
        study: what was fitted to all columns.
        features: the names of those to keep.
        accept_relations, progress: as of ``hypothesis``.

    Raises:
        TypeError: it is no study, or no list of names.
        ValueError: there is no such column, or a relation between those kept holds and was not accepted.
    """
    a_study(study, "retrain")
    s = study.settings
    return hypothesis(
        study.table.only(features),
        hidden=s.hidden,
        seeds=len(study.networks),
        holdout=study.holdout,
        steps=s.steps,
        batch=s.batch,
        learning_rate=s.learning_rate,
        accept_relations=accept_relations,
        progress=progress,
    )


def a_study(given: Any, verb: str) -> None:
    """Refuse what is no study.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(given, Study):
        raise TypeError(f"{verb}: a Study is expected, as hypothesis gives one, not {described(given)}.")


def _held_out(X: FloatArray, share: float, rng: np.random.Generator) -> IntArray:
    """Rows that are held out, equal ones together; some, and not all."""
    _, group = np.unique(X, axis=0, return_inverse=True)
    group = group.reshape(-1)
    groups = int(group.max()) + 1
    if groups < 2:
        raise ValueError("hypothesis: all rows are equal.")
    out = rng.permutation(groups)[: min(max(round(share * groups), 1), groups - 1)]
    return np.flatnonzero(np.isin(group, out))


def _scores(
    table: Table, networks: Sequence[Network], rows: Sequence[IntArray], held: Sequence[IntArray]
) -> Scores:
    """R^2 on held-out rows, and the share of rounded outputs that are right."""
    X, y = table.X, table.y
    scores: list[list[float]] = []
    whole = bool((y == np.round(y)).all())
    step, first = step_of(y, table.target) if whole else (1, 0)
    rounded = []
    for network, train, test in zip(networks, rows, held, strict=True):
        found = network(X[test])[:, 0]
        linear = fitted(X[train], y[train])
        said = (found, X[test] @ linear[:-1] + linear[-1], np.full(len(test), y[train].mean()))
        scores.append([_r2(y[test], values) for values in said])
        steps = np.floor((found - first) / step + 0.5)  # halves go up, as in check
        rounded.append(float((steps * step + first == y[test]).mean()))
    by_fit = np.array(scores).T
    return Scores(by_fit[0], by_fit[1], by_fit[2], np.array(rounded) if whole else None)


def _r2(y: FloatArray, found: FloatArray) -> float:
    """1 minus the squares of what is off over those around the mean; NaN where the target is constant."""
    around = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((found - y) ** 2).sum()) / around if around else float("nan")


def interval(values: FloatArray) -> tuple[Estimate, float, float]:
    """The mean over seeds, and the ends of its 95 % interval by Student's t; **estimates**."""
    from scipy.special import stdtrit  # slow to load

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5)
    return Estimate(mean, "mean over seeds"), mean - half, mean + half


def in_interval(values: FloatArray, least: float = -np.inf) -> str:
    """A mean over seeds with its 95 % interval, cut to the scores that there are: 1 at most."""
    if np.isnan(values).any():
        return "not defined: the target is constant on the held-out rows of a seed"
    mean, low, high = interval(values)
    ends = f"{score(max(low, least))} to {score(min(high, 1.0))}"
    return f"{score(mean.value)} (95 % over {len(values)} seeds: {ends})"
