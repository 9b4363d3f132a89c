"""How tests run the command line."""

import json
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from polytope.__main__ import app

ROOT = Path(__file__).parents[1]


MODEL = ROOT / "examples" / "models" / "digits_mlp.onnx"


DIGITS = ROOT / "examples" / "data" / "digits_test.npz"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def polytope(*arguments: object) -> Done:
    """Run a command in this process."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(a) for a in arguments], prog_name="polytope")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def answer(*arguments: object, code: int = 0) -> dict[str, object]:
    done = polytope(*arguments, "--json")
    assert done.returncode == code, done.stderr
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value
