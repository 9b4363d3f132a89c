"""What a table takes for a number, what its columns say up to rounding, and rows where no region is."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope import discovery
from polytope.discovery.rounding import near
from polytope.discovery.shares import by_seed, percent, score
from polytope.discovery.studies import Scores
from polytope.discovery.training import Settings
from polytope.discovery.visited import Visited
from polytope.errors import EmptyDomainError
from polytope.labelled import Bound, Exact, Missing

LONGER = pytest.mark.skipif(np.finfo(np.longdouble).nmant == 52, reason="no longer numbers here")
ROWS = [[1, 2], [1, 3], [3, 4], [5, 9]]


def integers(n: int = 30) -> np.ndarray:
    """Two columns without a relation."""
    return np.random.default_rng(0).integers(-9, 10, (n, 2))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[2**53 + 1, 0.5], *ROWS], r"X\[0, 0\] is an integer that reaches 2\^53"),
        (np.array([[2**63 + 1, 1], *ROWS], dtype=np.uint64), r"an integer in X reaches 2\^53"),
        ([[10**400, 1], *ROWS], r"X\[0, 0\] is an integer that reaches|beyond the range of float64"),
        ([[1, Fraction(1, 3)], *ROWS], r"X\[0, 1\] is 1/3, which is no float64 number"),
        ([[Decimal("0.1"), 1], *ROWS], r"X\[0, 0\] is 0.1, which is no float64 number"),
        pytest.param([[np.longdouble(1) / 3, 1], *ROWS], r"X\[0, 0\] is 0.33.*no float64", marks=LONGER),
        pytest.param(np.array(ROWS, dtype=np.longdouble) / 3, "numbers of .* no float64", marks=LONGER),
        ([["1", 2], *ROWS], r"X\[0, 0\] is not a real number but '1'"),
        ([[1j, 2], *ROWS], r"X\[0, 0\] is not a real number but a complex"),
        ([[1], *ROWS], r"X\[0\] is not a number but \[1\]"),
        ([[None, 2], *ROWS], r"X\[0, 0\] is missing"),
        (np.ma.masked_equal([[7, 2], *ROWS], 7), "masked"),
        (np.zeros((5, 0)), "one column at least"),
        (np.array([[1, 2], *ROWS]) * 1e200, "a has numbers of size 5e"),
        (np.array([[1, 2], *ROWS]) * 5e-324, "squares are beyond float64"),
    ],
)
def test_what_float64_does_not_hold_is_refused(X: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        discovery.Table(
            X, [1, 2, 3, 4, 6][: len(X)], ["a", "b"][: np.shape(X)[1] if isinstance(X, np.ndarray) else 2]
        )


def test_numbers_of_any_kind_are_read_as_they_are() -> None:
    X = [[True, Fraction(1, 4)], [np.int8(2), Decimal("0.5")], [3, np.float32(0.1)], [2.0**60, -0.0]]
    found = discovery.Table(X, [1, 2, 3, 5], ["a", "b"]).X
    assert found.tolist() == [[1.0, 0.25], [2.0, 0.5], [3.0, float(np.float32(0.1))], [2.0**60, 0.0]]
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 2  # what the rank report was computed of


@pytest.mark.parametrize("names", [None, 5, "ab"])
def test_names_are_a_list(names: Any) -> None:
    with pytest.raises(TypeError, match="names of 2 columns are expected in a list"):
        discovery.Table(ROWS, [1, 2, 3, 5], names)
    with pytest.raises(TypeError, match="Names of columns are expected"):
        discovery.Table(ROWS, [1, 2, 3, 5], ["a", "b"]).only(names)


def test_columns_that_others_say_up_to_rounding_are_named() -> None:
    a, b = integers().T
    y = a**2 + b
    rank = discovery.Table(np.column_stack([a, a / 3, b, 0.1 * a - 0.7 * b]), y, list("abcd")).rank
    assert (rank.value, rank.full) == (5, False)
    assert rank.rounded == ("b = 0.333333 a", "d = 0.1 a - 0.7 c")
    assert "d = 0.1 a - 0.7 c, on all rows up to the rounding of float64" in str(rank)
    exact = discovery.Table(np.column_stack([a / 2, a / 4]), y, ["a", "b"]).rank
    assert ([str(r) for r in exact.relations], exact.rounded) == (["a - 2 b = 0"], ())
    noisy = 0.3 + np.spacing(0.3) * np.where(a > 0, 1.0, 0.0)
    still = discovery.Table(np.column_stack([a, noisy]), y, ["a", "b"]).rank
    assert (still.rounded, still.copies) == (("b = 0.3",), ())  # though a multiple of 1e16 fits y
    off = a / 3 * (1 + 1e-13 * (b > 0))
    assert discovery.Table(np.column_stack([a, off]), y, ["a", "b"]).rank.full


def test_a_copy_of_the_target_is_a_leak_and_a_law_of_several_columns_is_none() -> None:
    a, b = integers().T
    X = np.column_stack([a, b / 7])
    for y, said in ((0.1 * a + 0.7, "y = 0.1 a + 0.7"), (np.degrees(b / 7), "y = 57.2958 b")):
        table = discovery.Table(X, y, ["a", "b"])
        assert (table.rank.copies, table.rank.leaks, table.rank.full) == ((said,), (), False)
        with pytest.raises(
            ValueError, match=re.escape(f"the target is among the columns: {said}, up to the rounding")
        ):
            discovery.hypothesis(table)
    assert discovery.Table(X, 1 + a * np.spacing(1.0), ["a", "b"]).rank.copies == ()  # of rounding alone
    law = discovery.Table(integers(), 3 * a - 2 * b + 1, ["a", "b"]).rank
    assert (str(law.law), law.full) == ("y = 3 a - 2 b + 1", True)
    assert "an affine law of the target: y = 3 a - 2 b + 1, on all rows" in str(law)
    half = discovery.Table(X, a - b / 2 + 3, ["a", "b"]).rank.law
    assert half is None  # of sevenths that float64 rounds
    pick = discovery.Table(integers(), a + b / 2 - 1, ["a", "b"])
    assert str(pick.rank.law) == "y = a + 1/2 b - 1"
    assert not discovery.check(pick.rank.law, pick).refuted
    assert discovery.Table(X, np.exp(a), ["a", "b"]).rank.full  # monotone, and to be found
    few = discovery.Table([[1, 5], [2, 7], [4, 4], [1, 5]], [1, 4, 9, 1], ["a", "b"]).rank
    assert few.law is None  # three different rows have an affine law whatever the target


def test_a_law_is_about_its_target_and_in_whole_numbers() -> None:
    table = discovery.Table(integers() * 2.0**40, integers()[:, 0] * 2.0**42, ["a", "b"])
    law = discovery.affine_law({"a": np.int64(4), "b": Fraction(0)})  # type: ignore[dict-item]
    assert not discovery.check(law, table).refuted
    big = {"a": np.int64(2**62), "b": Fraction(1, 3)}
    assert str(discovery.affine_law(big)) == f"y = {2**62} a + 1/3 b"  # type: ignore[arg-type]
    assert discovery.check(discovery.affine_law(big), table).holds == int((integers() == 0).all(axis=1).sum())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the law is about F, and the target of the table is y"):
        discovery.check(discovery.affine_law({"a": 1}, target="F"), table)
    for law, other in ((None, table), (discovery.affine_law({"a": 1}), integers())):
        with pytest.raises(TypeError, match="a Law and a Table are expected"):
            discovery.check(law, other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slopes", "constants", "groups", "message"),
    [
        (((0.5,),), (0,), ((0,),), "integers or fractions"),
        (((1, 2),), (0,), ((0,),), "a slope for each column"),
        (((1,),), (), ((0,),), "a constant"),
        (((1,),), (0,), (), "there is a group"),
        (((1,),), (0,), ((0,), ()), "each holds a piece"),
        (((1,),), (0,), ((1,),), "numbers of pieces"),
    ],
)
def test_laws_that_are_none_are_refused(slopes: Any, constants: Any, groups: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        discovery.Law(("a",), "y", slopes, constants, groups)


def test_rounding_says_to_which_numbers() -> None:
    X = integers()
    found = discovery.check(
        discovery.affine_law({"a": 4}, 1), discovery.Table(X, 4 * X[:, 0] + 1, ["a", "b"]), rounded=True
    )
    assert (found.step, found.rest, found.refuted) == (4, 1, False)
    assert str(found).startswith("y = 4 a + 1, rounded to multiples of 4 plus 1, holds on all 30 rows")
    n = np.arange(1, 40)
    floor = discovery.Table(n[:, None], n // 3, ["n"])
    third = discovery.affine_law({"n": Fraction(1, 3)}, Fraction(-1, 3))
    assert str(floor.rank).startswith("Rank 2 of 2 (1 column and a constant), on 39 rows.")
    assert str(discovery.check(third, floor, rounded=True)).startswith(
        "y = 1/3 n - 1/3, rounded to integers, holds on all 39 rows"
    )
    assert discovery.check(third, floor).holds == 13


def study_of(network: pt.Network, X: np.ndarray, y: np.ndarray, domain: Any = None) -> discovery.Study:
    """Two equal networks, of which it is said that they predict."""
    ones, held = np.ones(2) - [0.0, 1e-3], np.arange(10)
    scores = Scores(ones, ones, 0 * ones, None)
    table = discovery.Table(X, y, ["a", "b"], domain)
    return discovery.Study(table, (network, network), (held, held), scores, Settings(), 0.2)


def test_rows_on_breakpoints_count_for_no_law() -> None:
    """``|a|`` where a is 0 has the pattern of two units that are off, on no set with interior."""
    network = pt.mlp([([[1, 0], [-1, 0]], [0, 0]), ([[1, 1]], [0])])
    X = np.column_stack([np.repeat([0.0, 2.0, -3.0], [20, 15, 5]), np.linspace(-1, 1, 40) ** 3])
    visited = Visited.of(network, X, pt.Polyhedron.box([-4, -1], [4, 1]))
    assert sorted(visited.maps[k][0] for k in visited.solids) == [-1, 1]
    assert len(visited.patterns) == 3
    study = study_of(network, X, np.abs(X[:, 0]), [[-4, 4], [-1, 1]])
    pieces = {str(c.law): c.shares.tolist() for c in discovery.pieces(study, max_seconds=0).candidates}
    assert pieces == {"y = a": [0.375, 0.375], "y = -a": [0.125, 0.125]}
    flat = study_of(network, X * [0, 1], np.arange(40.0), [[-4, 4], [-1, 1]])
    (one,) = discovery.formula(flat, max_seconds=0).candidates
    assert (str(one.law), one.source, one.shares.tolist()) == ("y = 0", "least squares", [0.0, 0.0])
    with pytest.raises(EmptyDomainError, match="these columns are constant: a"):
        discovery.formula(study_of(network, X * [0, 1], np.arange(40.0)), max_seconds=0)


def test_slopes_beyond_float64_round_to_no_law() -> None:
    steep = pt.mlp([([[1e200, 0]], [0]), ([[1e200]], [0])])
    X = np.column_stack([np.linspace(-1, -0.5, 40), np.linspace(-1, 1, 40) ** 3])
    X[:4, 0] *= -1
    study = study_of(steep, X, np.arange(40.0))
    with np.errstate(all="ignore"):
        (piece,) = discovery.pieces(study, max_seconds=0).candidates
        assert (str(piece.law), piece.shares.tolist()) == ("y = 0", [0.9, 0.9])
        assert discovery.formula(study, max_seconds=0).candidates == ()


def test_a_thin_region_between_rows_is_one() -> None:
    """The row (0, 0) lies on the breakpoint, and off is what the unit is on the left too."""
    network = pt.mlp([([[1, 0]], [0]), ([[1]], [0])])
    visited = Visited.of(network, np.array([[0.0, 0.0], [1.0, 1.0]]), pt.Polyhedron.box([-1, -1], [1, 1]))
    assert visited.solid.tolist() == [True, True]


def test_what_is_not_all_does_not_read_as_all() -> None:
    assert [percent(v) for v in (0.99999, 1.0, 0.994, 0.0, 1e-4)] == ["99.999%", "100%", "99%", "0%", "0.01%"]
    assert [score(v) for v in (1 - 1e-9, 1.0, 0.5)] == ["0.999999999", "1.00000", "0.50000"]
    assert score(np.nextafter(1, 0)).startswith("0.999999999999999")
    mixed = [Exact(0.5), Missing("no region"), Bound(1.0, 2.0)]
    assert by_seed(mixed) == "0.5, not computed, 1 to 2 (exact or bound)"
    assert near(2.0**53, 1, 0.1) is near(float("nan"), 1, 0.1) is None


@pytest.mark.parametrize(
    "given",
    [
        {"seeds": 2.5},
        {"seeds": "3"},
        {"hidden": 5},
        {"hidden": "16"},
        {"hidden": (2.5,)},
        {"steps": 1.5},
        {"steps": None},
        {"batch": 1.5},
        {"learning_rate": "a"},
        {"holdout": "a"},
    ],
)
def test_what_is_no_number_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"hypothesis: {next(iter(given))}"):
        discovery.hypothesis(discovery.Table(integers(), integers()[:, 0] ** 2, ["a", "b"]), **given)


def test_training_that_diverges_is_an_error_and_a_constant_held_out_target_is_said() -> None:
    X = integers()
    table = discovery.Table(X, np.arange(30) == 3, ["a", "b"])
    with pytest.raises(ValueError, match=r"with learning_rate=1e\+200 a network grew beyond float64"):
        discovery.hypothesis(table, steps=20, seeds=2, learning_rate=1e200)
    study = discovery.hypothesis(table, steps=20, seeds=2)
    assert "networks: not defined: the target is constant on the held-out rows of a seed" in str(study.scores)
    assert discovery.formula(study).said.startswith("No candidate: R^2 is not defined")


def test_a_page_is_of_studies_findings_and_checks(tmp_path: Any) -> None:
    X = integers()
    table = discovery.Table(X, X[:, 0] ** 2, ["$\\foo$", "cost\r\n\\| in $ <b> `*`"])
    study = discovery.hypothesis(table, steps=20, seeds=2, hidden=(2,))
    found = discovery.formula(study, max_seconds=0)
    page = discovery.report(study, findings=[found], folder=tmp_path)  # dollars are no formulas
    assert "| cost \\\\\\| in $ &lt;b&gt; \\`\\*\\` | " in page
    for given in ({"findings": found}, {"checks": [found]}):
        with pytest.raises(TypeError, match=r"report: (findings|checks) are a list of"):
            discovery.report(study, **given)
    for verb in (discovery.formula, discovery.pieces, discovery.attribution, discovery.report):
        with pytest.raises(TypeError, match="a Study is expected, as hypothesis gives one, not a Table"):
            verb(table)  # type: ignore[arg-type]
    for given in ({"tolerance": np.inf}, {"max_denominator": np.nan}, {"max_seconds": -1}, {"tolerance": 0}):
        with pytest.raises(
            (TypeError, ValueError), match=r"formula: (tolerance|max_denominator|max_seconds)"
        ):
            discovery.formula(study, **given)
    with pytest.raises(TypeError, match="Generator is expected"):
        discovery.attribution(study, "permutation", rng=3)  # type: ignore[arg-type]
