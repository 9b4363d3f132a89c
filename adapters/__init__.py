"""Saved models into networks: ``load`` a file, or take a model that is in memory.

Neither torch nor onnx is imported before a model of that kind is given.
"""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "activations": "adapters.inside",
    "freeze_attention": "adapters.memory",
    "from_onnx": "adapters.memory",
    "from_torch": "adapters.memory",
    "load": "adapters.files",
    "mlp_blocks": "adapters.blocks",
    "runtime": "adapters.check",
    "supported_ops": "adapters.lowering.published",
    "supported_ops_markdown": "adapters.lowering.published",
    "to_onnx": "adapters.onnx.export",
}

if TYPE_CHECKING:
    from adapters.blocks import mlp_blocks as mlp_blocks
    from adapters.check import runtime as runtime
    from adapters.files import load as load
    from adapters.inside import activations as activations
    from adapters.lowering.published import supported_ops as supported_ops
    from adapters.lowering.published import supported_ops_markdown as supported_ops_markdown
    from adapters.memory import freeze_attention as freeze_attention
    from adapters.memory import from_onnx as from_onnx
    from adapters.memory import from_torch as from_torch
    from adapters.onnx.export import to_onnx as to_onnx
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
