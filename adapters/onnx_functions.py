"""Functions that an ONNX model defines for itself: unfolded into their nodes, within bounds."""

from __future__ import annotations

import onnx
import onnx.inliner

from adapters.onnx_export import convolution_function
from polytope.errors import CorruptFileError, UnsafeFileError, UnsupportedOpError

_LARGEST = 200_000


def without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions unfolded; the one that ``to_onnx`` writes stays, to be read as it is."""
    ours = convolution_function().SerializeToString(deterministic=True)
    if all(f.SerializeToString(deterministic=True) == ours for f in model.functions):
        return model
    if any(f.domain in ("", "ai.onnx") for f in model.functions):
        raise UnsafeFileError("The model redefines a standard operator by a function of its own.")
    nodes = [n for body in (model.graph.node, *(f.node for f in model.functions)) for n in body]
    if any(a.HasField("g") or a.graphs for n in nodes for a in n.attribute):
        raise UnsupportedOpError(
            "The model has control flow next to functions of its own, which has no rule."
        )
    size = _unfolded_size(model)
    if size > _LARGEST:
        raise UnsafeFileError(
            f"The model's functions unfold to {size:,} nodes; at most {_LARGEST:,} are read."
        )
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # the inliner raises many unrelated kinds
        first = str(error).split("\n")[0][:200]
        raise UnsupportedOpError(f"The model's functions cannot be unfolded: {first}") from error


def _unfolded_size(model: onnx.ModelProto) -> int:
    """The number of nodes after unfolding, counted without unfolding."""
    bodies = {(f.domain, f.name): [(n.domain, n.op_type) for n in f.node] for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    waiting = list(bodies)
    rounds = 0
    while waiting:
        later = [key for key in waiting if any(c in bodies and c not in sizes for c in bodies[key])]
        for key in waiting:
            if key not in later:
                sizes[key] = min(sum(sizes.get(c, 1) for c in bodies[key]), 2**60)
        rounds += 1
        if len(later) == len(waiting) or rounds > 200:
            raise CorruptFileError("The model's functions call each other in a circle, or nest too deeply.")
        waiting = later
    return sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
