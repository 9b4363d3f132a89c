"""The largest difference between a model's own runtime and its network, seen on random and on edge inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from adapters.aten_program import Program, Step, needed_steps, resolved
from adapters.folding import stored
from adapters.inputs import InputPart
from adapters.registry import rule_for
from polytope.errors import CorruptFileError, ImportMismatchError
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.ir.near_bends import straddling

Reference = Callable[[FloatArray], FloatArray]
"""The model itself: ``[B, d]`` to ``[B, out]``."""

TOLERANCE = {"float64": 1e-9, "float32": 2e-4, "float16": 5e-2, "bfloat16": 2e-1}
"""Relative difference that each number type may show, against the largest output of the same input."""

_RUNTIMES: WeakKeyDictionary[Network, Reference] = WeakKeyDictionary()
"""The runtimes of the networks in memory: beside them, so that a network stays data that can be sent."""

_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_LARGEST = {"float64": 1e300, "float32": 1e36, "float16": 6e4, "bfloat16": 1e36}
_OPERATIONS = 4e8
_LAYER_OVERHEAD = 10_000
_LARGEST_BLOCK = 2**21
_SCALAR = {
    "sym_mul": operator.mul,
    "sym_add": operator.add,
    "sym_sub": operator.sub,
    "sym_floordiv": operator.floordiv,
}


def checked(
    network: Network,
    reference: Reference,
    dtype: str,
    *,
    steps: int = 0,
    file_dtype: str | None = None,
    lasting: bool = True,
) -> Network:
    """The network with ``import_error`` and ``dtype`` set, to the file's own type where it is another.

    The recorded error is the largest absolute difference on inputs of ordinary size (up to a few units);
    inputs of size 1000 are compared too, relative to their outputs. Rounding errors may add up over the
    model's ``steps``. A ``lasting`` reference can be run again later: ``runtime`` finds it.

    Raises:
        ImportMismatchError: a difference is beyond what the number type explains.
    """
    ordinary, wide = probes(network, np.random.default_rng(0))
    kind = {"float64": np.float64, "float16": np.float16}.get(dtype, np.float32)
    worst = 0.0
    for points, is_wide in ((ordinary, False), (wide, True)):
        x = points.astype(kind).astype(float)
        expected = reference(x)
        got, magnitude = _forward(network, x)
        if expected.shape != got.shape:
            raise ImportMismatchError(
                f"The model gives {expected.shape[1]} outputs, the network {got.shape[1]}."
            )
        difference = _compare(expected, got, max(256, steps) * magnitude, dtype)
        worst = worst if is_wide else difference
    found = replace(network, import_error=worst, dtype=file_dtype or dtype)
    if lasting:
        _RUNTIMES[found] = reference
    return found


def runtime(network: Network) -> Reference | None:
    """The runtime that a loaded network was compared with: ``[B, d]`` to ``[B, out]`` in the file's own type.

    ``None`` for a network that was not loaded, or was changed since, and for modules and archives of arrays.
    """
    return _RUNTIMES.get(network)


def _compare(expected: FloatArray, got: FloatArray, magnitude: FloatArray, dtype: str) -> float:
    """The largest absolute difference; rows on which the number type overflows are left out."""
    overflown = ~np.isfinite(expected).all(axis=1) & (magnitude > _LARGEST[dtype] / 10)
    expected, got, magnitude = expected[~overflown], got[~overflown], magnitude[~overflown]
    if not expected.size:
        return 0.0
    difference = np.abs(expected - got).max(axis=1)
    allowed = TOLERANCE[dtype] * np.abs(got).max(axis=1) + _EPS[dtype] * magnitude
    wrong = ~(difference <= allowed)
    if wrong.any():
        row = int(np.argmax(np.where(wrong, np.nan_to_num(difference, nan=np.inf), -1.0)))
        raise ImportMismatchError(
            f"The network and the model differ by {difference[row]:.3g} on an input where the output is "
            f"of size {np.abs(got[row]).max():.3g}; rounding of {dtype} explains {allowed[row]:.3g}. "
            "Please report this model: one of its operators is converted wrongly."
        )
    return float(difference.max())


def _forward(network: Network, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The outputs, and the largest pre-activation that each input meets: rounding is in proportion to it."""
    sizes, h = np.abs(x).max(axis=1, initial=0.0), x.T
    for z, h in network.steps(x.T):  # noqa: B007 the last h is the output
        sizes = np.maximum(sizes, np.abs(z).max(axis=0, initial=0.0))
    return np.ascontiguousarray(h.T), sizes


def cost(network: Network) -> int:
    """About how many multiplications one forward pass takes."""
    products = sum(stored(m) + m.shape[0] for layer in network.layers for m in layer.maps)
    return products + network.n_units + _LAYER_OVERHEAD * len(network.layers)


