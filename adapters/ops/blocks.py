"""Overlapping blocks added up to an image: the transpose of cutting an image into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from scipy.sparse import csr_array

from adapters.lowering.fitting import of_rank, whole_numbers
from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.windows import Geometry, aten_geometry, members, onnx_geometry
from polytope.errors import CorruptFileError
from polytope.ir import Sparse


def added_up(t: Lowering, x: Value, sizes: Sequence[int], g: Geometry) -> Value:
    """Blocks ``[batch, channels * kernel, windows]`` as an image ``[batch, channels, *sizes]``."""
    of_rank(x.shape, 2, 3)
    shape = x.shape if len(x.shape) == 3 else (1, *x.shape)
    n, windows, kernel = shape[0], g.output_sizes(sizes), prod(g.kernel)
    channels = shape[1] // kernel
    if len(shape) != 3 or shape[1] != channels * kernel or shape[2] != prod(windows):
        raise CorruptFileError(f"Its input of shape {list(x.shape)} is not made of its blocks.")
    pixels = members(t, n * channels, sizes, g, windows)
    entries = np.arange(prod(shape)).reshape(n * channels, kernel, -1).swapaxes(1, 2).reshape(-1, kernel)
    kept = pixels >= 0
    size = n * channels * prod(sizes)
    ones = np.ones(int(kept.sum()))
    matrix = csr_array((ones, (pixels[kept], entries[kept])), shape=(size, prod(shape)))
    lead = (n, channels) if len(x.shape) == 3 else (channels,)
    return t.linear(x, Sparse(matrix), (*lead, *sizes))


@onnx_op("Col2Im", note="sizes constant")
def column_to_image(t: Lowering, node: Node) -> Value:
    """Overlapping blocks added up to an image."""
    sizes, kernel = (tuple(node.integers(i)) for i in (1, 2))
    return added_up(t, node[0], sizes, onnx_geometry(node, kernel, sizes))


@aten_op("col2im")
def aten_column_to_image(t: Lowering, node: Node) -> Value:
    """Overlapping blocks added up to an image."""
    sizes = tuple(whole_numbers(node.get("output_size"), "output size"))
    return added_up(t, node.get("self"), sizes, aten_geometry(node, len(sizes)))
