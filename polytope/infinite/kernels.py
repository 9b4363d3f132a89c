r"""Kernels of infinitely wide networks: NNGP, the covariance of outputs, and NTK, that of their gradients.

Points are taken in blocks, so that memory stays within what is given; the numbers do not depend on the blocks
but for the rounding of matrix products.

References: Lee et al. (2018), "Deep neural networks as Gaussian processes", https://arxiv.org/abs/1711.00165;
Jacot, Gabriel, Hongler (2018), "Neural tangent kernel", https://arxiv.org/abs/1806.07572;
Arora et al. (2019), "On exact computation with an infinitely wide neural net", https://arxiv.org/abs/1904.11955
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.engines.amounts import Bytes, in_bytes
from polytope.engines.budget import free_bytes
from polytope.infinite.given import numbers
from polytope.infinite.given import whole as whole_number
from polytope.infinite.propagate import Alone, Pairs, Statistics, propagate, whole_matrices
from polytope.infinite.steps import Architecture, an_architecture
from polytope.ir.maps import FloatArray

Progress = Callable[[int, int], None]  # pairs of points done, of all

IN_FLIGHT = 10  # arrays of a block that are alive at one time
CACHED = 1 << 26  # bytes of a block: larger ones are not faster
MB = 1 << 20


@dataclass(frozen=True, eq=False)
class Kernels:
    """Kernels of N points with M others.

    Arguments:
        nngp: covariance of the outputs at initialisation, ``[N, M]``; of an output on A sites
            ``[N, M, A, A]``.
        ntk: inner products of the gradients by all weights, ``[N, M]`` or ``[N, M, A, A]``.

    Raises:
        ValueError: the two have not one shape, or numbers are not finite.
    """

    nngp: FloatArray
    ntk: FloatArray

    def __post_init__(self) -> None:
        for name in ("nngp", "ntk"):
            object.__setattr__(self, name, numbers(getattr(self, name), name))
        if self.nngp.shape != self.ntk.shape:
            raise ValueError(f"Kernels: of shapes {self.nngp.shape} and {self.ntk.shape}, which differ.")
        if not (np.isfinite(self.nngp).all() and np.isfinite(self.ntk).all()):
            raise ValueError("Kernels: a number is not finite: the variances are beyond those of float64.")

    def __repr__(self) -> str:
        return f"Kernels({' x '.join(map(str, self.nngp.shape))})"


def kernel(
    architecture: Architecture,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    batch: int | None = None,
    memory: Bytes | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Kernels:
    """NNGP and NTK of all pairs of points.

    Equal points are recognised, so that their correlation is exactly 1. Near a correlation of 1 the NTK's
    slope has no bound, and its error grows to the square root of the rounding of float64, 1e-8.

    Arguments:
        architecture: from ``architecture`` or ``mlp``.
        x: points, ``[N, *input_shape]`` or ``[N, d]``.
        y: other points, ``[M, d]``; by default x, of which each pair is then computed once.
        batch: points on each side of a block; by default as many as memory holds.
        memory: for the blocks, bytes or a text such as "500MB"; by default half of what is free.
        device: of torch: "cpu", "cuda", ...
        progress: called after every block with the numbers of pairs done and of all.

    Returns:
        Both kernels, in float64.

    Raises:
        ValueError: points of another dimension or not finite, or more memory is needed than there is.

    Example:
        >>> import numpy as np
        >>> from polytope.infinite.steps import mlp
        >>> kernel(mlp(2, 3), np.eye(2)).nngp.round(3).tolist()  # He's variances keep |x|^2 2 / d
        [[1.0, 0.605], [0.605, 1.0]]
    """
    symmetric = y is None
    an_architecture(architecture, "kernel")
    rows = architecture.points(x, device)
    columns = rows if y is None else architecture.points(y, device, "y")
    whole = whole_matrices(architecture, output=True)
    n, m, sites = len(rows), len(columns), architecture.sites[-1]
    side = _side(architecture, whole, (n, m), batch, in_bytes(memory, "memory"))
    labels = _equal_points(rows, columns)
    shape = (n, m) if sites == 1 else (n, m, sites, sites)
    nngp, ntk = np.empty(shape), np.empty(shape)
    own = _statistics(architecture, rows, _side_alone(side))
    others = own if symmetric else _statistics(architecture, columns, _side_alone(side))
    done = 0
    for i, j in _blocks(n, m, side, symmetric):
        first, second = torch.nonzero(labels[0][i, None] == labels[1][None, j], as_tuple=True)
        points = Pairs(own.part(i), others.part(j), (first, second))
        start = _products(rows[i], columns[j], whole[0])
        K, theta = propagate(architecture, start, whole, points, tangent=True)
        for out, block in ((nngp, K), (ntk, torch.zeros_like(K) if theta is None else theta)):
            found = block.reshape(block.shape[:2] + shape[2:]).cpu().numpy()
            out[i, j] = found
            if symmetric and i != j:
                out[j, i] = found.transpose(1, 0) if sites == 1 else found.transpose(1, 0, 3, 2)
        done += (1 + (symmetric and i != j)) * K.shape[0] * K.shape[1]
        if progress:
            progress(done, n * m)
    return Kernels(nngp, ntk)


def variances(architecture: Architecture, x: ArrayLike | Tensor, *, device: str = "cpu") -> FloatArray:
    """The NNGP of every point with itself, at the cost of N points and not of N squared.

    Arguments:
        architecture, device: as of ``kernel``.
        x: points, ``[N, d]``.

    Returns:
        ``[N]``, or ``[N, A]`` of an output on A sites.
    """
    rows = an_architecture(architecture, "variances").points(x, device)
    whole = whole_matrices(architecture, output=False)
    side = _side(architecture, whole, (len(rows), 1), None, None)
    parts = [_alone(architecture, rows[i : i + side], whole)[1] for i in range(0, len(rows), side)]
    found = torch.cat(parts).cpu().numpy() if parts else np.zeros((0, architecture.sites[-1]))
    return np.asarray(found[:, 0] if architecture.sites[-1] == 1 else found)


def _products(rows: Tensor, columns: Tensor, whole: bool) -> Tensor:
    """The input's covariance over channels, ``[n, m, A]`` or ``[n, m, A, A]``."""
    if whole:
        return torch.einsum("nca,mcb->nmab", rows, columns).div_(rows.shape[1])
    if rows.shape[2] == 1:
        return (rows[:, :, 0] @ columns[:, :, 0].T).div_(rows.shape[1])[..., None]
    return torch.einsum("nca,mca->nma", rows, columns).div_(rows.shape[1])


