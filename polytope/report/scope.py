"""What part of the input space an audit speaks about: a box, a polytope, or a window, in words too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from polytope.geometry import Polyhedron, Slice
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line

Chooser = Literal["user", "default"]

FEW = 6
"""Dimensions up to which a whole box is the default; above, a window is."""


@dataclass(frozen=True, eq=False)
class Scope:
    """Where to look: a domain and how it lies in the input space; made by ``Scope.of(domain, window)``.

    Arguments:
        domain: in the coordinates of the window, or of the input where there is no window.
        window: the slice of the input space that is looked at; ``None`` for all of it.
        description: a phrase that completes "in ...".
        chosen_by: ``"user"`` or ``"default"``.
        kind: ``"box"``, ``"polytope"`` or ``"window"``.
        low, high: the domain's ends, ``[k]``, where it is a box in k coordinates.
    """

    domain: Polyhedron
    window: Slice | None
    description: str
    chosen_by: Chooser
    kind: Literal["box", "polytope", "window"]
    low: FloatArray | None = None
    high: FloatArray | None = None

    __repr__ = one_line

    @classmethod
    def of(cls, domain: Polyhedron, window: Slice | None = None) -> Scope:
        """A domain as it is, in the coordinates of the window where there is one.

        Arguments:
            domain: a polyhedron in the window's coordinates, or in the input space.
            window: the slice of the input space that is looked at; ``None`` for all of it.
        """
        ends = tuple(domain.bounds) if domain.is_box else None
        if window is None and ends is not None:
            return cls(domain, None, f"the box {_span(*ends)}", "user", "box", *ends)
        if window is not None and ends is not None:
            where = f"a {window.dim}-dimensional window, t in {_span(*ends)}"
            return cls(domain, window, where, "user", "window", *ends)
        rows = f"{len(domain.b)} half-spaces in {domain.dim} dimensions"
        if window is None:
            return cls(domain, None, f"a polytope of {rows}", "user", "polytope")
        return cls(domain, window, f"a {window.dim}-dimensional window, {rows}", "user", "window")

    def restricted(self, network: Network) -> Network:
        """The network as a function of the domain's coordinates.

        Arguments:
            network: a network on the whole input space.

        Returns:
            The network itself where there is no window, else one of the window's coordinates.

        Raises:
            ValueError: the domain does not fit the network.
        """
        inside = network if self.window is None else network.restrict(self.window)
        if self.domain.dim != inside.input_dim:
            raise ValueError(
                f"The domain has {self.domain.dim} coordinates, the network has {inside.input_dim} inputs."
            )
        return inside


def box_scope(
    d: int, low: ArrayLike, high: ArrayLike, *, chosen_by: Chooser = "user", why: str = ""
) -> Scope:
    """A box in the input space; coordinates with equal ends are fixed and the others are looked at.

    Arguments:
        d: number of inputs of the network.
        low, high: numbers, or ``[d]``.
        why: added to the description.

    Raises:
        ValueError: a wrong length, an end that is not a number, low above high, or a single point.
    """
    lo, hi = _ends("low", low, d), _ends("high", high, d)
    if (wrong := np.flatnonzero(lo > hi)).size:
        i = int(wrong[0])
        raise ValueError(f"The box has low {lo[i]:g} above high {hi[i]:g} at coordinate {i}; swap them.")
    free = np.flatnonzero(lo < hi)
    if not len(free):
        raise ValueError(
            "The box is a single point: low equals high at every coordinate. Widen some of them."
        )
    description = f"the box {_span(lo, hi)}" + why
    window = None
    if len(free) < d:
        window = Slice(np.where(lo < hi, 0.0, lo), np.eye(d)[free])
        description += f", where {d - len(free)} of {d} coordinates are fixed"
    domain = Polyhedron.box(lo[free], hi[free])
    return Scope(domain, window, description, chosen_by, "box", lo[free], hi[free])


def window_scope(
    points: FloatArray,
    low: ArrayLike = -1.0,
    high: ArrayLike = 2.0,
    *,
    names: str,
    chosen_by: Chooser = "user",
) -> Scope:
    """The window through three points (or another number), which are t = 0 and the unit vectors.

    Arguments:
        points: ``[k + 1, d]``.
        low, high: the ends of the box in the window's coordinates, numbers or ``[k]``.
        names: what the points are, as in "the window through ...".

    Raises:
        ValueError: the points do not span a window, or the box is wrong.
    """
    try:
        window = Slice.through(*points)
    except ValueError as error:
        raise ValueError(f"No window through {names}: {error}") from error
    inner = box_scope(window.dim, low, high)
    if inner.window is not None:
        raise ValueError("The box of a window must not fix a coordinate: let low be below high everywhere.")
    assert inner.low is not None, "a box has ends"
    assert inner.high is not None, "a box has ends"
    description = f"the {window.dim}-dimensional window through {names}, t in {_span(inner.low, inner.high)}"
    return Scope(inner.domain, window, description, chosen_by, "window", inner.low, inner.high)


def default_scope(network: Network, points: FloatArray | None = None) -> Scope:
    """Where to look if nobody says: around the data if there are any, near the origin if not."""
    d = network.input_dim
    if points is not None and len(points) >= 3 and d > FEW:
        return window_scope(points[:3], names="the first three data points", chosen_by="default")
    if points is not None and len(points) >= 2 and d <= FEW:
        low, high = points.min(axis=0), points.max(axis=0)
        return box_scope(d, low, high, chosen_by="default", why=", the bounding box of the data")
    if d <= FEW:
        return box_scope(d, -1.0, 1.0, chosen_by="default")
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((d, 2)))
    corners = np.stack([np.zeros(d), axes[:, 0], axes[:, 1]])
    names = "the origin and two random orthonormal directions"
    return window_scope(corners, -1.0, 1.0, names=names, chosen_by="default")


def _ends(side: str, values: ArrayLike, d: int) -> FloatArray:
    ends = np.asarray(values, dtype=float)
    if ends.ndim > 1 or ends.size not in (1, d):
        raise ValueError(
            f"The box gives {ends.size} numbers for {side}, the network has {d} inputs: give 1 or {d}."
        )
    if not np.isfinite(ends).all():
        raise ValueError(f"The box's {side} holds a value that is not a finite number.")
    return np.broadcast_to(ends, (d,)).copy()


def _span(low: FloatArray, high: FloatArray) -> str:
    """``[-1, 1]^5``, or the intervals one by one where there are few."""
    pairs = [f"[{a:g}, {b:g}]" for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    if len(set(pairs)) == 1:
        return pairs[0] if len(pairs) == 1 else f"{pairs[0]}^{len(pairs)}"
    return (
        " x ".join(pairs)
        if len(pairs) <= FEW
        else f"{pairs[0]} x ... x {pairs[-1]}, {len(pairs)} coordinates"
    )


def picked(points: FloatArray, indices: Sequence[int]) -> FloatArray:
    """Some of the data points, by number.

    Raises:
        ValueError: a number is out of range.
    """
    for i in indices:
        if not 0 <= i < len(points):
            raise ValueError(f"There is no data point {i}: the file has {len(points)}, counted from 0.")
    return points[list(indices)]
