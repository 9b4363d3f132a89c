"""The command line: refusals in sentences and exit codes, weights with modules, defects of ours."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from typer.testing import CliRunner

import polytope as pt
from polytope.__main__ import app
from polytope.errors import is_deliberate
from tests.command_line import DIGITS, MODEL, ROOT, answer, polytope


def broken_model(folder: Path, name: str) -> Path:
    """Files that must be refused."""
    path = folder / name
    if name == "text.onnx":
        path.write_text("not a model\n")
    elif name == "truncated.onnx":
        path.write_bytes(MODEL.read_bytes()[:5000])
    elif name == "folder.onnx":
        path.mkdir()
    elif name in ("sigmoid.onnx", "nan.onnx"):
        weight = np.full((3, 2), np.nan if name == "nan.onnx" else 1.0, dtype=np.float32)
        kind = "Relu" if name == "nan.onnx" else "Sigmoid"
        nodes = [
            helper.make_node("Gemm", ["x", "W"], ["z"], transB=1),
            helper.make_node(kind, ["z"], ["h"]),
            helper.make_node("Gemm", ["h", "V"], ["y"], transB=1),
        ]
        weights = [
            numpy_helper.from_array(weight, "W"),
            numpy_helper.from_array(np.ones((1, 3), np.float32), "V"),
        ]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
        graph = helper.make_graph(nodes, "g", [x], [y], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


REFUSED = {
    "missing.onnx": "no file",
    "folder.onnx": "directory",
    "text.onnx": "not an ONNX file",
    "truncated.onnx": "truncated",
    "sigmoid.onnx": "Sigmoid",
    "nan.onnx": "nan",
}


WRONG = [
    (["--box", "1", "0"], "above"),
    (["--box", "0,0", "1,1"], "2 numbers"),
    (["--box", "zero", "1"], "'zero'"),
    (["--box", "nan", "1"], "finite"),
    (["--box", "-1", "--out", "x"], "two ends are expected, LO HI"),
    (["--box", "0", "0"], "single point"),
    (["--box", "0", "1", "--domain", "x.json"], "one domain"),
    (["--domain", "missing.json"], "no file"),
    (["--domain", DIGITS], "not a text file"),
    (["--vnnlib", MODEL], "not a text file"),
    (["--vnnlib", ROOT / "Makefile"], "not a VNN-LIB"),
    (["--window", MODEL], "not an .npz"),
    (["--window", DIGITS], "64 numbers"),
    (["--max-seconds", "-1"], "positive"),
    (["--max-regions", "many"], "max-regions"),
    (["--input-shape", "a"], "whole numbers"),
    (["--engine", "magic"], "magic"),
    (["--colour"], "--colour"),
]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with the state dicts of a chain and of a convolutional network, and the latter's code."""
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.save(chain.state_dict(), tmp_path / "chain.pth")
    code = (
        "from torch import nn\n\n\ndef network():\n    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), "
        "nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 1))\n"
    )
    (tmp_path / "code.py").write_text(code)
    space: dict[str, Any] = {}
    exec(code, space)
    torch.save(space["network"]().state_dict(), tmp_path / "cnn.pth")
    return tmp_path


