"""VNN-LIB 2.0: the same cases as version 1.0, files and texts, result files, and what is refused."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

import polytope as pt
from polytope.properties.vnnlib_property import Property
from tests.networks import SHARED, integer, needs_shared

FIRST = """; 2 inputs, 2 outputs
(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (and (<= X_0 1) (>= X_0 -1.5))) (assert (<= X_1 1)) (assert (>= X_1 0))
(assert (or (and (>= Y_0 Y_1) (>= (+ Y_0 X_1) 0.5)) (< Y_1 (* 2 X_0))))"""
SECOND = """(vnnlib-version <2.0>) ; the same
(declare-network my_net
    (declare-input image float32 [1, 2])
    (declare-output Y real [2, 1]))
(assert (and (<= image[0,0] 1.0) (>= image[0, 0] -1.5)))
(assert (<= image [0,1] 1)) (assert (>= image[0,1] 0.0))
(assert (or (and (>= Y[0,0] Y[1,0]) (>= (+ Y[0,0] image[0,1]) 0.5)) (< Y[1,0] (* 2 image[0,0]))))"""
HEAD = "(vnnlib-version <2.0>)(declare-network f (declare-input X real [2]) (declare-output Y real []))"
BOX = "(assert (and (<= X[0] 1) (>= X[0] -1) (<= X[1] 1) (>= X[1] -1)))"
ABSOLUTE = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])


def assert_same(a: Property, b: Property) -> None:
    assert (a.n_inputs, a.n_outputs, len(a.cases)) == (b.n_inputs, b.n_outputs, len(b.cases))
    for one, other in zip(a.cases, b.cases, strict=True):
        for name in ("low", "high", "A", "b", "C", "e", "strict"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def as_second(text: str, d: int, out: int) -> str:
    """A property of version 1.0 rewritten word by word."""
    lines = [line.partition(";")[0] for line in text.splitlines() if "declare-" not in line]
    body = "\n".join(lines).replace("(= ", "(== ")
    for letter, n in (("X", d), ("Y", out)):
        for i in reversed(range(n)):
            body = body.replace(f"{letter}_{i} ", f"{letter}[{i}] ").replace(
                f"{letter}_{i})", f"{letter}[{i}])"
            )
    inputs, outputs = f"(declare-input X float32 [{d}])", f"(declare-output Y float32 [{out}])"
    return f"(vnnlib-version <2.0>) (declare-network f {inputs} {outputs})\n{body}"


def test_both_versions_say_the_same() -> None:
    first, second = pt.read_property(FIRST), pt.read_property(SECOND)
    assert_same(first, second)
    assert not first.inputs
    assert [(t.name, t.kind, t.shape) for t in (*second.inputs, *second.outputs)] == [
        ("image", "float32", (1, 2)),
        ("Y", "real", (2, 1)),
    ]
    boxes = [pt.read_input_box(text) for text in (FIRST, SECOND)]
    np.testing.assert_array_equal(boxes[0].low, boxes[1].low)
    np.testing.assert_array_equal(boxes[0].high, [1, 1])
    network = integer(0, 2, 4, 2)
    found = pt.check_properties(network, [FIRST, SECOND, first])
    assert len({one.status for one in found}) == 1


@needs_shared
def test_published_properties_read_the_same_in_version_2() -> None:
    read = 0
    for file in sorted((SHARED / "models" / "vnnlib").glob("*.vnnlib")):
        if file.stat().st_size > 500_000:
            continue
        first = pt.read_property(file)
        assert_same(first, pt.read_property(as_second(file.read_text(), first.n_inputs, first.n_outputs)))
        read += 1
    assert read > 15


def test_inputs_and_outputs_follow_each_other_in_the_order_declared() -> None:
    text = """(vnnlib-version <2.1>)
    (declare-network f (declare-input a float32 [2]) (declare-input b Real []) (declare-output p float64 [1])
        (declare-output q float16 [2, 2]))
    (assert (and (<= a[0] 1) (>= a[0] 0) (== a[1] 0.5) (<= b 3) (>= b 2)))
    (assert (<= (- q[1,0] p[0] b) 7))"""
    (case,) = pt.read_property(text).cases
    assert (case.low.tolist(), case.high.tolist()) == ([0, 0.5, 2], [1, 0.5, 3])
    np.testing.assert_array_equal(case.C, [[0, 0, -1, -1, 0, 0, 1, 0]])


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("(!= Y_0 0)", "violated"),
        ("(and (!= Y_0 X_0) (>= X_0 0))", "holds"),  # |x| = x there
        ("(and (!= Y_0 X_0) (<= X_0 0))", "violated"),
        ("(== Y_0 (* 0.5 2 Y_0))", "violated"),
        ("(< (* 3 0.5 Y_0 2) 0)", "holds"),
        ("(>= (* -1 (- X_0)) (+ Y_0 0.25))", "holds"),
    ],
)
def test_comparisons_and_products_of_many(condition: str, status: str) -> None:
    first = "(declare-const X_0 Real)(declare-const Y_0 Real)\n(assert (<= X_0 1))(assert (>= X_0 -1))"
    text = f"{first}(assert {condition})"
    assert pt.check_property(ABSOLUTE, text).status == status
    assert pt.check_property(ABSOLUTE, as_second(text, 1, 1)).status == status


def test_a_property_may_be_a_file_of_either_kind_of_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, packed = tmp_path / "p.vnnlib", tmp_path / "p.vnnlib.gz"
    plain.write_text(SECOND)
    packed.write_bytes(gzip.compress(SECOND.encode()))
    whole = pt.read_property(SECOND)
    for path in (plain, str(plain), packed, str(packed)):
        assert_same(whole, pt.read_property(path))
        assert pt.read_input_box(path).low.tolist() == [-1.5, 0]
    monkeypatch.chdir(tmp_path)
    network = integer(0, 2, 4, 2)
    here = [pt.check_property(network, p).status for p in ("p.vnnlib", Path("p.vnnlib"), SECOND)]
    assert len(set(here)) == 1
    for missing in ("prop_7.vnnlib", Path("prop_7.vnnlib"), "no where"):
        with pytest.raises(ValueError, match=r"There is no file '.*Check the path"):
            pt.check_property(network, missing)
    (tmp_path / "bad.vnnlib.gz").write_bytes(packed.read_bytes()[:30])
    (tmp_path / "text.gz").write_text("(assert)")
    (tmp_path / "binary.vnnlib").write_bytes(b"\xff\xfe\x00(")
    for broken in ("bad.vnnlib.gz", "text.gz", "binary.vnnlib"):
        with pytest.raises(ValueError, match=f"{broken} is not a text file"):
            pt.read_property(broken)
    with pytest.raises(ValueError, match="is a directory"):
        pt.read_property(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(vnnlib-version <3.0>)" + HEAD[22:] + BOX, r"written in VNN-LIB '<3\.0>'"),
        ("(vnnlib-version 2)" + HEAD[22:] + BOX, "written in VNN-LIB '2'"),
        ("(vnnlib-version <2.0>)" + BOX, "about 0 networks"),
        (HEAD + HEAD[22:].replace("f", "g", 1) + BOX, "about 2 networks .*two agree.*polytope compare"),
        (HEAD + BOX + "(assert (>= Z[0] 1))", r"names 'Z\[0\]', which it does not declare"),
        (HEAD + BOX + "(assert (>= X_0 1))", "names 'X_0', which it does not declare"),
        (HEAD + BOX + "(assert (>= X[2] 1))", r"names 'X\[2\]', but X has the shape \[2\]"),
        (HEAD + BOX + "(assert (>= X[0,0] 1))", r"X has the shape \[2\]"),
        (HEAD + BOX + "(assert (>= X 1))", r"X has the shape \[2\]"),
        (HEAD + BOX + "(assert (>= Y[0] 1))", r"Y has the shape \[\]"),
        (HEAD + BOX + "(assert (>= (* X[0] Y) 1))", "not linear"),
        (HEAD + BOX + "(assert (<= Y inf))", "names 'inf', which it does not declare"),
        (HEAD + BOX + "(assert (<= Y 1e999))", "'1e999', which is no number that float64 can hold"),
        (HEAD + "(assert (<= X[0] 1e999))", "no number that float64 can hold"),
        (HEAD + BOX + "(assert (>= 1 2) (>= 2 1))", "exactly one condition"),
        (HEAD + BOX + "(check-sat 1)", "statement of an unknown form"),
        (HEAD + "(assert (<= X[0] 1)) (assert (>= X[0] 0)) (assert (= X[1] 0)", "never closed"),
        (HEAD + "(assert (and (<= X[0] 1) (>= X[0] 0) (<= X[1] 1)))", r"leaves input X\[1\] without a bound"),
        (HEAD.replace("real [2]", "int8 [2]") + BOX, "'X' of the type 'int8'; only numbers with fractions"),
        (HEAD.replace("real [2]", "real 2") + BOX, "must hold a name, a type and a shape"),
        (HEAD.replace("real [2]", "real [2,-1]") + BOX, "must hold a name, a type and a shape"),
        (HEAD.replace("real [2]", "real [0]") + BOX, "without values"),
        (HEAD.replace("real [2]", "real [999999999,9]") + BOX, "declares 8,999,999,992 values"),
        (HEAD.replace("real [2])", "real [2] initialized)") + BOX, "lets the model set the input 'X'"),
        (HEAD.replace("(declare-output Y real [])", "") + BOX, "must declare inputs and outputs"),
        (HEAD.replace("output Y", "output X") + BOX, "declares 'X' twice"),
        (
            HEAD.replace("(declare-output", '(declare-hidden H real [4] "h;(")(declare-output') + BOX,
            "hidden values",
        ),
        (HEAD.replace("(declare-output", "(equal-to g)(declare-output") + BOX, "unknown part"),
    ],
)
def test_what_version_2_says_and_we_do_not_read_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pt.read_property(text)


def test_an_empty_domain_holds_and_no_time_is_refused() -> None:
    first = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 2))"
    found = pt.check_property(ABSOLUTE, first)
    assert (found.status, found.witness) == ("holds", None)
    for seconds in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match="max_seconds must be positive"):
            pt.check_property(ABSOLUTE, first, max_seconds=seconds)
    with pytest.raises(ValueError, match="declares 2 inputs, the network has 1"):
        pt.check_properties(ABSOLUTE, [first, SECOND])


def test_messages_about_one_of_several_files_name_it(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.vnnlib", tmp_path / "bad.vnnlib"
    good.write_text(FIRST)
    bad.write_text(FIRST.replace("Y_1", "Z_1"))
    with pytest.raises(ValueError, match=r"^bad\.vnnlib: The property names 'Z_1'"):
        pt.check_properties(integer(0, 2, 4, 2), [good, bad])


def test_results_as_the_competition_wants_them() -> None:
    stated = pt.read_property(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (= X_0 -0.1))(assert (>= Y_0 0))"
    )
    found = pt.check_property(ABSOLUTE, stated)
    assert pt.competition_result(found, stated) == "sat\n((X_0 -0.1)\n(Y_0 0.1))\n"
    text = """(vnnlib-version <2.0>)
        (declare-network f (declare-input a float32 [1, 1]) (declare-output b Real []))
        (assert (== a[0,0] -0.1)) (assert (>= b {}))"""
    second = [pt.read_property(text.format(y)) for y in (0, 1)]
    violated, holds = pt.check_properties(ABSOLUTE, second)
    assert pt.competition_result(violated, second[0]) == "sat\na float32 [1,1]\n-0.1\nb Real []\n0.1\n"
    assert pt.competition_result(holds, second[1]) == "unsat\n"
    late = pt.PropertyCheck("undecided", None, None, None, 0, None, 2.0)
    assert pt.competition_result(late, stated, max_seconds=1.0) == "timeout\n"
    assert pt.competition_result(late, stated) == "unknown\n"
