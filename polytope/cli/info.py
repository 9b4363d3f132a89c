"""``polytope info``: what a model file holds, and what of it can be read, without any analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading
from polytope.cli.reading import load
from polytope.cli.results import import_facts, print_json, say
from polytope.cli.terminal import REFUSED, end, sentences
from polytope.errors import LoadError
from polytope.ir import Network
from polytope.labelled import Exact, plural

MOST = 40
"""Tensors that are listed without --all."""


@grouped
def info(
    model: options.Model,
    *,
    every: options.Every = False,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Show what a model file holds: inputs, outputs, tensors (cuts for --until), layers, and what is refused.

    Code 3 if the file as a whole is refused; the tensors of an ONNX or TFLite file are listed all the same.
    """
    from adapters.onnx.contents import Contents

    network, refused, found = None, "", Contents()
    with sentences():
        try:
            network = load(model, reading)
        except LoadError as error:
            refused = str(error)
        try:
            found = _contents(model)
        except (LoadError, OSError):
            if network is not None:
                raise
    if as_json:
        print_json(_facts(model, network, refused, found))
    else:
        _tell(model, network, found, every=every)
    if refused:
        end(REFUSED, refused)


def _contents(model: Path) -> Any:
    """The names in a model file, where its format has some that can be listed."""
    from adapters.onnx import contents as onnx
    from adapters.tflite import contents as tflite

    readers = {".onnx": onnx.contents, ".tflite": tflite.contents}
    reader = readers.get(model.suffix.lower())
    return onnx.Contents() if reader is None else reader(model)


def _facts(model: Path, network: Network | None, refused: str, found: Any) -> dict[str, Any]:
    """All of it as one object."""
    facts: dict[str, Any] = {"file": model.name, "read": network is not None, "refused": refused or None}
    if network is not None:
        facts |= {
            "inputs": list(network.input_names),
            "input_shape": list(network.input_shape),
            "outputs": list(network.output_names),
            "output_dim": network.output_dim,
            "units": network.n_units,
            "layers": [layer.width for layer in network.layers],
            **import_facts(network),
        }
    tensors = [{"name": t.name, "operator": t.operator, "refused": t.refused or None} for t in found.tensors]
    return facts | {
        "declared_inputs": {name: list(shape) for name, shape in found.inputs},
        "declared_outputs": list(found.outputs),
        "tensors": tensors,
    }


def _tell(model: Path, network: Network | None, found: Any, *, every: bool) -> None:
    say(f"{model.name}" + (f", {model.stat().st_size:,} bytes" if model.is_file() else ""))
    for name, shape in found.inputs:
        say(f"input    {name} {' x '.join(map(str, shape))}")
    for name in found.outputs:
        say(f"output   {name}")
    if network is not None:
        names = ", ".join(network.output_names[:8]) or "without a name"
        inputs, outputs = (
            plural(Exact(n), of) for n, of in ((network.input_dim, "input"), (network.output_dim, "output"))
        )
        say(f"read     {inputs}, {outputs} ({names})")
        layers = "a layer" if len(network.widths) == 1 else "layers"
        widths = ", ".join(f"{n:,}" for n in network.widths[:12])
        say(f"units    {network.n_units:,}" + (f" in {layers} of {widths}" if widths else ""))
        error, note = import_facts(network).values()
        say(
            f"compared {note.removeprefix('compared ')}"
            + ("" if error is None else f", largest difference {error:.2g} on the inputs tried (estimate)")
        )
    if found.tensors:
        say("tensors  for --until, if what comes before can be read, and --from, if what follows can:")
    shown = found.tensors if every else found.tensors[-MOST:]
    if len(shown) < len(found.tensors):
        say(f"  {len(found.tensors) - len(shown):,} before these; --all lists them")
    for tensor in shown:
        say(
            f"  {tensor.name}  ({tensor.operator})"
            + (f"  refused: {tensor.refused}" if tensor.refused else "")
        )