REFUSED_OPTIONS = {
    "no activation": (("chain.pth",), 3, "--activation relu"),
    "convolution": (("cnn.pth", "--activation", "relu"), 3, "--module FILE.py:NAME --input-shape SIZES"),
    "no such activation": (("chain.pth", "--activation", "rellu"), 2, "Known: relu, "),
    "a cut of weights": (("chain.pth", "--activation", "relu", "--until", "0"), 2, "--until has no meaning"),
    "another size": (
        ("chain.pth", "--activation", "relu", "--input-shape", "3"),
        2,
        "--input-shape (3,) does not",
    ),
    "no numbers": (("chain.pth", "--input-shape", "a,b"), 2, "--input-shape a,b must be"),
    "two shapes": (
        ("chain.pth", "--activation", "relu", *2 * ("--input-shape", "2")),
        2,
        "--input-shape gives 2",
    ),
    "an architecture": ((MODEL, "--activation", "relu"), 2, "--activation has no meaning for an ONNX file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_is_one_sentence_and_code_3(name: str, tmp_path: Path) -> None:
    done = polytope("count", broken_model(tmp_path, name))
    assert done.returncode == 3
    assert done.stdout == ""
    assert REFUSED[name] in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("options", "reason"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_usage_is_code_2(options: list[object], reason: str, tent: Path) -> None:
    done = polytope("count", tent, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_chain_of_weights_is_read_with_its_activation_and_says_what_was_assumed(weights: Path) -> None:
    arguments = ("count", weights / "chain.pth", "--box", "-1", "1", "--activation", "relu")
    facts = answer(*arguments)
    assert facts["import_error"] is None
    assert str(facts["import_note"]).startswith("not computed: The file holds weights only")
    assert "Note: The file holds weights only" in polytope(*arguments).stderr
    done = polytope("audit", *arguments[1:], "--out", weights / "audit")
    assert "its conversion was not checked" in done.stdout
    assert "assumed: the linear layers '0', '2' in this order" in done.stdout
    report = json.loads((weights / "audit" / "report.json").read_text())
    assert report["conversion"]["when_loaded"]["label"] == "not computed"
    assert "relu between all of them" in (weights / "audit" / "report.html").read_text()


def test_weights_are_read_into_a_module_of_the_users_own_code(weights: Path) -> None:
    arguments = ("count", weights / "cnn.pth", "--box", "-1", "1", "--input-shape", "1,2,2")
    facts = answer(*arguments, "--module", f"{weights / 'code.py'}:network")
    assert facts["import_error"] < 1e-6
    assert facts["import_note"] == "compared with the module in PyTorch"
    for name in ("code.py:other", "absent.py:network", "no.such.package:network", "code.py"):
        done = polytope(*arguments, "--module", f"{weights / name}")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("--module ")


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS)
def test_refusals_name_options_of_the_command_line(
    weights: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    model, *options = arguments
    done = polytope("count", weights / model, *options, "--box", "-1", "1")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "load(" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cut_that_a_refusal_names_can_be_pasted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a (1), 'b'"]),
        helper.make_node("Sigmoid", ["a (1), 'b'"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), ir_version=8)
    onnx.save(model, tmp_path / "smooth.onnx")
    refused = polytope("count", tmp_path / "smooth.onnx", "--box", "-1", "1")
    option = re.search(r"last node: (--until .+) stops before it", refused.stderr)
    assert option, refused.stderr
    arguments = shlex.split(option[1])
    assert polytope("count", tmp_path / "smooth.onnx", "--box", "-1", "1", *arguments).returncode == 0


def test_defects_are_reported_as_ours(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that nobody raised on purpose end with a traceback, what to do with it, and code 70."""
    arguments = ["count", str(weights / "chain.pth"), "--activation", "relu", "--box", "-1", "1"]
    for broken in (lambda *_, **__: None + 1, lambda *_, **__: int("many"), lambda *_, **__: [][0]):
        monkeypatch.setattr("polytope.cli.count.count_regions", broken)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 70
        assert done.stderr.rstrip().endswith("the model file.")
        assert "Traceback" in done.stderr


def test_what_is_raised_on_purpose_is_told_from_what_is_not() -> None:
    for call, deliberate in (
        (lambda: pt.Polyhedron.box([1.0], [0.0, 1.0]), True),
        (lambda: pt.hoffman_constant(np.zeros((2, 2, 2))), True),
        (lambda: pt.Polyhedron.box(None, "a"), False),
        (lambda: int("many"), False),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert is_deliberate(caught.value) is deliberate


def test_help_names_what_options_take_and_not_types_of_python() -> None:
    for command in ("audit", "count", "plot", "regions", "complexity", "compare"):
        shown = polytope(command, "--help").stdout
        assert "list[" not in shown
        assert "--until" not in shown or "TENSOR" in shown
