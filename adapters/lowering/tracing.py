"""One operator applied to traced values; whatever goes wrong names the node."""

from __future__ import annotations

from adapters.lowering.conditions import Condition, Places
from adapters.lowering.layers import Lowering, Value, located
from adapters.lowering.registry import Node, Rule, rule_for
from adapters.lowering.smooth import smooth_rule
from polytope.errors import (
    CorruptFileError,
    InternalError,
    LoadError,
    NotPiecewiseLinearError,
    UnsupportedOpError,
    is_deliberate,
)

_SELECTING = (
    "Where",
    "Mul",
    "Cast",
    "CastLike",
    "Identity",
    "If",
    "Not",
    "where",
    "mul",
    "to",
    "_to_copy",
    "masked_fill",
)
"""Operators that know what to do with a comparison."""


def applied(t: Lowering, table: str, node: Node, place: str, rule: Rule | None = None) -> tuple[Value, ...]:
    """The outputs of one node, by its rule in the table unless another one is given.

    Raises:
        LoadError: the rule refuses its operands or attributes; with the node's place in front.
        InternalError: the rule fails otherwise, which is a defect of the rule.
    """
    try:
        _refuse_stray_conditions(node)
        own = None if rule or t.spacing is None else smooth_rule(table, node.op)
        out = (rule or own or rule_for(table, node.op))(t, node)
    except LoadError as error:
        raise located(error, place) from error
    except MemoryError as error:
        raise UnsupportedOpError(f"{place}: it needs more memory than there is.") from error
    except ValueError as error:
        if not is_deliberate(error):
            raise InternalError(f"{place}: {error!r}") from error
        raise located(CorruptFileError(str(error)), place) from error  # what a layer cannot be made of
    except InternalError:
        raise
    except Exception as error:
        raise InternalError(f"{place}: {error!r}") from error
    return out if isinstance(out, tuple) else (out,)


def _refuse_stray_conditions(node: Node) -> None:
    """A comparison of the input may only select, and nothing may read where a maximum lies."""
    operands = [*node.inputs, *node.attributes.values()]
    if any(isinstance(v, Places) for v in operands):
        raise NotPiecewiseLinearError("its operand says where extreme values lie: whole numbers that jump.")
    if node.op not in _SELECTING and any(isinstance(v, Condition) for v in operands):
        raise NotPiecewiseLinearError("its operand is a comparison of the input, which jumps.")
