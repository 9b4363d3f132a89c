"""Tables of invariants: relations of their columns, laws, checks of these, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest

from polytope import discovery
from polytope.discovery.laws import lattice_law
from polytope.errors import UnboundedDomainError
from polytope.exact.relations import relations


def planted(n: int = 60, seed: int = 0) -> discovery.Table:
    """``max(2a - b, a + 3b) - |c|`` on integers."""
    X = np.random.default_rng(seed).integers(-9, 10, (n, 3))
    a, b, c = X.T
    return discovery.Table(X, np.maximum(2 * a - b, a + 3 * b) - np.abs(c), ["a", "b", "c"])


def test_relations_span_the_kernel_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        free, mixed = rng.integers(-9, 10, (20, 3)), rng.integers(-4, 5, (3, 6))
        table = (free @ mixed).astype(object)
        found = relations(table)
        assert len(found) == 6 - np.linalg.matrix_rank(mixed)
        assert not (table @ np.array(found, dtype=object).T).any()


def test_the_lattice_of_relations_is_whole() -> None:
    """(1, -1, 0, 0), (0, 1, -1, 0), (0, 0, 1, -1) generate all: no multiple of a missing one is found."""
    found = np.array(relations(np.full((3, 4), 7, dtype=object)), dtype=float)
    minors = [abs(np.linalg.det(np.delete(found, k, axis=1))) for k in range(4)]
    np.testing.assert_allclose(minors, 1.0)


def test_the_rank_of_simplicial_polytopes_is_not_full() -> None:
    V = np.arange(4, 30)
    table = discovery.Table(np.stack([V, 3 * V - 6, V**2], axis=1), V**3, ["V", "E", "V2"], target="F")
    rank = table.rank
    assert (rank.value, rank.full) == (3, False)
    assert [str(r) for r in rank.relations] == ["3 V - E - 6 = 0"]
    assert rank.singular_values[-1] < 1e-12 < rank.singular_values[-2]


def test_what_columns_give_away_is_named() -> None:
    X = np.array(
        [[1, 3, 0.5, 2], [2, 3, 0.25, 4], [4, 3, 1.0, 8], [1, 3, 0.5, 2], [5, 3, 0.0, 10], [7, 3, 2, 14]]
    )
    table = discovery.Table(X, X[:, 2] * 3 + 1, ["a", "b", "c", "d"])
    rank = table.rank
    assert rank.constant == ("b",)
    assert {str(r) for r in rank.relations} == {"b - 3 = 0", "2 a - d = 0"}
    assert [str(r) for r in rank.leaks] == ["3 c - y + 1 = 0"]
    assert (rank.duplicates, rank.contradictions) == (1, 0)
    again = discovery.Table(np.vstack([X, X[:1]]), np.arange(7.0), ["a", "b", "c", "d"]).rank
    assert (again.duplicates, again.contradictions) == (2, 2)
    assert (rank.rounded, rank.copies, rank.law) == ((), (), None)
    for line in (
        "Rank 3 of 5",
        "2 a - d = 0",
        "constant: b",
        "3 c - y + 1 = 0",
        "of an earlier one: 1; with another target: 0",
    ):
        assert line in str(rank), line


def test_a_law_is_checked_in_fractions() -> None:
    X = np.array([[0.1, 3], [0.7, 1], [2.5, 9], [1.5, 4]])
    third = discovery.affine_law({"b": Fraction(1, 3)})
    found = discovery.check(third, discovery.Table(X, X[:, 1] / 3, ["a", "b"]))
    assert (found.holds, found.counterexamples.tolist()) == (2, [1, 3])  # 1/3 and 4/3 are no float64 numbers
    assert found.refuted
    assert str(found).startswith("Refuted: y = 1/3 b holds on 2 of 4 rows, and not on rows 1, 3.")


def test_rounding_is_to_the_steps_of_the_target() -> None:
    slope = np.array([[-3.9], [0.4], [4.2], [9.0], [-1.0]])
    table = discovery.Table(slope, [2, 0, -2, -4, 0], ["slope"], target="signature")
    law = discovery.affine_law({"slope": Fraction(-1, 2)}, target="signature")
    found = discovery.check(law, table, rounded=True)
    assert (found.holds, found.step) == (5, 2)
    with pytest.raises(ValueError, match=r"signature is 0.5 on row 1"):
        discovery.check(
            law, discovery.Table(slope, [2, 0.5, 0, 1, 2], ["slope"], target="signature"), rounded=True
        )


def test_pieces_and_rows_give_the_law_of_maxima_and_minima() -> None:
    table = planted()
    slopes = [
        [Fraction(v) for v in row] for row in ((2, -1, 1), (2, -1, -1), (1, 3, 1), (1, 3, -1), (9, 9, 9))
    ]
    law = lattice_law(table.names, "y", slopes, [Fraction(0)] * 5, table.X, table.y)
    assert not discovery.check(law, table).refuted
    other = planted(300, seed=1)
    assert not discovery.check(law, other).refuted
    network, lost = law.network()
    np.testing.assert_array_equal(network(other.X)[:, 0], other.y)
    assert not any(v for row in lost for v in row)
    wrong = discovery.Table(other.X, other.y + (np.arange(300) == 7), other.names)
    assert discovery.check(law, wrong).counterexamples.tolist() == [7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": [[1, np.nan], [1, 2], [3, 4]]}, r"X\[0, 1\] is missing"),
        ({"y": [1, 2]}, r"X is \[n, d\], of one column at least, and y \[n\]"),
        ({"names": ["a", "a"]}, "different names"),
        ({"names": ["a", "y"]}, "different names"),
        ({"X": [[1, 2], [3, 5]], "y": [1, 2]}, "more rows than columns"),
        ({"y": [2, 2, 2]}, "nothing to explain"),
        ({"X": [[1, 2], [2**53 + 1, 2], [3, 4]]}, "reaches 2"),
        ({"domain": [[0, 4], [0, 3]]}, "1 of the rows lie outside the domain, row 2 first"),
    ],
)
def test_tables_that_are_none_are_refused(change: dict[str, object], message: str) -> None:
    given = {"X": [[1, 2], [1, 3], [3, 4]], "y": [1, 2, 3], "names": ["a", "b"]} | change
    with pytest.raises(ValueError, match=message):
        discovery.Table(**given)  # type: ignore[arg-type]


def test_what_a_check_needs_is_said() -> None:
    table = planted()
    with pytest.raises(ValueError, match="Columns are a, b, c"):
        discovery.check(discovery.affine_law({"d": 1}), table)
    with pytest.raises(TypeError, match="integers or fractions"):
        discovery.affine_law({"a": 0.5})  # type: ignore[dict-item]
    import polytope as pt

    with pytest.raises(UnboundedDomainError, match="need a bounded one"):
        discovery.Table(table.X, table.y, table.names, pt.Polyhedron([[1.0, 0.0, 0.0]], [10.0]))