def probes(network: Network, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Inputs of ordinary size, and of size 1000; fewer for networks that take long."""
    d = network.input_dim
    widest = max(d, *(max(layer.width, len(layer.bias)) for layer in network.layers))
    count = int(np.clip(min(_OPERATIONS / cost(network) / 4, _LARGEST_BLOCK / widest), 1, 6))
    random = [
        rng.uniform(0, 1, (count, d)),
        rng.standard_normal((count, d)),
        rng.uniform(-1, 1, (count, d)) / 8,
    ]
    edges = [np.zeros((1, d)), np.ones((1, d)), np.full((1, d), -0.5)]
    wide = 1000.0 * rng.standard_normal((count, d))
    if count == 1:
        return np.concatenate([edges[0], random[0], random[1]]), wide
    bends = straddling(network, random[1], 4.0 * random[0][::-1] - 2.0) if count == 6 else np.zeros((0, d))
    return np.concatenate([*edges, *random, 3.0 * random[1], bends]), wide


_KINDS = {"float64": np.float64, "float16": np.float16}


class Session:
    """A model in onnxruntime: graph optimisation off, one thread, deterministic."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many unrelated kinds
            raise CorruptFileError(
                f"onnxruntime refuses the model, so it cannot be checked: {_first(error)}"
            ) from error

    def run(self, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All outputs."""
        names = {i.name for i in self._session.get_inputs()}
        try:
            return list(self._session.run(None, {k: v for k, v in feeds.items() if k in names}))
        except Exception as error:  # onnxruntime raises many unrelated kinds
            raise CorruptFileError(
                f"onnxruntime cannot run the model, so it cannot be checked: {_first(error)}"
            ) from error

    def accepts(self, shapes: Sequence[tuple[int, ...]], dtype: str) -> bool:
        """Whether the model runs on inputs of these shapes."""
        inputs = zip(self._session.get_inputs(), shapes, strict=False)
        try:
            self.run({i.name: np.zeros(shape, dtype=_KINDS.get(dtype, np.float32)) for i, shape in inputs})
        except CorruptFileError:
            return False
        return True

    def rows(self, x: FloatArray, parts: Sequence[InputPart], batch: int, dtype: str) -> FloatArray:
        """The flattened outputs of each row of x, ``[B, out]``, computed ``batch`` rows at a time."""
        found = []
        for start in range(0, len(x), batch):
            block = x[np.arange(start, start + batch) % len(x)]
            found.append(self._block(block, parts, dtype)[: len(x) - start])
        return np.concatenate(found)

    def _block(self, block: FloatArray, parts: Sequence[InputPart], dtype: str) -> FloatArray:
        feeds, place = {}, 0
        for part in parts:
            size = prod(part.shape)
            piece = block[:, place : place + size].astype(_KINDS.get(dtype, np.float32))
            feeds[part.name] = piece.reshape((len(block), *part.shape[1:]) if part.batched else part.shape)
            place += size
        outputs = [np.asarray(y, dtype=float) for y in self.run(feeds)]
        if any(y.size % len(block) for y in outputs):
            raise ImportMismatchError(f"The model's outputs do not split into a batch of {len(block)}.")
        return np.concatenate([y.reshape(len(block), -1) for y in outputs], axis=1)


def _first(error: Exception) -> str:
    return str(error).split("\n")[0][:300]


def torch_reference(module: Any, parts: Sequence[InputPart], dtype: str) -> Reference:
    """A PyTorch module, one sample at a time."""
    import torch

    kind = getattr(torch, dtype)

    def reference(x: FloatArray) -> FloatArray:
        rows = []
        for row in x:
            with torch.no_grad():
                out = module(*(torch.from_numpy(piece).to(kind) for piece in _pieces(row, parts)))
            tensors = list(out.values()) if isinstance(out, dict) else out
            tensors = tensors if isinstance(tensors, tuple | list) else [tensors]
            rows.append(np.concatenate([y.double().numpy().ravel() for y in tensors]))
        return np.stack(rows)

    return reference


def program_reference(program: Program, parts: Sequence[InputPart], dtype: str) -> Reference:
    """A program of ATen operators run by PyTorch's own kernels, operator by operator.

    Only operators that have a rule are run, so a file cannot make this call anything else.
    """
    import torch

    constants = {name: torch.from_numpy(np.array(array)) for name, array in program.constants.items()}
    kind = getattr(torch, dtype)

    def reference(x: FloatArray) -> FloatArray:
        rows = []
        for row in x:
            inputs = [torch.from_numpy(piece).to(kind) for piece in _pieces(row, parts)]
            values: dict[str, Any] = {**constants, **dict(zip((p.name for p in parts), inputs, strict=True))}
            for step in needed_steps(program):
                _run(step, values)
            rows.append(np.concatenate([values[n].double().numpy().ravel() for n in program.outputs]))
        return np.stack(rows)

    return reference


def _pieces(row: FloatArray, parts: Sequence[InputPart]) -> list[FloatArray]:
    """One flat sample as the model's inputs."""
    ends = np.cumsum([prod(p.shape) for p in parts])
    return [row[end - prod(p.shape) : end].reshape(p.shape) for p, end in zip(parts, ends, strict=True)]


def _run(step: Step, values: dict[str, Any]) -> None:
    """One step in PyTorch."""
    import torch

    arguments = {name: resolved(a, values) for name, a in step.arguments.items()}
    if step.op == "getitem":
        values[step.outputs[0]] = arguments["self"][arguments["index"]]
        return
    rule_for("ATen", step.op)
    if step.op.startswith("sym_") and not step.overload:
        values[step.outputs[0]] = _SCALAR[step.op](*arguments.values())
        return
    try:
        function = getattr(getattr(torch.ops.aten, step.op), step.overload)
        with torch.no_grad():
            out = function(**arguments)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        raise CorruptFileError(f"PyTorch cannot run {step.op} of the program: {_first(error)}") from error
    values |= zip(step.outputs, out if step.unpacked else (out,), strict=False)
