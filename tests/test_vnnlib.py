"""The input box of a VNN-LIB property: what is read, what is only enclosed, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from polytope.properties.vnnlib import read_input_box

DECLARED = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)\n"
PROPERTIES = Path(__file__).parents[2] / "shared" / "models" / "vnnlib"

EXACT = [
    (
        "(assert (<= X_0 1))(assert (>= X_0 -1))(assert (<= X_1 2.5e-1))(assert (>= X_1 (- 3)))",
        [[-1, 1], [-3, 0.25]],
    ),
    ("(assert (and (<= X_0 1) (<= -1 X_0) (= X_1 4)))(assert (<= Y_0 0))", [[-1, 1], [4, 4]]),
    ("(assert (>= 1 X_0))(assert (> X_0 0)); (assert (<= X_0 0))\n(assert (= 2 X_1))", [[0, 1], [2, 2]]),
    (
        "(assert (or (and (>= X_0 0) (<= X_0 1) (<= Y_0 1)) (and (>= X_0 0) (<= X_0 1) (>= Y_0 2))))"
        "(assert (= X_1 0))",
        [[0, 1], [0, 0]],
    ),
]
ENCLOSED = [
    (
        "(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 3) (<= X_0 4))))(assert (= X_1 0))",
        [[0, 4], [0, 0]],
    ),
    ("(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (<= X_0 X_1)))", [[0, 1], [0, 1]]),
]
REFUSED = [
    ("hello", "no file 'hello'"),
    ("hello (assert)", "not a VNN-LIB property"),
    ("", "declares no inputs"),
    ("(declare-const X_1 Real)", "without gaps"),
    (DECLARED + "(assert (<= X_0 1", "never closed"),
    (DECLARED + "(assert (<= X_0 1)))", "never opened"),
    ("(" * 50 + ")" * 50, "deeper"),
    (DECLARED + "(assert (<= X_0 1))", "no lower bound"),
    (DECLARED + "(assert (>= X_0 1))", "no upper bound"),
    (DECLARED + "(assert (>= X_0 nan))(assert (<= X_0 inf))", "no lower bound"),
    (DECLARED + "(assert (>= X_0 1))(assert (<= X_0 0))", "contradict"),
    (DECLARED + "(assert (__import__ os system))", "unknown form"),
    (DECLARED + "(assert (= X_0 0) (= X_1 0))", "exactly one condition"),
    (DECLARED + "(assert (= X_0 0))(assert (= X_1 0))(assert (= X_2 0))", "does not declare"),
]


@pytest.mark.parametrize(("text", "box"), EXACT + ENCLOSED)
def test_box(text: str, box: list[list[float]]) -> None:
    found = read_input_box(DECLARED + text)
    np.testing.assert_array_equal(np.stack([found.low, found.high], axis=1), box)
    assert found.exact == ((text, box) in EXACT)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_input_box(text)


@pytest.mark.skipif(not PROPERTIES.is_dir(), reason="the collection of properties is not beside the checkout")
def test_properties_of_published_benchmarks_have_boxes() -> None:
    boxes = {path.stem: read_input_box(path.read_text()) for path in PROPERTIES.glob("*.vnnlib")}
    assert len(boxes) > 15
    assert all((box.low <= box.high).all() for box in boxes.values())
    box = boxes["acasxu_prop_3"]
    np.testing.assert_array_equal(box.low, [-0.303531156, -0.009549297, 0.493380324, 0.3, 0.3])
    assert box.exact
    assert len(boxes["mnistfc_prop_0_0.03"].low) == 784
    assert not boxes["lindex_200"].exact
