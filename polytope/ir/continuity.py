"""Networks that jump: their regions have no neighbours across the jump, so searches refuse them."""

from __future__ import annotations

from polytope.ir.network import Network


def refuse_jumps(network: Network) -> None:
    """Raise a ``ValueError`` that names a unit whose pieces do not meet exactly, if there is one."""
    for number, layer in enumerate(network.layers, start=1):
        where = layer.activation and layer.activation.jump()
        if where:
            raise ValueError(
                f"Unit {where[0]} of layer {number} is not continuous in exact arithmetic: its pieces "
                f"{where[1]} and {where[1] + 1} differ where they meet. Choose breakpoints, slopes and "
                "intercepts that agree exactly (of few bits, powers of two), or clip behind an affine layer."
            )
