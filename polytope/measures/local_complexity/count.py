r"""Local complexity: how many crossings of units lie in a small neighbourhood of each point.

``import polytope`` must not load torch, so the torch side is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.oneline import one_line_of_estimates
from polytope.measures.local_complexity.frames import Frames
from polytope.measures.local_complexity.inputs import checked_frames, checked_points, checked_radius

if TYPE_CHECKING:
    from torch.nn import Module


_METHODS = ("crossing", "gradient", "exact")


@dataclass(frozen=True, eq=False)
class LocalComplexity:
    """Local complexity around each point.

    Arguments:
        per_layer: ``[B, layers]``, one column for each layer with an activation: numbers of units for the
            crossing count, densities for the gradient form.
        method: what was computed.
        sensitivity: where the arithmetic was not float64, the mean over some points of the differences
            between these numbers and those in float64, summed over the layers: an estimate of what
            rounding does.
        layers: names of the observed layers of a PyTorch module; ``None`` for a network.
        per_token: for each of these the counts of every token, ``[B, tokens]``: its pre-activations are
            ``[B, tokens, units]``, others count as one token; of a one-dimensional convolution, ``[B,
            channels, length]``, its channels are counted in the tokens' place. ``None`` for a network.
    """

    per_layer: NDArray[np.int64] | FloatArray
    method: str = "crossing"
    sensitivity: float | None = None
    layers: tuple[str, ...] | None = None
    per_token: tuple[NDArray[np.int64], ...] | None = None

    __repr__ = one_line_of_estimates

    @property
    def meaning(self) -> str:
        """What the numbers are."""
        if self.layers is not None:
            return "crossing count of observed units: units that change sign near a point, not regions"
        return {
            "crossing": "crossing count, by signs in float64: all of layer 1, a lower bound behind it",
            "gradient": "expected density of crossings at a point under noise on the biases",
            "exact": "exact number of units that cross a breakpoint in the neighbourhood",
        }[self.method]

    @property
    def total(self) -> NDArray[np.int64] | FloatArray:
        """The sum over the layers, ``[B]``."""
        totals: NDArray[np.int64] | FloatArray = self.per_layer.sum(axis=1)
        return totals


def local_complexity(
    network: Network | Module,
    x: ArrayLike,
    radius: float,
    *,
    frames: int | ArrayLike | None = None,
    shared_frame: bool = True,
    method: str = "crossing",
    reference: bool = False,
    layers: Sequence[str] | None = None,
    around: str | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    batch_size: int | None = None,
    rechecked: int = 16,
    rng: np.random.Generator | None = None,
) -> LocalComplexity:
    r"""The crossings near each point, by layer: a count of units, or a density.

    ``method="crossing"`` counts the units that change piece among the vertices :math:`x \pm r v_1, \dots, x
    \pm r v_P`: for a ReLU unit, its pre-activation takes both signs there. The vertices span a
    cross-polytope around x. In the first layer all units with a crossing inside are counted: a piece is a
    convex set there, so a unit that is on one piece at all vertices is on it on the whole cross-polytope. In
    deeper layers the count is a **lower bound**. Both are by the signs that float64 gives; where they must be
    proved, ask ``exact_local_complexity``. The layers counted are those with an activation
    (``network.widths``), each unit once; a max group counts if its winner changes.

    ``method="gradient"`` is the expected density of crossings at x when the biases get normal noise of
    standard deviation r: :math:`\sum_j \|\nabla z_j(x)\| \, \varphi_r(z_j(x) - t)` over the units j and their
    breakpoints t, where a small change of :math:`z_j` is felt by the output. Its mean over inputs of density
    p estimates the p-weighted (d-1)-volume of the crossings.

    ``method="exact"`` is the **exact** number of units that cross a breakpoint inside the cross-polytope, by
    enumerating the regions there: for few directions. ``exact_local_complexity`` has budgets, regions and
    volumes.

    Single-input PyTorch modules (ResNets, transformers, language models) are counted by recording chosen
    pre-activations, at parameters and in evaluation mode as they are, by layer and by token: counted are the
    units that change sign. That is a crossing count **of units, not of regions**: ``result.meaning`` says so.

    Arguments:
        network: the network; or a PyTorch module, which runs on its own device and in its own type.
        x: points, ``[B, d]`` or ``[B, *input_shape]``. All are counted, also where they fill no batch.
        radius: r, the distance of the vertices from x for directions of length 1; the standard deviation of
            the noise, in units of z, for the gradient form.
        frames: the number P <= d of orthonormal directions, drawn uniformly (QR of a Gaussian matrix), or
            the directions themselves, ``[P, d]``, used as they are. ``None`` is ``min(d, 25)`` directions.
        shared_frame: one frame for all points, or a frame of its own for each point.
        method: ``"crossing"``, ``"gradient"`` or ``"exact"``.
        reference: the published procedure as it is, for comparison: the outputs count as one more layer,
            signs are -1, 0 or 1, one frame is shared, and points after the last full batch (``batch_size``,
            128 by default) count 0. Slow.
        layers: of a module, what to observe: of an activation its input, of another submodule its output.
            ``None`` is all activations, submodules or functions that a forward pass calls
            (``torch.relu``, ``functional.gelu``, ...; not maxima, clamps and products that do the same);
            ``result.layers`` has their names.
        around: of a module, the submodule around whose output the neighbourhoods lie, such as the embedding
            of a language model, whose tokens x passes whole. ``None`` is the module's input.
        dtype: the type of the arithmetic, ``"float64"``, ``"float32"`` or ``"bfloat16"``.
        device: a torch device name, such as ``"cpu"`` or ``"cuda"``.
        batch_size: points worked on together; ``None`` fits the working set to a CPU's cache, or to a share
            of the device's free memory. The vertices are streamed, so memory does not grow with P beyond
            the directions themselves.
        rechecked: in another type than float64, the number of points, from the first, that are counted
            again in float64 to report the count's ``sensitivity``.
        rng: draws the frames; ``None`` is ``np.random.default_rng(0)``, the same frames on every call.

    Returns:
        The numbers per layer, ``[B, layers]``, and their sum, ``[B]``.

    Raises:
        ValueError: for points, radius or directions of a wrong shape or that are not finite, for more
            directions than the input has dimensions, and for unknown options.

    References:
        Humayun, Balestriero, Baraniuk (2024), "Deep Networks Always Grok and Here is Why",
        https://arxiv.org/abs/2402.15555
        Patel, Montufar (2025), "On the Local Complexity of Linear Regions in Deep ReLU Networks",
        https://arxiv.org/abs/2412.18283

    Example:
        >>> from polytope.ir import mlp
        >>> net = mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.5]), ([[1.0, 1.0]], [0.0])])
        >>> local_complexity(net, [[0.0, 0.0], [0.0, 0.6]], radius=0.2, frames=np.eye(2)).total.tolist()
        [1, 2]
    """
    checked_radius(radius)
    _check_options(method, batch_size, reference=reference, shared_frame=shared_frame)
    rng = np.random.default_rng(0 if rng is None else rng)
    if not isinstance(network, Network):
        if method != "crossing" or reference or (dtype, device) != ("float64", "cpu"):
            raise ValueError("A module has the crossing count alone, on its own device and in its own type.")
        from polytope.measures.local_complexity.observed import observed_crossings  # loads torch

        counts = observed_crossings(
            network,
            _finite(x),
            float(radius),
            frames,
            shared_frame=shared_frame,
            rng=rng,
            layers=layers,
            around=around,
            batch_size=batch_size,
        )
        return _by_token(counts)
    if layers is not None or around is not None:
        raise ValueError(
            "layers, around: all layers of a network are counted, around its input; parts are chosen of a "
            "PyTorch module."
        )
    points = checked_points(network, x)
    drawn = Frames(checked_frames(frames, points.shape[1], shared_frame), shared_frame, rng)
    if method == "exact":
        return LocalComplexity(_exact(network, points, float(radius), drawn), method)
    asked = _Question(points, float(radius), drawn, method, reference, batch_size)
    again = replace(asked, points=points[:rechecked], frames=replace(drawn, rng=deepcopy(rng)))
    per_layer = asked.answer(network, dtype, device)
    if dtype == "float64" or rechecked <= 0 or not len(points) or reference:
        return LocalComplexity(per_layer, method)
    off = np.abs(per_layer[:rechecked] - again.answer(network, "float64", device))
    return LocalComplexity(per_layer, method, float(off.sum(axis=1).mean()))


def _check_options(method: str, batch_size: int | None, *, reference: bool, shared_frame: bool) -> None:
    """Refuse options that there are not, or that do not go together."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, _METHODS))}, not {method!r}.")
    if reference and (method != "crossing" or not shared_frame):
        raise ValueError("reference=True is the crossing count with one frame for all points.")


