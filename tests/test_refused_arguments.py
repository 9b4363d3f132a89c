"""Verbs on files, outputs and data say what to pass, and ranges may lie beyond float64."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import adapters
import polytope as pt
from tests.networks import seeded

NETWORK = seeded(0, 2, 4, 2)
BOX = pt.Polyhedron.box([-1, -1], [1, 1])


class Hostile(list[int]):
    """A list that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a path for a network": (lambda: pt.stack(NETWORK, "net.onnx"), "two networks.*not a str.*load"),
    "a number for outputs": (lambda: pt.image(COMPLEX, 5), r"outputs: a list of whole.*\[0, 1\], not 5"),
    "a text for outputs": (lambda: pt.image(COMPLEX, ["a"]), "outputs: a list of whole"),
    "a number for a directory": (lambda: pt.load_complex(3), "load_complex: the path of"),
    "a number for a property": (lambda: pt.check_property(NETWORK, 3), "vnnlib: the path of a property.*3"),
    "a property for a list": (lambda: pt.check_properties(NETWORK, 3), "a list of properties"),
    "a number for a box's file": (lambda: pt.read_input_box(3), "vnnlib: the path of a property"),
    "a file for data": (lambda: pt.Data("wine.npz"), r"an array \[n, d\], not 'wine.npz'.*numpy.load"),
    "what cannot be shown": (lambda: pt.count_regions(Hostile([1]), BOX), "not a Hostile"),
}
COMPLEX = pt.enumerate_regions(NETWORK, BOX)


@pytest.mark.parametrize("name", REFUSED)
def test_other_verbs_name_wrong_types_too(name: str) -> None:
    call, said = REFUSED[name]
    with pytest.raises(TypeError, match=said):
        call()


def test_a_nul_in_a_path_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "a\0b.onnx")
    for call in (
        lambda: pt.load(path),
        lambda: pt.load_complex(path),
        lambda: COMPLEX.save(path),
        lambda: adapters.to_onnx(NETWORK, path),
        lambda: pt.enumerate_regions(NETWORK, BOX, directory=path),
    ):
        with pytest.raises(ValueError, match="holds a NUL character"):
            call()


def test_data_that_is_not_finite_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        pt.Data([[0.0, np.nan]])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_range_beyond_float64_is_endless() -> None:
    net = pt.mlp([([[1.0, 0.5], [-1.0, 2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    found = pt.output_range(net, pt.Polyhedron.box([-1e308] * 2, [1e308] * 2))
    assert found.low[0] <= found.least[0]
    assert (found.greatest[0], found.high[0]) == (np.finfo(float).max, np.inf)


def test_ctrl_c_while_modules_load_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join([str(tmp_path), str(Path(pt.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "polytope", "ops"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Interrupted; nothing was written.\n"
