"""The notebook runs as in a browser, and shows what a reader expects: tables, a picture and the report."""

import html
import os
import re
from typing import Any

import nbformat
import pytest

from tests.examples import EXAMPLES

nbclient = pytest.importorskip("nbclient")

NOTEBOOK = EXAMPLES / "notebooks" / "digits.ipynb"


@pytest.fixture(scope="module")
def cells() -> list[Any]:
    """Its cells of code after a run in a kernel of its own. An error in any of them is an error here."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(NOTEBOOK.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where)
    paths = [str(EXAMPLES.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    client.execute(env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)})  # the code that is tested here
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cells: list[Any], word: str) -> dict[str, Any]:
    """What the one cell with this word in its code shows, by kind: text, pages, pictures, printed words."""
    [cell] = [cell for cell in cells if word in cell.source]
    found: dict[str, Any] = {"printed": ""}
    for output in cell.outputs:
        if output.output_type == "stream":
            assert output.name == "stdout", output.text
            found["printed"] += output.text
        else:
            found |= output.data
    return found


def test_it_is_stored_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_networks_and_regions_show_tables(cells: list[Any]) -> None:
    network, regions = shown(cells, "pt.load("), shown(cells, "pt.enumerate_regions(")
    assert "<table" in network["text/html"]
    assert network["text/plain"].startswith("Network(")
    assert "\n" not in network["text/plain"]
    assert "<svg" in regions["text/html"]
    assert regions["text/plain"].startswith("RegionComplex(")


def test_what_is_printed_agrees(cells: list[Any]) -> None:
    """The picture's caption, the counts and the region are of one complex, and accuracy is the record's."""
    assert "96.1% of 360" in shown(cells, "np.load(")["printed"]
    counts = shown(cells, "regions.complete)")["printed"]
    found = re.match(r"(\d+) regions, all of them: True", counts)
    assert found
    assert f"{found[1]} regions" in shown(cells, "pt.enumerate_regions(")["text/plain"]
    error = shown(cells, "region.affine")["printed"].split()[-1]
    assert float(error) < 1e-9  # rounding of two orders of summation
    assert "(" in shown(cells, "robustness_radius")["text/plain"]


def test_a_picture_is_drawn(cells: list[Any]) -> None:
    assert len(shown(cells, "regions.plot(")["image/png"]) > 5000


def test_the_report_is_a_frame_of_its_own(cells: list[Any]) -> None:
    frame = shown(cells, "pt.audit(")["text/html"]
    assert frame.startswith("<iframe srcdoc=")
    page = html.unescape(frame)
    assert "20 data points" in page
    assert shown(cells, "pt.audit(")["text/plain"].startswith("Audit(")
