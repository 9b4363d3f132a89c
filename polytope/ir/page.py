"""What a notebook shows of a network: a sentence, and a small table of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from polytope.ir.layers import Layer

SHOWN = 40  # layers; of longer networks the first and the last ones
COLUMNS = ("value", "reads", "affine map", "outputs", "activation", "units")
HEAD = "<tr>" + "".join(f"<th>{name}</th>" for name in COLUMNS) + "</tr>"


def network_page(layers: Sequence[Layer], input_shape: tuple[int, ...], words: str) -> str:
    """A sentence and a table with a row for the input and for every layer.

    Arguments:
        layers, input_shape: the network's.
        words: its one-line representation.
    """
    rows = [_row(number, layer) for number, layer in enumerate(layers, start=1)]
    if len(rows) > SHOWN:
        half = SHOWN // 2
        between = f'<tr><td colspan="6">{len(rows) - SHOWN} more layers</td></tr>'
        rows = [*rows[:half], between, *rows[-half:]]
    shape = " x ".join(map(str, input_shape))
    first = f"<tr><td>0</td><td></td><td>input</td><td>{shape}</td><td></td><td></td></tr>"
    return f"<div><code>{escape(words)}</code></div><table>{HEAD}{first}{''.join(rows)}</table>"


def _row(number: int, layer: Layer) -> str:
    kinds = ", ".join(type(linear).__name__ for linear in layer.maps)
    reads, activation = ", ".join(map(str, layer.inputs)), layer.activation
    units = f"{layer.width:,}" if activation else ""
    name = type(activation).__name__ if activation else ""
    cells = (str(number), reads, kinds, f"{layer.width:,}", name, units)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
