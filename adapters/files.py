"""A path becomes a network: the reader is chosen by the ending, after the file itself was looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.archive import opened
from adapters.lowering.refusals import presentable
from adapters.pieces import Piece
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError
from polytope.ir import Activation, Network
from polytope.ir.paths import as_path

LARGEST_FILE = 2**31
"""Bytes that a model file may have."""


def load(
    path: str | os.PathLike[str],
    *,
    until: str | list[str] | tuple[str, ...] | None = None,
    from_: str | list[str] | tuple[str, ...] | None = None,
    smooth: float | None = None,
    dequantised: bool = False,
    input_shape: Any = None,
    activation: str | Activation | None = None,
    module: Any = None,
) -> Network:
    r"""Turn a saved model into a network :math:`f: R^d \to R^{out}`, and check it against the model.

    Arguments:
        path: ``.onnx``, ``.tflite`` (extra ``tflite``), ``.pt2``, ``.pt`` / ``.pth`` (a state dict or
            TorchScript), ``.safetensors`` (a state dict; extra ``safetensors``) or ``.npz`` (arrays W0, b0,
            W1, b1, ...).
        until: name(s) of tensors at which to stop, or of outputs to keep; ``None`` keeps all outputs.
        from_: name(s) of tensors to begin at: behind an embedding, a normalisation, or whatever is not
            piecewise linear. The network is the piece between them and the outputs.
        smooth: spacing of splines that stand for GELU, SiLU, softplus, Mish, tanh and sigmoid: 0.1, say. The
            network is then near the model only; ``spline_deviation`` proves how near. By default they are
            refused.
        dequantised: read a quantised ONNX or TFLite model as the network of the same weights without
            rounding, which jumps and is refused by default. Ranges are kept. The network says that it is not
            the model.
        input_shape: shape of one input without the batch axis, where the file leaves it open.
        activation: what stands between the layers of a file that holds weights only: "relu", "leaky_relu",
            "hardtanh", ..., or an activation of ``polytope.ir``. Archives of arrays (.npz) default to ReLU.
            A state dict is then taken for a plain chain of linear layers; a warning says what was assumed.
        module: a ``torch.nn.Module`` whose architecture a state dict belongs to: convolutions, branches and
            normalisations need it.

    Returns:
        The network of one sample; ``import_error`` holds the largest difference to the model's own runtime,
        ``None`` where nothing could run it; ``import_note`` says what it was compared with, or why not.

    Raises:
        LoadError: the file's format is not read, or it is broken (``CorruptFileError``), asks for something
            unsafe (``UnsafeFileError``), is not piecewise linear (``NotPiecewiseLinearError``), or uses an
            operator that is not supported (``UnsupportedOpError``).
        ValueError: an option does not fit the file.

    Example:
        >>> import numpy as np, tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "abs.npz"
        >>> np.savez(file, W0=[[1.0], [-1.0]], b0=[0.0, 0.0], W1=[[1.0, 1.0]], b1=[0.0])
        >>> load(file)([[-3.0]])
        array([[3.]])
    """
    file = as_path(path)
    data = contents(file)
    reader = _reader(file)
    with presentable(file.name):
        return reader(
            file, data, Options(until, from_, smooth, dequantised or None, input_shape, activation, module)
        )


def contents(file: Path) -> bytes:
    """The bytes of a regular file of bearable size."""
    try:
        status = file.stat()
    except OSError as error:
        raise CorruptFileError(f"There is no file {str(file)!r} that can be read. Check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise CorruptFileError(
            f"{str(file)!r} is a directory; a model file was expected. Name the file inside it."
        )
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeFileError(f"{str(file)!r} is not a regular file.")
    if status.st_size > LARGEST_FILE:
        raise UnsafeFileError(f"{file.name} has {status.st_size:,} bytes; at most {LARGEST_FILE:,} are read.")
    if status.st_size == 0:
        raise CorruptFileError(f"{file.name} is empty (0 bytes). Download or export it again.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise CorruptFileError(f"{file.name} cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class Options:
    """What the caller says about a file, as in :func:`load`."""

    until: Any = None
    from_: Any = None
    smooth: Any = None
    dequantised: Any = None
    input_shape: Any = None
    activation: Any = None
    module: Any = None

    @property
    def piece(self) -> Piece:
        """The part of the model that is read."""
        return Piece.between(self.from_, self.until, self.smooth, self.dequantised)

    def refuse(self, what: str, *names: str) -> None:
        """Options that a kind of file has no use for are refused rather than ignored."""
        for name in names:
            if getattr(self, name) is not None:
                raise ValueError(f"{name}= has no meaning for {what}.")


def _onnx(file: Path, data: bytes, options: Options) -> Network:
    from adapters.onnx.model import read_onnx

    options.refuse("an ONNX file, which holds its architecture", "activation", "module")
    return read_onnx(file, data, piece=options.piece, input_shape=options.input_shape)


def _tflite(file: Path, data: bytes, options: Options) -> Network:
    from adapters.tflite.model import read_tflite

    options.refuse("a TFLite file, which holds its architecture", "activation", "module")
    return read_tflite(data, piece=options.piece, input_shape=options.input_shape)


def _npz(file: Path, data: bytes, options: Options) -> Network:
    from adapters.arrays import read_npz

    options.refuse("an archive of arrays", "until", "from_", "smooth", "dequantised", "module")
    return read_npz(data, activation=options.activation, input_shape=options.input_shape)


def _pt2(file: Path, data: bytes, options: Options) -> Network:
    from adapters.torch.pt2_file import network_from_pt2

    options.refuse("an exported program, which holds its architecture", "activation", "module", "dequantised")
    return network_from_pt2(data, piece=options.piece, input_shape=options.input_shape)


def _pt(file: Path, data: bytes, options: Options) -> Network:
    if _holds(data, "/code/"):
        from adapters.torch.script import network_from_script

        options.refuse(
            "a TorchScript archive, which holds its architecture", "activation", "module", "dequantised"
        )
        return network_from_script(data, piece=options.piece, input_shape=options.input_shape)
    if _holds(data, "/models/"):
        return _pt2(file, data, options)
    from adapters.torch.state_dict import read_weights

    return _of_weights(read_weights(data), options)


def _safetensors(file: Path, data: bytes, options: Options) -> Network:
    from adapters.torch.safe_tensors import read_safetensors

    return _of_weights(read_safetensors(data, chain=options.module is None), options)


def _of_weights(state: Mapping[str, Any], options: Options) -> Network:
    """The network of a state dict, with the module that it belongs to or as a chain."""
    from adapters.torch.state_dict import network_from_state

    options.refuse("a file of weights, which names no operators", "dequantised")
    if options.module is None:
        options.refuse("a file of weights, which names no values", "until", "from_", "smooth")
        return network_from_state(state, activation=options.activation, input_shape=options.input_shape)
    from adapters.torch.export import network_from_weights

    options.refuse("weights that are read into a module, which says it", "activation")
    return network_from_weights(options.module, state, piece=options.piece, input_shape=options.input_shape)


def _holds(data: bytes, folder: str) -> bool:
    """Whether the bytes are a zip archive with entries under a folder of that name."""
    try:
        with opened(data, "an archive") as archive:
            return any(folder in name for name in archive.namelist())
    except CorruptFileError:
        return False


_READERS: Mapping[str, Callable[..., Network]] = {
    ".onnx": _onnx,
    ".tflite": _tflite,
    ".pt2": _pt2,
    ".pt": _pt,
    ".pth": _pt,
    ".safetensors": _safetensors,
    ".npz": _npz,
}


_KERAS = "model.export('model.onnx', format='onnx') of Keras 3, or tf2onnx, writes the model as ONNX."
_EXPORTS: Mapping[str, str] = dict.fromkeys((".keras", ".h5", ".hdf5"), _KERAS) | {
    ".pb": "tf2onnx writes a saved model of TensorFlow as ONNX.",
    ".jit": "TorchScript is read by the ending .pt.",
}


def _reader(file: Path) -> Callable[..., Network]:
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        kinds = ", ".join(_READERS)
        how = _EXPORTS.get(file.suffix.lower(), "Export the model to ONNX.")
        raise LoadError(f"{file.name}: this format is not read; {kinds} are. {how}")
    return reader
