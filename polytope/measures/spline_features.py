r"""Spline features of MLP blocks: how far tokens are from where units change sign, and how many are on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polytope.given import blocks_of
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line_of_estimates

if TYPE_CHECKING:
    from polytope.given import MLPBlock, Norm


@dataclass(frozen=True, eq=False)
class SplineFeatures:
    """Features of the tokens in front of each MLP block, estimates in float64.

    Arguments:
        blocks: the blocks' first values, as ``from_`` takes them.
        positive: ``[samples, tokens]`` of each block, the share of the units, or gates, with a positive
            pre-activation.
        distance: ``[samples, tokens]`` of each block, from the token to the nearest hyperplane on which a
            unit changes sign, in the block's input space: of a ReLU the nearest breakpoint.
        angle: ``[samples, tokens]`` of each block, the least angle, in radians, by which the token in front
            of the block's normalisation, less its mean in a layer normalisation, must turn at constant length
            until a unit changes sign; infinite where no turning does; not a number where there is no
            normalisation, or it drops coordinates.
    """

    blocks: tuple[str, ...]
    positive: tuple[FloatArray, ...]
    distance: tuple[FloatArray, ...]
    angle: tuple[FloatArray, ...]

    __repr__ = one_line_of_estimates

    @property
    def published(self) -> FloatArray:
        """The seven published features of each sample and block, ``[samples, blocks, 7]``.

        Mean, least, greatest and standard deviation (n - 1) of ``positive`` over the tokens; then least, mean
        and standard deviation of ``distance``.
        """
        found = []
        for share, far in zip(self.positive, self.distance, strict=True):
            few = min(1, share.shape[1] - 1)
            found.append(
                np.stack(
                    [
                        share.mean(axis=1),
                        share.min(axis=1),
                        share.max(axis=1),
                        share.std(axis=1, ddof=few),
                        far.min(axis=1),
                        far.mean(axis=1),
                        far.std(axis=1, ddof=few),
                    ],
                    axis=1,
                )
            )
        return np.stack(found, axis=1)

    def columns(self) -> dict[str, Any]:
        """The table of one row for each block, sample and token, as columns by name."""
        shapes = [share.shape for share in self.positive]
        places = [np.indices(shape).reshape(2, -1) for shape in shapes]
        return {
            "block": np.repeat(self.blocks, [n * t for n, t in shapes]),
            "sample": np.concatenate([place[0] for place in places]),
            "token": np.concatenate([place[1] for place in places]),
            **{
                name: np.concatenate([array.ravel() for array in getattr(self, name)])
                for name in ("positive", "distance", "angle")
            },
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a Parquet file.

        Arguments:
            path: of the file.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({name: pa.array(column) for name, column in self.columns().items()}), path)


def spline_features(model: Any, x: Any) -> SplineFeatures:
    r"""How far each token is from where a unit changes sign, and which share of the units is on, by block.

    Of a unit with pre-activation :math:`z = w \cdot y + b` at the token y in front of the block, the distance
    is :math:`|z| / \|w\|`. Behind a normalisation that scales by g and shifts by s, all tokens are of one
    length (:math:`\rho \le \sqrt d`) up to that scale, and z is :math:`\rho \|v\| \cos\theta + c` with
    :math:`v = g \odot w` (less its mean, in a layer normalisation) and :math:`c = w \cdot s + b`: the angle
    is how far :math:`\theta` is from :math:`\arccos(-c / (\rho \|v\|))`. Blocks are found by structure
    (``adapters.mlp_blocks``); a gated one is described by its gates, a smooth one by the signs of its
    pre-activations.

    Arguments:
        model: an ONNX file or model, or a PyTorch module.
        x: the model's input for some samples, batch axis first, or a tuple of inputs; whole numbers too.

    Raises:
        LoadError: the model cannot be read, or has no MLP block.
        TypeError: the model is of another kind.
        ValueError: x are no samples, or what reaches a block is not finite.

    References:
        Balestriero, Cosentino, Shekkizhar (2023), "Characterizing Large Language Model Geometry Helps Solve
        Toxicity Detection and Generation", https://arxiv.org/abs/2312.01648

    Example:
        >>> import torch
        >>> layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=32, batch_first=True)
        >>> spline_features(layer, torch.randn(3, 5, 8)).published.shape
        (3, 1, 7)
    """
    found = [(block, *_of_block(block, tokens)) for block, tokens in blocks_of(model, x)]
    blocks, positive, distance, angle = zip(*found, strict=True)
    return SplineFeatures(tuple(block.start for block in blocks), positive, distance, angle)


def _of_block(block: MLPBlock, tokens: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of positive units, distance and angle of tokens ``[samples, tokens, d]``."""
    if not np.isfinite(tokens).all():
        raise ValueError(f"x: what reaches the block at {block.start!r} is not finite.")
    W, b = block.hidden
    z = tokens @ W.T + b
    far = _ratio(np.abs(z), np.linalg.norm(W, axis=1))
    angle = np.full(z.shape[:2], np.nan)
    if block.norm is not None and block.norm.scale.all():
        angle = _angle(block, block.norm, tokens, z)
    return (z > 0).mean(axis=2), far.min(axis=2), angle


def _angle(block: MLPBlock, norm: Norm, tokens: FloatArray, z: FloatArray) -> FloatArray:
    """The least angle of tokens to where a unit changes sign, ``[samples, tokens]``."""
    W, b = block.hidden
    v, c = W * norm.scale, W @ norm.shift + b
    v = v - v.mean(axis=1, keepdims=True) if norm.centred else v
    u = (tokens - norm.shift) / norm.scale
    reach = np.linalg.norm(u, axis=2, keepdims=True) * np.linalg.norm(v, axis=1)
    here, there = _ratio(z - c, reach), _ratio(-c, reach)
    turned = np.abs(np.arccos(np.clip(here, -1, 1)) - np.arccos(np.clip(there, -1, 1)))
    least: FloatArray = np.where(np.abs(there) > 1, np.inf, turned).min(axis=2)
    return least


def _ratio(a: FloatArray, b: FloatArray) -> FloatArray:
    """The quotient, infinite with the sign of a where b is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b == 0, np.copysign(np.inf, a), a / b)
