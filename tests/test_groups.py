"""Groups and representations: the laws, known classes and characters, and what is refused."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from polytope.equivariant import (
    FiniteGroup,
    Representation,
    cyclic,
    dihedral,
    direct_product,
    direct_sum,
    from_permutations,
    generate,
    icosahedral,
    image_grid,
    intertwiner_basis,
    permutation,
    regular,
    rotation2d,
    rotation3d,
    symmetric,
    trivial,
)

GROUPS = {  # with the sizes of their conjugacy classes
    "C5": (cyclic(5), [1, 1, 1, 1, 1]),
    "D2": (dihedral(2), [1, 1, 1, 1]),
    "D3": (dihedral(3), [1, 2, 3]),
    "D4": (dihedral(4), [1, 1, 2, 2, 2]),
    "S4": (symmetric(4), [1, 3, 6, 6, 8]),
    "icosahedral": (icosahedral(), [1, 12, 12, 15, 20]),
    "C2xC3": (direct_product(cyclic(2), cyclic(3)), [1] * 6),
}


def natural(n: int) -> Representation:
    """S_n permuting coordinates."""
    return permutation(symmetric(n), list(permutations(range(n))))


def tensor_square(rho: Representation) -> Representation:
    products = np.einsum("gij,gkl->gikjl", rho.matrices, rho.matrices)
    return Representation(rho.group, products.reshape(len(rho), rho.dim**2, rho.dim**2))


REPRESENTATIONS = {
    "C4": rotation2d(cyclic(4)),
    "D3": rotation2d(dihedral(3)),
    "D4": rotation2d(dihedral(4)),
    "S3": natural(3),
    "S4 on pairs": tensor_square(natural(4)),
    "regular D3": regular(dihedral(3)),
    "icosahedral": rotation3d(icosahedral()),
    "images": image_grid(dihedral(4), 3, 3),
    "sum": direct_sum(rotation2d(dihedral(4)), trivial(dihedral(4), 2), regular(dihedral(4))),
}


@pytest.mark.parametrize("name", GROUPS)
def test_conjugacy_classes(name: str) -> None:
    group, sizes = GROUPS[name]
    assert sorted(len(c) for c in group.conjugacy_classes) == sizes
    assert (group.table[np.arange(len(group)), group.inverse] == group.identity).all()
    for h in range(len(group)):
        for members in group.conjugacy_classes:
            conjugates = group.table[group.table[h, members], group.inverse[h]]
            assert sorted(conjugates) == members.tolist()


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_matrices_multiply_like_elements(name: str) -> None:
    rho = REPRESENTATIONS[name]
    products = np.einsum("gij,hjk->ghik", rho.matrices, rho.matrices)
    # sums of at most 16 products of numbers of size 1
    np.testing.assert_allclose(products, rho.matrices[rho.group.table], rtol=0, atol=1e-14)
    assert rho.is_orthogonal
    for members in rho.group.conjugacy_classes:
        np.testing.assert_allclose(rho.character[members], rho.character[members[0]], atol=1e-14)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_intertwiners_are_as_many_as_characters_say(name: str) -> None:
    rho = REPRESENTATIONS[name]
    basis = intertwiner_basis(rho, rho)
    assert len(basis) == round(float(rho.character @ rho.character) / len(rho))
    moved = np.einsum("gij,kjl->gkil", rho.matrices, basis) - np.einsum("kij,gjl->gkil", basis, rho.matrices)
    np.testing.assert_allclose(moved, 0, atol=1e-13)
    flat = basis.reshape(len(basis), -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(basis)), atol=1e-13)


def test_known_intertwiners() -> None:
    """Orbits on pairs: 2 for DeepSets, 15 (partitions of four things) for order 2 to order 2."""
    assert len(intertwiner_basis(natural(4), natural(4))) == 2
    square = tensor_square(natural(4))
    assert len(intertwiner_basis(square, square)) == 15
    assert len(intertwiner_basis(natural(4), trivial(symmetric(4)))) == 1
    # Schur: a plane that turns and mirrors is irreducible, one that turns only commutes with turns
    assert len(intertwiner_basis(rotation2d(dihedral(4)), rotation2d(dihedral(4)))) == 1
    assert len(intertwiner_basis(rotation2d(cyclic(4)), rotation2d(cyclic(4)))) == 2
    assert len(intertwiner_basis(rotation3d(icosahedral()), trivial(icosahedral()))) == 0


def test_the_icosahedron_keeps_its_vertices() -> None:
    phi = (1 + 5**0.5) / 2
    corners = np.array([[0, s, t * phi] for s in (1, -1) for t in (1, -1)])
    corners = np.concatenate([np.roll(corners, k, axis=1) for k in range(3)])
    for matrix in rotation3d(icosahedral()).matrices:
        away = np.linalg.norm((corners @ matrix.T)[:, None] - corners, axis=2)
        assert away.min(axis=1).max() < 1e-14
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-14)


def test_right_angles_are_exact_and_images_turn_with_them() -> None:
    plane, pixels = rotation2d(cyclic(4)), image_grid(cyclic(4), 4, 4, channels=2)
    assert plane.matrices[1].tolist() == [[0, -1], [1, 0]]
    image = np.arange(32.0)
    turned = (pixels.matrices[1] @ image).reshape(2, 4, 4)
    np.testing.assert_array_equal(turned, np.rot90(image.reshape(2, 4, 4), axes=(1, 2)))
    mirrored = (image_grid(dihedral(2), 2, 3).matrices[2] @ np.arange(6.0)).reshape(2, 3)
    np.testing.assert_array_equal(mirrored, np.arange(6.0).reshape(2, 3)[::-1])


def test_kinds_of_matrices() -> None:
    assert natural(3).is_permutation
    assert rotation2d(dihedral(4)).is_signed_permutation
    assert not rotation2d(dihedral(4)).is_permutation
    assert not rotation2d(cyclic(3)).is_signed_permutation
    assert trivial(cyclic(4)).kernel.tolist() == [0, 1, 2, 3]
    assert rotation2d(cyclic(4)).kernel.tolist() == [0]


def test_generated_groups_have_the_known_orders() -> None:
    signed = np.array(
        [[[0, 1, 0], [1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.diag([-1, 1, 1])]
    )
    group, matrices = generate(signed)
    assert len(group) == 48  # 2^3 3!
    assert Representation(group, matrices).is_signed_permutation
    with pytest.raises(ValueError, match="infinitely many"):
        generate([[[0.6, -0.8], [0.8, 0.6]]], limit=200)  # an angle that is no rational part of a turn


def test_what_is_no_group_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        FiniteGroup(np.zeros((2, 3), dtype=int))
    with pytest.raises(ValueError, match="each element once"):
        FiniteGroup(np.zeros((2, 2), dtype=int))
    with pytest.raises(ValueError, match="identity"):
        FiniteGroup((np.arange(3)[:, None] - np.arange(3) + 1) % 3)
    loop = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]
    with pytest.raises(ValueError, match="associative"):
        FiniteGroup(np.array(loop))
    with pytest.raises(ValueError, match="closed"):
        from_permutations([[0, 1, 2], [1, 2, 0]])
    for wrong in (lambda: cyclic(0), lambda: dihedral(1), lambda: symmetric(7)):
        with pytest.raises(ValueError, match="n must"):
            wrong()


def test_what_is_no_representation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 4 square matrices"):
        Representation(cyclic(4), np.eye(2))
    with pytest.raises(ValueError, match="identity"):
        Representation(cyclic(2), np.array([-np.eye(2), np.eye(2)]))
    with pytest.raises(ValueError, match=r"left actions"):
        Representation(cyclic(2), np.array([np.eye(2), [[1.0, 1.0], [0.0, 1.0]]]))
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    for tolerance in (3.0, np.inf):  # whole numbers are not rounded: regions would be counted wrongly
        with pytest.raises(ValueError, match="left actions"):
            Representation(cyclic(2), np.array([np.eye(2), turn]), tolerance)
    # the inverse permutations are a right action, wrong for a group that does not commute
    inverse = np.argsort(np.array(list(permutations(range(3)))), axis=1)
    with pytest.raises(ValueError, match="left actions"):
        permutation(symmetric(3), inverse)
    with pytest.raises(ValueError, match="permutation of 0"):
        permutation(cyclic(2), [[0, 1], [1, 1]])
    with pytest.raises(ValueError, match="neither"):
        rotation2d(symmetric(4))
    with pytest.raises(ValueError, match="not icosahedral"):
        rotation3d(cyclic(60))
    for height, channels in ((2.5, 1), (2, 0), (2, 1.5)):
        with pytest.raises(ValueError, match="whole numbers of at least 1"):
            image_grid(cyclic(4), height, height, channels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="trivial: dim must be"):
        trivial(cyclic(2), -1)
    with pytest.raises(ValueError, match=r"cyclic: n must be a whole number of at least 1, not 2\.5"):
        cyclic(2.5)  # type: ignore[arg-type]
    for group, height, width in ((cyclic(4), 3, 4), (cyclic(3), 4, 4)):
        with pytest.raises(ValueError, match="grid"):
            image_grid(group, height, width)
    with pytest.raises(ValueError, match="different groups"):
        direct_sum(trivial(cyclic(2)), trivial(cyclic(3)))