@dataclass(frozen=True, eq=False)
class _Question:
    """What is asked of a network, in whatever arithmetic."""

    points: FloatArray
    radius: float
    frames: Frames
    method: str
    reference: bool
    batch_size: int | None

    def answer(self, network: Network, dtype: str, device: str) -> NDArray[np.int64] | FloatArray:
        """The numbers per layer, ``[B, layers]``."""
        from polytope.batched import BatchedNetwork  # loads torch
        from polytope.measures.local_complexity.crossing import crossing_counts, published_counts
        from polytope.measures.local_complexity.gradient import gradient_densities

        net = BatchedNetwork(network, dtype, device)
        if self.method == "gradient":
            return gradient_densities(net, self.points, self.radius, batch_size=self.batch_size)
        asked = (net, self.points, self.radius, self.frames)
        if self.reference:
            return published_counts(*asked, batch_size=self.batch_size or 128)
        return crossing_counts(*asked, batch_size=self.batch_size)


def _by_token(counts: dict[str, NDArray[np.int64]]) -> LocalComplexity:
    """The crossing count of a module's observed units, from those of every layer, ``[B, tokens]``."""
    per_token = tuple(counts.values())
    per_layer = (
        np.stack([count.sum(axis=1) for count in per_token], axis=1) if per_token else np.zeros((0, 0))
    )
    return LocalComplexity(per_layer.astype(np.int64), layers=tuple(counts), per_token=per_token)


def _finite(x: ArrayLike) -> NDArray[Any]:
    """Finite points for a module, ``[B, ...]``; whole numbers stay whole."""
    points = np.asarray(x)
    points = points if np.issubdtype(points.dtype, np.integer) else points.astype(float)
    if points.ndim < 2 or not np.isfinite(points).all():
        raise ValueError(f"x: expected finite points of shape [B, ...], got shape {points.shape}.")
    return points


def _exact(
    network: Network,
    points: FloatArray,
    radius: float,
    frames: Frames,
) -> NDArray[np.int64]:
    """The units with a crossing inside the cross-polytopes, ``int[B, layers]``."""
    from polytope.measures.local_complexity.neighbourhood import exact_local_complexity

    directions = frames.drawn(len(points), points.shape[1])
    counts = [np.zeros((0, len(network.widths)), dtype=np.int64)]
    for i in range(len(points)):
        frame = directions[0 if frames.shared else i]
        counts.append(exact_local_complexity(network, points[i : i + 1], radius, frames=frame).units_lower)
    return np.concatenate(counts)
