"""The algebra of linear maps: products and sums of all kinds are those of their matrices."""

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.sparse import csr_array

from polytope import Network, mlp
from polytope.ir import (
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Layer,
    LinearMap,
    Selection,
    Sparse,
    Transposed,
)
from polytope.ir.algebra import (
    chained,
    compose,
    depth,
    given,
    identity,
    merged_sum,
    of_matrix,
    product,
    simplified,
    stored,
    summed,
)
from tests.networks import NETWORKS

N = 16


def convolution(rng: np.random.Generator) -> Convolution:
    """Two channels of two by four pixels to two of the same size, in small integers."""
    kernel = rng.integers(-3, 4, (2, 2, 2, 2)).astype(float)
    return Convolution(kernel, (2, 2, 4), (1, 1), (1, 1), ((0, 1), (1, 0)), 1)


def maps() -> dict[str, LinearMap]:
    """Maps of R^16 of every kind, in small integers: their products and sums are not rounded."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.integers(-3, 4, shape).astype(float)

    sparse = csr_array(numbers(N, N) * (rng.random((N, N)) < 0.2))
    return {
        "identity": identity(N),
        "ones": Diagonal(np.ones(N)),
        "dense": Dense(numbers(N, N)),
        "sparse": Sparse(sparse),
        "empty": Sparse(csr_array((N, N))),
        "diagonal": Diagonal(numbers(N)),
        "of_channels": Diagonal(np.repeat([2.0, -1.0], N // 2)),
        "permutation": Selection(rng.permutation(N), N),
        "crop": Selection(np.where(np.arange(N) % 3, np.arange(N), -1), N),
        "rest": Selection(np.where(np.arange(N) % 3, -1, np.arange(N)), N),
        "convolution": convolution(rng),
        "other_convolution": convolution(rng),
        "transposed": Transposed(convolution(rng)),
        "composition": Composition(Dense(numbers(N, N)), convolution(rng)),
        "chain": Composition(Composition(convolution(rng), Diagonal(numbers(N))), convolution(rng)),
    }


MAPS = maps()


def matrix(linear: LinearMap | None, n: int = N) -> np.ndarray:
    """The matrix of a map, from what it does to the unit vectors."""
    return given(linear, n).apply(np.eye(given(linear, n).shape[1]))


@pytest.mark.parametrize("outer", MAPS)
@pytest.mark.parametrize("inner", MAPS)
def test_products_and_sums_are_those_of_matrices(outer: str, inner: str) -> None:
    """In integers, so exactly; what is folded stores about as much as both at most, and no chain grows."""
    a, b = MAPS[outer], MAPS[inner]
    for combined in (compose(a, b), compose(simplified(a), simplified(b)), product(a, b), chained(a, b)):
        assert (matrix(combined) == matrix(a) @ matrix(b)).all()
        assert depth(combined) <= depth(a) + depth(b) + 1  # one that nests to the left counts one less
    assert stored(compose(a, b)) <= 2 * (stored(a) + stored(b)) + 1024
    assert (matrix(summed(a, b, N)) == matrix(a) + matrix(b)).all()
    merged = merged_sum(a, b, N)
    assert merged is None or (matrix(merged) == matrix(a) + matrix(b)).all()


@pytest.mark.parametrize("name", MAPS)
def test_the_identity_is_written_none(name: str) -> None:
    a = MAPS[name]
    assert compose(None, a) is a is compose(a, None)
    assert chained(None, a) is a is chained(a, None)
    assert (simplified(a) is None) == (name in ("identity", "ones"))
    for first, second in ((None, a), (a, None)):
        assert (matrix(summed(first, second, N)) == np.eye(N) + matrix(a)).all()
    assert (matrix(merged_sum(a, a, N)) == 2 * matrix(a)).all()
    assert (matrix(of_matrix(a.to_sparse())) == matrix(a)).all()


def test_nothing_more_is_identity() -> None:
    assert compose(None, None) is None is chained(None, None)
    assert (matrix(summed(None, None, N)) == 2 * np.eye(N)).all()
    assert simplified(Selection(np.arange(3), 4)) is not None


def factors() -> Iterator[tuple[str, LinearMap]]:
    """The maps of the layers of all networks."""
    for name, make in NETWORKS.items():
        for layer in make().layers:
            yield from ((name, linear) for linear in layer.maps)


def test_rounding_is_that_of_one_product() -> None:
    """Over the networks' maps: rows behind a map differ by the rounding of their sums; factors by nothing."""
    rng = np.random.default_rng(1)
    for name, linear in factors():
        outer = Dense(rng.standard_normal((3, linear.shape[0])))
        exact = outer.matrix.astype(np.longdouble) @ linear.to_sparse().toarray().astype(np.longdouble)
        size = np.abs(outer.matrix) @ linear.absolute().to_sparse().toarray()
        bound = linear.shape[0] * 2.0**-52 * size  # gamma_n, twice; longdouble's own part is far below
        assert (np.abs(matrix(product(outer, linear)) - exact) <= bound).all(), name
        x = rng.standard_normal((linear.shape[1], 4))
        assert (given(chained(outer, linear), 0).apply(x) == outer.apply(linear.apply(x))).all(), name


@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name]().output_dim > 1])
def test_margins_are_differences_of_outputs(name: str) -> None:
    """Up to the rounding of 2^-40 of the outputs' sizes: some hundred operations, on numbers of size 1."""
    network: Network = NETWORKS[name]()
    x = np.random.default_rng(2).standard_normal((20, network.input_dim))
    y, margin = network(x), network.margin(1, 0)(x)[:, 0]
    assert (np.abs(margin - (y[:, 1] - y[:, 0])) <= 2.0**-40 * (1 + np.abs(y).sum(axis=1))).all()


def test_a_margin_behind_a_permutation_is_exact() -> None:
    swap = Selection(np.array([1, 0]), 2)
    front = mlp([(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))])
    network = Network((2,), (front.layers[0], Layer((1,), (swap,), np.zeros(2))))
    assert network.margin(0, 1)([[1.0, 3.0]]).tolist() == [[2.0]]
