"""Studies: fits that repeat, shares that add up, laws read off networks that are known, and reports."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import polytope as pt
from polytope import discovery
from polytope.discovery.studies import Scores
from polytope.discovery.training import Settings
from polytope.labelled import Exact, Missing, ends

NAMES = ("a", "b", "c")
LAW = "y = max(min(2 a - b + c, 2 a - b - c), min(a + 3 b + c, a + 3 b - c))"


def planted_network(shift: float = 0.0) -> pt.Network:
    """``max(2a - b, a + 3b) - |c| + shift``, as ReLUs of a - 4b, c and -c and of a sum above -1,000."""
    first = [[1.0, -4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 3.0, 0.0]]
    return pt.mlp([(first, [0.0, 0.0, 0.0, 1000.0]), ([[1.0, -1.0, -1.0, 1.0]], [shift - 1000.0])])


def rows(n: int = 80) -> np.ndarray:
    """Integers between -9 and 9, the last not 0, where a network that is the law is on no region."""
    X = np.random.default_rng(0).integers(-9, 10, (n, 3))
    X[:, 2] += X[:, 2] == 0
    return X


def study_of(networks: list[pt.Network], X: np.ndarray, y: np.ndarray) -> discovery.Study:
    """A study of given networks, that predict as they are said to."""
    table, held = discovery.Table(X, y, NAMES), np.arange(10)
    ones = np.ones(len(networks)) - 1e-3 * np.arange(len(networks))
    scores = Scores(ones, ones, 0 * ones, None)
    return discovery.Study(table, tuple(networks), (held,) * len(networks), scores, Settings(), 0.2)


@cache
def trained() -> discovery.Study:
    """A difference, learnt in a moment; c is not used."""
    X = rows(150)
    table = discovery.Table(X, 2 * X[:, 0] - X[:, 1] + 3, NAMES)
    return discovery.hypothesis(table, hidden=(8,), seeds=3, steps=500, batch=64, learning_rate=3e-2)


def test_networks_that_are_the_law_give_all_its_pieces() -> None:
    X = rows()
    study = study_of([planted_network(s) for s in (0.0, 0.25, -0.125)], X, planted_network()(X)[:, 0])
    found = discovery.pieces(study, max_seconds=0.3)
    told = {str(c.law): c for c in found.candidates}
    assert set(told) == {f"y = {p}" for p in ("2 a - b - c", "2 a - b + c", "a + 3 b - c", "a + 3 b + c")}
    assert found.law is not None
    assert str(found.law) == LAW
    assert not discovery.check(found.law, study.table).refuted
    for piece in found.candidates:
        assert piece.agreeing == 3
        assert piece.sup_visited == tuple(Exact(s, "regions that rows visit") for s in (0.0, 0.25, 0.125))
    assert found.said.startswith("Pieces: 4, of 100% to 100% of the rows. ")
    np.testing.assert_allclose(sum(c.shares for c in found.candidates), 1.0)
    for number, off in zip(found.sup_domain, (0.0, 0.25, 0.125), strict=True):
        low, high = ends(number)
        assert low <= off <= high


def test_a_formula_is_rounded_and_its_distance_is_exact() -> None:
    """Off by (|c| - 5) / 8: regions have the slopes 1/8 and -1/8 in c, and are farthest off where c is 0."""
    X = rows()
    near = pt.mlp([([[1, 2, 0], [0, 0, 1], [0, 0, -1]], [100, 0, 0]), ([[1, 0.125, 0.125]], [-100.625])])
    study = study_of([near, near], X, X[:, 0] + 2 * X[:, 1])
    found = discovery.formula(study, tolerance=0.25)
    (candidate,) = found.candidates
    assert (str(candidate.law), candidate.agreeing) == ("y = a + 2 b", 2)
    assert candidate.sup_visited == (Exact(5 / 8, "regions that rows visit"),) * 2
    assert all(ends(n)[0] <= 5 / 8 <= ends(n)[1] for n in candidate.sup_domain)
    assert candidate.shares.tolist() == [1.0, 1.0]
    regions = discovery.formula(study, tolerance=0.1, max_seconds=0).candidates
    assert all(c.shares.tolist() == [0.0, 0.0] for c in regions)
    assert all(isinstance(n, Missing) for c in regions for n in c.sup_domain)


def test_thirds_are_found_where_denominators_allow_them() -> None:
    X = rows()
    third = pt.mlp([([[1 / 3, -1.0, 0.0]], [0.5])])
    study = study_of([third, third], X, third(X)[:, 0])
    assert discovery.formula(study, max_denominator=1, tolerance=0.01).candidates == ()
    found = discovery.formula(study, max_denominator=3, tolerance=0.51)
    assert found.law is not None
    assert found.law.slopes == ((Fraction(1, 3), Fraction(-1), Fraction(0)),)
    low, high = ends(found.candidates[0].sup_domain[0])
    assert low == 0
    assert 9 * (Fraction(1, 3) - Fraction(1 / 3)) <= Fraction(high) < 1e-15  # what rounding took from 1/3


def test_the_same_seeds_give_the_same_networks() -> None:
    first, again = (discovery.hypothesis(trained().table, hidden=(8,), seeds=3, steps=60) for _ in range(2))
    for one, other in zip(first.networks, again.networks, strict=True):
        np.testing.assert_array_equal(one(first.table.X), other(first.table.X))
    assert trained().predicts
    for held in first.held_out:
        kept = np.delete(first.table.X, held, axis=0)
        assert not {row.tobytes() for row in kept} & {row.tobytes() for row in first.table.X[held]}


@pytest.mark.parametrize("method", ["integrated", "gradient", "permutation"])
def test_shares_add_up_and_what_is_not_used_has_little(method: str) -> None:
    found = discovery.attribution(trained(), method)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0)
    assert found.mean[0] > found.mean[1] > 10 * found.mean[2]
    assert found.incomplete < 1e-12
    assert "a " in str(found)


def test_a_study_ends_in_a_law_and_a_page(tmp_path: Path) -> None:
    study = trained()
    found = discovery.formula(study, tolerance=0.1, max_seconds=0)
    assert found.law is not None
    assert str(found.law) == "y = 2 a - b + 3"
    less = discovery.retrain(study, ["a", "b"])
    assert (less.table.names, less.scores.network.min() > 0.99) == (("a", "b"), True)
    checks = [discovery.check(found.law, study.table)]
    page = discovery.report(study, findings=[found], checks=checks, folder=tmp_path / "new", title="a | <b>")
    assert page == (tmp_path / "new" / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# a \\| &lt;b&gt;\n")
    for words in ("Rank 4 of 4", "y = 2 a - b + 3", "holds on all 150 rows", "not computed", "(shares.png)"):
        assert words in page, words
    assert all((tmp_path / "new" / name).stat().st_size > 5000 for name in ("shares.png", "outputs.png"))


def test_a_random_target_gives_no_candidate() -> None:
    X = rows(100)
    table = discovery.Table(X, np.random.default_rng(1).standard_normal(100), NAMES)
    study = discovery.hypothesis(table, hidden=(8,), seeds=3, steps=150)
    for found in (discovery.formula(study), discovery.pieces(study)):
        assert (found.candidates, found.law) == ((), None)
        assert found.said.startswith("No candidate: the networks do not say more of rows")


def test_collinear_columns_are_refused_with_the_relation() -> None:
    V = np.arange(4, 30)
    table = discovery.Table(np.stack([V, 3 * V - 6], axis=1), V**2, ["V", "E"])
    with pytest.raises(ValueError, match=r"3 V - E - 6 = 0, on all rows.*accept_relations=True"):
        discovery.hypothesis(table)
    accepted = discovery.hypothesis(table, hidden=(4,), seeds=2, steps=5, accept_relations=True)
    assert len(accepted.networks) == 2
    with pytest.raises(ValueError, match=r"3 V - E - 6 = 0, on all rows"):
        discovery.retrain(accepted, ["V", "E"])
    assert discovery.retrain(accepted, ["E", "V"], accept_relations=True).table.names == ("E", "V")
    leak = discovery.Table(rows(9), 2 * rows(9)[:, 1] - 1, NAMES)
    with pytest.raises(ValueError, match=r"the target is among the columns: 2 b - y - 1 = 0"):
        discovery.hypothesis(leak)


@pytest.mark.parametrize(
    "given",
    [{"seeds": 1}, {"holdout": 1.0}, {"hidden": ()}, {"steps": 0}, {"learning_rate": -1.0}, {"batch": 0}],
)
def test_numbers_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="hypothesis:"):
        discovery.hypothesis(trained().table, **given)  # type: ignore[arg-type]


def test_other_words_are_refused() -> None:
    study = trained()
    with pytest.raises(ValueError, match="method is one of integrated, gradient, permutation"):
        discovery.attribution(study, "saliency")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_denominator must be at least 1"):
        discovery.formula(study, max_denominator=0)
    with pytest.raises(ValueError, match="least_share"):
        discovery.pieces(study, least_share=1.0)
    with pytest.raises(ValueError, match="Columns are a, b, c"):
        discovery.retrain(study, ["z"])
