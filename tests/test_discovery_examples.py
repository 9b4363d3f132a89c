"""The examples of discovery: surfaces are closed, knots are different, and scripts run and draw."""

from collections import Counter
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from polytope import discovery

BENCHMARK = import_module("discovery")  # which finds the examples
EXAMPLES = Path(__file__).parents[1] / "examples" / "discovery"
surfaces = import_module("surfaces")


@pytest.mark.parametrize("genus", [0, 1, 3])
def test_surfaces_are_closed_and_of_their_genus(genus: int) -> None:
    rng = np.random.default_rng(genus)
    for _ in range(5):
        faces = surfaces.surface(rng, genus, int(rng.integers(1, 30)))
        edges = Counter(edge for face in faces for edge in surfaces.edges(face))
        assert set(edges.values()) == {1}
        assert all((b, a) in edges for a, b in edges)
        assert min(Counter(v for face in faces for v in face).values()) >= 3
        assert all(len(set(face)) == len(face) >= 3 for face in faces)
        (V, E, *_), F = surfaces.counts(faces)
        assert 2 - 2 * genus == V - E + F


def test_knots_are_different_and_their_slopes_say_signatures() -> None:
    with np.load(EXAMPLES / "knots.npz", allow_pickle=False) as archive:
        X, y, names = archive["X"], archive["signature"], archive["names"].tolist()
    assert X.shape == (1000, 5)
    assert np.isfinite(X).all()
    assert (y % 2 == 0).all()
    longitude, real, imaginary = (
        X[:, names.index(n)] for n in ("longitude", "meridian_real", "meridian_imaginary")
    )
    slope = longitude * real / (real**2 + imaginary**2)
    assert np.corrcoef(slope, y)[0, 1] < -0.95
    table = discovery.Table(slope[:, None], y, ["slope"], target="signature")
    half, trend = (
        discovery.check(discovery.affine_law({"slope": factor}, target="signature"), table, rounded=True)
        for factor in (Fraction(-1, 2), Fraction(-7, 16))
    )
    assert (half.holds, trend.holds) == (726, 937)  # what the page says
    sizes = np.abs(y[half.counterexamples])
    assert [round(1 - (sizes == k).sum() / (np.abs(y) == k).sum(), 2) for k in (0, 8, 12)] == [0.95, 0.41, 0]
    off = np.abs(X[:, None] - X[None]).max(axis=2)
    assert off[~np.eye(1000, dtype=bool)].min() > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARK.BARS)
def test_examples_run_and_draw(name: str, tmp_path: Path) -> None:
    script = import_module(name)
    result = script.measure(1000)
    script.plot(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