def _alone(architecture: Architecture, rows: Tensor, whole: tuple[bool, ...]) -> tuple[Statistics, Tensor]:
    """Statistics of points, and the variances of the output."""
    points = Alone(architecture, Statistics({}, {}), {})
    form = "nca,ncb->nab" if whole[0] else "nca,nca->na"
    start = torch.einsum(form, rows, rows).div_(rows.shape[1])
    K, _ = propagate(architecture, start, whole, points, tangent=False, look=points.look)
    return points.found, K


def _statistics(architecture: Architecture, rows: Tensor, side: int) -> Statistics:
    """Of all points, in parts."""
    whole = whole_matrices(architecture, output=False)
    parts = [_alone(architecture, rows[i : i + side], whole)[0] for i in range(0, max(len(rows), 1), side)]
    return Statistics.joined(parts)


def _equal_points(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers for points on both sides, the same ones for equal points."""
    together = torch.cat([rows, columns]).flatten(1).cpu().numpy() + 0.0  # -0 is 0
    keys = [row.tobytes() for row in together]
    first: dict[bytes, int] = {}
    numbers = torch.tensor([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=torch.int64)
    numbers = numbers.to(rows.device)
    return numbers[: len(rows)], numbers[len(rows) :]


def _blocks(n: int, m: int, side: int, symmetric: bool) -> Iterator[tuple[slice, slice]]:
    """Blocks of pairs; of a symmetric table those on and above the diagonal."""
    for i in range(0, n, side):
        for j in range(i if symmetric else 0, m, side):
            yield slice(i, min(i + side, n)), slice(j, min(j + side, m))


def _side_alone(side: int) -> int:
    """Points of a pass with themselves that take the memory of a block."""
    return max(side * side // 2, 1)


def _side(
    architecture: Architecture,
    whole: tuple[bool, ...],
    points: tuple[int, int],
    batch: int | None,
    memory: int | None,
) -> int:
    """Points on each side of a block."""
    if batch is not None and not whole_number(batch, "batch"):
        raise ValueError(f"batch: at least one point is needed, not {batch}.")
    pair = (
        8
        * IN_FLIGHT
        * max(sites * (sites if full else 1) for sites, full in zip(architecture.sites, whole, strict=True))
    )
    free = free_bytes()
    room = memory or (None if free is None else free // 2)
    result = 16 * prod(points) * (architecture.sites[-1] ** 2)
    if free is not None and result > free:
        raise ValueError(
            f"The kernels of {points[0]:,} x {points[1]:,} points take {result // MB:,} MB, and "
            f"{free // MB:,} MB are free: take some rows at a time, kernel(architecture, x[:1000], y), "
            "or fewer points."
        )
    most = None if room is None else int((room / pair) ** 0.5)
    if most is not None and (most < 1 or (batch or 1) > most):
        side = batch or 1
        raise ValueError(
            f"A block of {side} x {side} points takes {side * side * pair / MB:,.0f} MB, more than the "
            f"{(room or 0) / MB:,.0f} MB there are"
            + (
                f": batch={most} fits."
                if most
                else ": one pair of points does not fit; give a larger memory=."
            )
        )
    fast = max(int((CACHED / pair) ** 0.5), 1)
    return batch or (fast if most is None else min(fast, most))
