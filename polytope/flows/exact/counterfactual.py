r"""The nearest counterfactual in base space, with a certificate, or an interval for its distance.

:math:`\min \{\|z - g^{-1}(x)\|_p : f_t(g(z)) \ge f_j(g(z)) + m\ \forall j \ne t\}` is the distance to the
zero set of one piecewise-linear function behind the flow, :math:`\min_j (f_t - f_j)(g(z)) - m`. It is found
as by ``robustness_radius``: in few dimensions by listing the regions around the base point, elsewhere by the
walk, nearest regions first, and by branch and bound, which race each other.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from torch import nn

from polytope.bounds.signs import signs_at
from polytope.engines.amounts import Seconds, from_zero
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.flows.exact.behind import behind_flow
from polytope.flows.exact.lowering import checked_flow
from polytope.flows.flow import Flow
from polytope.flows.geometry import base_points
from polytope.geometry.norms import as_norm
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, as_domain, described
from polytope.ir import Dense, Layer, Network, max_groups
from polytope.ir.arrays import floats
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.robustness import Radius, nearest_change

SAMPLES, TRIED = 2048, 4  # random base points, and how many of those that reach the target are tried


@dataclass(frozen=True, eq=False)
class ExactCounterfactual:
    """The nearest counterfactual in base space; its distance lies in ``lower_bound .. distance``.

    Arguments:
        z, x: ``[D]``, the nearest one known, in base and in data space; ``None`` where none is.
        distance: of z from the start's base point; infinite where none is known. **Exact** if ``certified``:
            the least, rounded up, for the network that the flow and the model are in float64.
        lower_bound: no base point that is nearer reaches the target; where certified, ``distance`` or the
            float64 number next to it.
        certified: whether ``distance`` is the least.
        regions: number of regions visited.
    """

    z: FloatArray | None
    x: FloatArray | None
    distance: float
    lower_bound: float
    certified: bool
    regions: int

    __repr__ = one_line


def exact_counterfactual(
    f: Network | nn.Module,
    flow: Flow,
    x: ArrayLike,
    target: float,
    *,
    margin: float = 0.0,
    norm: float | str = 2,
    domain: DomainLike | None = None,
    box: ArrayLike | None = None,
    known: ArrayLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> ExactCounterfactual:
    """The base point nearest to that of x at which a model says the target, and its image.

    Arguments:
        f: a piecewise-linear classifier or regressor of data points: a network, or any torch module that
            ``from_torch`` reads, in any number type and on any device.
        flow: piecewise linear.
        x: one data point, ``[D]``.
        target: a class, of models with several outputs; of one output, the value to reach, from below or from
            above.
        margin: by how much the target must lead all others; log(p / (1 - p)) makes it p against any one.
        norm: 1, 2 or infinity.
        domain: of base space; all of it by default.
        box: of data space, ``[2, D]``: the counterfactual's coordinates lie between its two rows. Infinite
            ends leave a pixel free; ends at the pixel's value fix it.
        known: a base point ``[D]`` that reaches the target, such as one of ``counterfactual``: an upper bound
            where a budget ends the search.
        max_regions, max_seconds: budgets; the result is then an interval.
        progress: called with the numbers of regions found and of rows to look at.

    Returns:
        The nearest point known and bounds on the least distance; they agree where it is certified.

    Raises:
        NotPiecewiseLinearError: the flow or the model is not piecewise linear.
        LoadError: the module cannot be read.
        ValueError: shapes or options are wrong.

    References: Jordan, Lewis, Dimakis (2019), "Provable Certificates for Adversarial Examples: Fitting a Ball
        in the Union of Polytopes", https://arxiv.org/abs/1903.08778 (the search, in data space).

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> flow = flows.Flow([flows.LULinear(2, matrix=[[2.0, 0.0], [0.0, 1.0]])])
        >>> line = pt.mlp([([[1.0, 0.0]], [0.0])])  # the value is x_1 = 2 z_1
        >>> found = flows.exact_counterfactual(line, flow, [0.0, 3.0], 4.0)
        >>> found.certified, found.distance, found.x.tolist()
        (True, 2.0, [4.0, 3.0])
    """
    checked_flow(flow, "exact_counterfactual")
    ends = _ends(box, flow.dim)
    whole = behind_flow(f, flow, "exact_counterfactual", data_too=ends is not None)
    point = _vector(x, "x")
    if len(point) != flow.dim:
        raise ValueError(f"exact_counterfactual: x must be one point of R^{flow.dim}, not {np.shape(x)}.")
    lead = from_zero(margin, "exact_counterfactual: the margin")
    p, budget = as_norm(norm, "exact_counterfactual: the norm"), Budget(max_regions, max_seconds)
    start = base_points(flow, point[None])[0]
    reached = _target_margin(whole, _finite(target), lead, start, ends)
    look = Polyhedron.whole_space(flow.dim) if domain is None else as_domain(domain, flow.dim)
    if not look.contains(start[None])[0]:
        raise ValueError("exact_counterfactual: the base point of x is no point of the domain.")
    near = None if known is None else _reaching_point(known, reached, look)
    if signs_at(reached, start)[0] >= 0:
        return ExactCounterfactual(start, point, 0.0, 0.0, True, 0)
    found = _search(reached, start, p, look, budget, progress, near)
    if near is not None and not found.exact:
        found = _nearer(found, reached, start, near, p)
    z = found.witness
    image = None if z is None else flow.network("forward")(z)
    return ExactCounterfactual(z, image, found.value, found.lower, found.exact, found.regions)


def _finite(target: object) -> float:
    """The target as a number."""
    found = _vector(target, "the target")
    if found.size != 1 or not np.isfinite(found).all():
        raise ValueError(f"exact_counterfactual: the target must be one finite number, not {target!r}.")
    return float(found[0])


def _vector(given: object, name: str) -> FloatArray:
    """Numbers in a row."""
    try:
        if given is None or isinstance(given, str | bool):
            raise TypeError(given)
        return floats(given).ravel()
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"exact_counterfactual: {name} must be of real numbers, not {described(given)}."
        ) from error


def _reaching_point(known: ArrayLike, reached: Network, domain: Polyhedron) -> FloatArray:
    """The base point that a caller knows, which must be one of the domain that reaches the target."""
    near = _vector(known, "known")
    if len(near) != domain.dim or not np.isfinite(near).all() or signs_at(reached, near)[0] < 0:
        raise ValueError("exact_counterfactual: the known base point does not reach the target.")
    if not domain.contains(near[None])[0]:
        raise ValueError("exact_counterfactual: the known base point is no point of the domain.")
    return near


def _search(
    reached: Network,
    start: FloatArray,
    norm: float,
    domain: Polyhedron,
    budget: Budget,
    progress: Progress | None,
    near: FloatArray | None,
) -> Radius:
    """As ``robustness_radius`` does, with some base points that reach the target."""
    tried = np.zeros((0, len(start)))
    with suppress(BudgetSpent), watched(budget.first):
        tried = _reaching(reached, start, norm)
    tried = tried if near is None else np.concatenate([near[None], tried])
    return nearest_change(reached, start, norm, domain, budget, progress, tried)


def _reaching(reached: Network, start: FloatArray, norm: float) -> FloatArray:
    """Some random base points that reach the target, the nearest ones."""
    z = np.random.default_rng(0).standard_normal((SAMPLES, len(start)))
    z = z[reached(z)[:, 0] >= 0]
    return z[np.argsort(np.linalg.norm(z - start, norm, axis=1))[:TRIED]]


def _target_margin(
    whole: Network, target: float, margin: float, start: FloatArray, box: FloatArray | None
) -> Network:
    """The scalar network that is not negative where the target is reached, within a box of data points.

    Arguments:
        whole: the model's outputs; with a box, the data points behind them.
        target, margin: of the model.
        start: a base point, at which the target is not reached.
        box: ``[2, D]``, or ``None``.
    """
    n = whole.output_dim - (0 if box is None else box.shape[1])
    if n == 1:
        value = whole.then(_affine(np.eye(1, whole.output_dim), [-target]))
        sign = -1.0 if signs_at(value, start)[0] <= 0 else 1.0
        rows, ends = np.array([[sign]]), np.array([-sign * target])
    else:
        if target != int(target) or not 0 <= target < n:
            raise ValueError(f"exact_counterfactual: the target must be a class 0..{n - 1}, not {target}.")
        t = int(target)
        rows, ends = np.delete(np.eye(n) - np.eye(n)[t], t, axis=0), np.full(n - 1, margin)  # f_j - f_t
    if box is not None:
        pixels, limits = _beyond(box)
        rows = np.block([[rows, np.zeros((len(rows), box.shape[1]))], [np.zeros((len(pixels), n)), pixels]])
        ends = np.concatenate([ends, limits])
    if len(rows) == 1:
        return whole.then(_affine(-rows, -ends))
    behind = whole.then(_affine(rows, ends))
    last = replace(behind.layers[-1], activation=max_groups(np.arange(len(rows))[None]))
    largest = replace(behind, layers=(*behind.layers[:-1], last))
    return largest.then(_affine([[-1.0]], [0.0]))


def _ends(box: ArrayLike | None, dim: int) -> FloatArray | None:
    """The ends of a box of data space; ``None`` where none bounds anything."""
    if box is None:
        return None
    ends = _vector(box, "the box")
    if np.shape(box) != (2, dim):
        raise ValueError(f"exact_counterfactual: the box must be numbers [2, {dim}], not {np.shape(box)}.")
    ends = ends.reshape(2, dim)
    if np.isnan(ends).any():
        raise ValueError("exact_counterfactual: an end of the box is no number (NaN).")
    if not ((ends[0] <= ends[1]) & (ends[0] < np.inf) & (ends[1] > -np.inf)).all():
        raise ValueError("exact_counterfactual: the box is empty: a lower end is above an upper one.")
    return ends if np.isfinite(ends).any() else None


def _beyond(box: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows and constants that are positive where a data point lies outside a box."""
    low, high = np.isfinite(box)
    eye = np.eye(box.shape[1])
    return np.concatenate([-eye[low], eye[high]]), np.concatenate([box[0, low], -box[1, high]])


def _affine(matrix: ArrayLike, bias: ArrayLike) -> Network:
    W = np.array(matrix, dtype=float)
    return Network((W.shape[1],), (Layer((0,), (Dense(W),), np.array(bias, dtype=float)),))


def _nearer(found: Radius, reached: Network, start: FloatArray, known: FloatArray, norm: float) -> Radius:
    """The result with the first point on the way to a known one where the target is reached, if nearer."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (
            (low, middle) if signs_at(reached, start + middle * (known - start))[0] >= 0 else (middle, high)
        )
    point = start + high * (known - start)
    away = float(np.linalg.norm(point - start, norm))
    return replace(found, value=away, witness=point) if away < found.value else found
