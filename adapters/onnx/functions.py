"""Functions that an ONNX model defines for itself: unfolded into their nodes, within bounds."""

from __future__ import annotations

import onnx
import onnx.inliner

from adapters.lowering.reasons import is_refused
from adapters.lowering.registry import has_rule
from adapters.onnx.export import convolution_function
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
            "The model has control flow next to functions of its own, which is not supported."
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


def with_rules(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with operators that have no rule, but a definition of onnx's own, unfolded by it."""
    named = {n.op_type for n in model.graph.node if n.domain in ("", "ai.onnx")}
    without = [op for op in sorted(named) if not has_rule(op) and not is_refused(op) and _is_defined(op)]
    if not without:
        return model
    names = [("", op) for op in without]
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    infos = [onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in model.graph.initializer]
    typed.graph.value_info.extend(infos)  # definitions depend on types, which the inliner reads there
    try:
        return onnx.inliner.inline_selected_functions(typed, names, inline_schema_functions=True)
    except Exception:  # the inliner raises many unrelated kinds; the operator is refused by name later
        return model


def _is_defined(op: str) -> bool:
    """Whether onnx defines an operator by others."""
    if not onnx.defs.has(op):
        return False
    schema = onnx.defs.get_schema(op)
    return bool(schema.has_function or schema.has_context_dependent_function)  # type: ignore[attr-defined]


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
