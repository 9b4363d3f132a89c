r"""Counterfactuals by gradient ascent: in base space along the data, or in data space (adversarial examples).

The score of a target t is :math:`\log p_t` of a classifier, or plus or minus a regressor's value. In base
space its gradient moves z, and x = g(z) follows; in data space it moves x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from torch import Tensor, nn

from polytope.flows.flow import Flow, Points
from polytope.flows.geometry import base_points
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line

Model = Callable[[Tensor], Tensor]  # [B, D] to logits [B, K], or to one value each, [B] or [B, 1]
Space = Literal["base", "data"]
Optimiser = Literal["adam", "ascent"]


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """Where gradient ascent came to, for B starting points.

    Arguments:
        start: the data points that were changed, ``[B, D]``.
        x, z: the counterfactuals, in data and in base space, ``[B, D]``.
        value: ``[B]``, the target's probability, or the regressor's value.
        success: ``bool[B]``, whether the asked value was reached; where not, x is the last point.
        steps: ``int[B]``, steps taken.
        path: ``[T, B, D]``, data points after 0, 1, .. steps; ``None`` unless recorded.
    """

    start: FloatArray
    x: FloatArray
    z: FloatArray
    value: FloatArray
    success: NDArray[np.bool_]
    steps: IntArray
    path: FloatArray | None

    __repr__ = one_line


def counterfactual(
    f: Model,
    flow: Flow,
    x: Points,
    target: float | ArrayLike,
    *,
    space: Space = "base",
    optimiser: Optimiser = "adam",
    learning_rate: float = 0.03,
    steps: int = 1000,
    stop: float = 0.99,
    record: bool = False,
) -> Counterfactual:
    """Change points until a model says the target, along the data ("base") or without regard to it ("data").

    Arguments:
        f: a torch function of data points ``[B, D]``: a classifier's logits ``[B, K]``, K > 1, or one value
            for each point (a regressor, or a logit).
        flow: any flow.
        x: data points, ``[B, D]`` or ``[B, *shape]``.
        target: a class, or one for each point, ``[B]``; of a model with one value, the value to reach, from
            below or from above.
        space: where gradients are taken.
        optimiser: Adam, or plain gradient ascent.
        learning_rate, steps: of the optimiser.
        stop: the probability to reach, of classifiers.
        record: keep the path.

    Returns:
        The last points of all paths, ``[B, D]``, and which of them reached the target.

    Raises:
        ValueError: shapes or options are wrong.
        FlowError: a path leaves the numbers in which the flow is invertible.

    References: Dombrowski, Gerken, Müller, Kessel (2022), "Diffeomorphic Counterfactuals with Generative
        Models", https://arxiv.org/abs/2206.05075

    Example:
        >>> from polytope import flows
        >>> flow = flows.Flow([flows.ActNorm(2)])
        >>> found = flows.counterfactual(lambda x: x[:, 0], flow, [[0.0, 5.0]], 1.0, learning_rate=0.1)
        >>> found.success.tolist(), bool(1 <= found.x[0, 0] < 1.2), round(float(found.x[0, 1]), 6)
        ([True], True, 5.0)
    """
    if space not in ("base", "data") or optimiser not in ("adam", "ascent"):
        raise ValueError("counterfactual: space is 'base' or 'data', optimiser 'adam' or 'ascent'.")
    if not (0 < stop < 1 and learning_rate > 0 and steps > 0):
        raise ValueError("counterfactual: stop lies in (0, 1); learning_rate and steps are positive.")
    start = flow.rows(x).detach()
    goal = _goal(_readable(f), start, target, stop)
    place = torch.as_tensor(base_points(flow, start)).to(start) if space == "base" else start.clone()
    behind = (lambda z: flow.forward(z)[0]) if space == "base" else (lambda x: x)
    moved, taken, reached, path = _ascend(goal, behind, place, optimiser, learning_rate, steps)
    with torch.no_grad():
        end = behind(moved)
        value, _, _ = goal(end)
    z = _array(moved) if space == "base" else base_points(flow, end)
    kept = np.stack([_array(part) for part in path]) if record else None
    flags, counts = reached.cpu().numpy(), taken.cpu().numpy()
    return Counterfactual(_array(start), _array(end), z, _array(value), flags, counts, kept)


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.detach().cpu().numpy(), dtype=float)


def _readable(f: Model) -> Model:
    """A model that takes points of any number type: a module in the type and on the device of its own."""
    like = next(f.parameters(), None) if isinstance(f, nn.Module) else None

    def read(x: Tensor) -> Tensor:
        try:
            said = f(x if like is None else x.to(like))
        except (RuntimeError, TypeError, IndexError) as error:
            text = str(error).split("\n")[0]
            raise ValueError(
                f"counterfactual: the model fails on {x.dtype} points {['B', x.shape[1]]}: {text}"
            ) from error
        if not isinstance(said, Tensor):
            raise ValueError(
                f"counterfactual: the model must give a tensor, not {type(said).__name__}: it climbs "
                "gradients of a torch module or function. exact_counterfactual takes networks."
            )
        return said.to(x)

    return read


Goal = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]  # points -> values, scores to increase, reached


def _goal(f: Model, start: Tensor, target: float | ArrayLike, stop: float) -> Goal:
    """What is to be reached, from a model and a target."""
    with torch.no_grad():
        first = f(start)
    n = len(start)
    if first.numel() == n:
        level = torch.as_tensor(np.broadcast_to(np.asarray(target, dtype=float), n).copy()).to(first)
        sign = torch.where(first.reshape(n) <= level, 1.0, -1.0).to(first)

        def value_reached(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            value = f(x).reshape(n)
            return value, sign * value, sign * (value - level) >= 0

        return value_reached
    if first.ndim != 2 or len(first) != n:
        raise ValueError(f"counterfactual: the model must give [B, K] or [B], not {list(first.shape)}.")
    classes = np.broadcast_to(np.asarray(target), n)
    if not (np.equal(np.mod(classes, 1), 0) & (classes >= 0) & (classes < first.shape[1])).all():
        raise ValueError(f"counterfactual: targets must be classes 0..{first.shape[1] - 1}, not {target!r}.")
    index = torch.as_tensor(classes.astype(np.int64).copy(), device=start.device)[:, None]

    def class_reached(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        score = torch.log_softmax(f(x), dim=1).gather(1, index)[:, 0]
        return score.exp(), score, score.exp() >= stop

    return class_reached


@torch.enable_grad()
def _ascend(
    goal: Goal,
    behind: Callable[[Tensor], Tensor],
    place: Tensor,
    optimiser: Optimiser,
    learning_rate: float,
    steps: int,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Points that stop where they reach their goal, the steps they took, whether they did, and the path."""
    v = place.clone().requires_grad_(True)
    kind = torch.optim.Adam if optimiser == "adam" else torch.optim.SGD
    engine = kind([v], lr=learning_rate)
    taken = torch.zeros(len(v), dtype=torch.int64, device=v.device)
    path: list[Tensor] = []
    for step in range(steps + 1):
        x = behind(v)
        path.append(x.detach().clone())
        _, score, reached = goal(x)
        if step == steps or bool(reached.all()):
            break
        engine.zero_grad()
        (-score.sum()).backward()  # type: ignore[no-untyped-call]
        held = v.detach().clone()
        engine.step()
        with torch.no_grad():
            v[reached] = held[reached]
        taken += ~reached
    return v.detach(), taken, reached, path


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good counterfactuals are, one entry for each.

    Arguments:
        valid: ``bool[B]``, whether the target was reached.
        log_density: ``[B]``, of the counterfactual under the flow, in nats.
        distance: ``[B]``, to the manifold or to the nearest of the reference points; NaN where none is given.
        agrees: ``bool[B]``, whether an independent classifier says the target; ``None`` where none is given.
        moved: ``[B, 2]``, Euclidean lengths of the change in data and in base space.
    """

    valid: NDArray[np.bool_]
    log_density: FloatArray
    distance: FloatArray
    agrees: NDArray[np.bool_] | None
    moved: FloatArray

    __repr__ = one_line


def evaluate_counterfactual(
    found: Counterfactual,
    flow: Flow,
    *,
    manifold: ArrayLike | Callable[[FloatArray], FloatArray] | None = None,
    oracle: Callable[[FloatArray], ArrayLike] | None = None,
    target: ArrayLike | None = None,
) -> Evaluation:
    """Validity, density, distance to the data and the opinion of an independent classifier.

    Arguments:
        found: what ``counterfactual`` returned.
        flow: the flow.
        manifold: reference points ``[N, D]``, or a function that gives the distances ``[B]`` of points.
        oracle: a classifier that had no part in the search, ``[B, D]`` to classes ``[B]``.
        target: the classes asked for, ``[B]`` or one; needed with an oracle.

    Returns:
        One entry for each of the B counterfactuals.

    Raises:
        ValueError: an oracle without a target.
    """
    with torch.no_grad():
        density = _array(flow.log_prob(found.x))
    distance = np.full(len(found.x), np.nan)
    if callable(manifold):
        distance = np.asarray(manifold(found.x), dtype=float)
    elif manifold is not None:
        distance = np.asarray(KDTree(np.asarray(manifold, dtype=float)).query(found.x)[0], dtype=float)
    agrees = None
    if oracle is not None:
        if target is None:
            raise ValueError("evaluate_counterfactual: an oracle needs the target that was asked for.")
        agrees = np.asarray(np.asarray(oracle(found.x)) == np.asarray(target))
    moved = [found.x - found.start, found.z - base_points(flow, found.start)]
    lengths = np.stack([np.linalg.norm(step, axis=1) for step in moved], axis=1)
    return Evaluation(found.success, density, distance, agrees, lengths)
