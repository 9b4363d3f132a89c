"""Training of infinite ensembles: values of neural-tangents, its laws, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from polytope import infinite

FIXTURE = Path(__file__).parents[2] / "shared" / "data" / "nt_values.npz"


def kernels(
    n: int = 6, m: int = 4, seed: int = 0
) -> tuple[infinite.Kernels, infinite.Kernels, infinite.Kernels]:
    """Of training points, between test and training points, and of test points."""
    rng = np.random.default_rng(seed)
    x, z = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    net = infinite.mlp(3, 2, bias_std=0.2)
    return infinite.kernel(net, x), infinite.kernel(net, z, x), infinite.kernel(net, z)


@pytest.mark.skipif(not FIXTURE.exists(), reason="the values of neural-tangents are not here")
@pytest.mark.parametrize("time", ["0.5", "10.0", "None"])
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_dynamics_are_those_of_neural_tangents(kind: str, time: str) -> None:
    """Which divides the loss, and so the time, by the number of points (4) times that of outputs (1)."""
    with np.load(FIXTURE) as values:
        x, z = values["x"], values["y"]
        net = infinite.mlp(6, 2, weight_std=1.5, bias_std=0.3)
        parts = [infinite.kernel(net, *points) for points in ((x,), (z, x), (z,))]
        if kind == "nngp":  # the readout alone is trained
            parts = [infinite.Kernels(part.nngp, part.nngp) for part in parts]
        t = np.inf if time == "None" else float(time) / 4
        found = infinite.ensemble(*parts, values["ytr"], t)
        np.testing.assert_allclose(found.mean, values[f"dyn_{kind}_{time}_mean"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.covariance, values[f"dyn_{kind}_{time}_cov"], rtol=0, atol=1e-12)


def test_time_zero_is_the_prior_and_infinite_time_interpolates() -> None:
    train, cross, test = kernels()
    y = np.arange(6.0)
    start = infinite.ensemble(train, cross, test, y, 0.0)
    assert (start.mean == 0).all()
    np.testing.assert_allclose(start.covariance, test.nngp, rtol=1e-14)
    end = infinite.ensemble(train, train, train, y)
    np.testing.assert_allclose(end.mean[:, 0], y, atol=1e-10)
    np.testing.assert_allclose(end.std, 0, atol=1e-6)


def test_time_flows_as_the_equation_says() -> None:
    """The derivative of the mean is Theta (y - mean), by central differences of 1e-4: to its square."""
    train, _, _ = kernels()
    y, t, h = np.sin(np.arange(6.0)), 0.3, 1e-4
    before, now, after = (infinite.ensemble(train, train, train, y, s).mean[:, 0] for s in (t - h, t, t + h))
    np.testing.assert_allclose((after - before) / (2 * h), train.ntk @ (y - now), rtol=1e-5, atol=1e-6)


def test_a_ridge_pulls_to_the_start_and_the_posterior_is_textbook() -> None:
    train, cross, test = kernels()
    y, ridge = np.cos(np.arange(6.0))[:, None], 0.3
    found = infinite.ensemble(train, cross, test, y, ridge=ridge)
    np.testing.assert_allclose(
        found.mean, cross.ntk @ np.linalg.solve(train.ntk + ridge * np.eye(6), y), rtol=1e-10
    )
    given = infinite.posterior(train, cross, test, y, noise=ridge)
    solved = np.linalg.solve(train.nngp + ridge * np.eye(6), cross.nngp.T)
    np.testing.assert_allclose(given.mean, solved.T @ y, rtol=1e-10)
    np.testing.assert_allclose(given.covariance, test.nngp - cross.nngp @ solved, atol=1e-12)
    exact = [infinite.Kernels(part.nngp, part.nngp) for part in (train, cross, test)]
    end, bayes = infinite.ensemble(*exact, y), infinite.posterior(train, cross, test, y)
    np.testing.assert_allclose(end.mean, bayes.mean, atol=1e-9)  # training the readout samples the posterior
    np.testing.assert_allclose(end.covariance, bayes.covariance, atol=1e-9)


def test_singular_kernels_are_refused_at_infinite_time_only() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3))
    x[2] = x[0]
    net = infinite.mlp(3, 2, bias_std=0.1)
    train, y = infinite.kernel(net, x), np.arange(4.0)
    with pytest.raises(ValueError, match=r"is singular .*: points 0 and 2 are equal.*ridge="):
        infinite.ensemble(train, train, train, y)
    with pytest.raises(ValueError, match=r"singular .*noise="):
        infinite.posterior(train, train, train, y)
    assert np.isfinite(infinite.ensemble(train, train, train, y, 1e3).mean).all()
    held = infinite.ensemble(train, train, train, y, ridge=1e-3)
    assert held.mean[0] == pytest.approx(held.mean[2], abs=1e-9)


def test_wrong_questions_are_refused() -> None:
    train, cross, test = kernels()
    y = np.arange(6.0)
    for t in (-1.0, np.nan):
        with pytest.raises(ValueError, match="a time of at least 0"):
            infinite.ensemble(train, cross, test, y, t)
    for ridge in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="ridge: a finite number"):
            infinite.ensemble(train, cross, test, y, ridge=ridge)
    with pytest.raises(ValueError, match="noise: a finite number"):
        infinite.posterior(train, cross, test, y, noise=-1.0)
    with pytest.raises(ValueError, match="expected 6 rows"):
        infinite.ensemble(train, cross, test, np.arange(5.0))
    with pytest.raises(ValueError, match="a number is not finite"):
        infinite.ensemble(train, cross, test, np.full(6, np.nan))
    with pytest.raises(ValueError, match="do not fit"):
        infinite.ensemble(train, infinite.Kernels(cross.nngp.T, cross.ntk.T), test, y)
    sites = infinite.Kernels(np.zeros((6, 6, 2, 2)), np.zeros((6, 6, 2, 2)))
    with pytest.raises(ValueError, match="end with a readout"):
        infinite.ensemble(sites, cross, test, y)
