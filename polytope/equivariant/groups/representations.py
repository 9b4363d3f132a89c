r"""Linear actions of finite groups: matrices :math:`\rho(g)` with :math:`\rho(gh) = \rho(g) \rho(h)`.

All actions are left actions, on column vectors: x goes to :math:`\rho(g) x`.

References: Serre (1977), "Linear Representations of Finite Groups"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from polytope.equivariant.groups.tables import (
    FiniteGroup,
    cyclic,
    dihedral,
    generate,
    icosahedral,
    icosahedral_generators,
)
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class Representation:
    """A group acting on R^d by matrices.

    Arguments:
        group: the group.
        matrices: ``[G, d, d]``, one for each element.
        tolerance: largest entry of ``rho(gh) - rho(g) rho(h)``, relative to the largest entry of all; 0 for
            matrices of whole numbers, whatever is given.

    Raises:
        ValueError: the matrices are not a representation; the message names two elements.
    """

    group: FiniteGroup
    matrices: FloatArray
    tolerance: float = 1e-9

    __repr__ = one_line

    def __post_init__(self) -> None:
        M = np.array(self.matrices, dtype=float)
        object.__setattr__(self, "matrices", M)
        if M.ndim != 3 or M.shape[0] != len(self.group) or M.shape[1] != M.shape[2]:
            raise ValueError(
                f"Representation: expected {len(self.group)} square matrices, [G, d, d], got shape {M.shape}."
            )
        rounded = bool((np.round(M) != M).any())  # whole numbers have no rounding to tolerate
        room = self.tolerance * max(float(np.abs(M).max(initial=0.0)), 1.0) if rounded else 0.0
        identity = self.group.identity
        if not np.abs(M[identity] - np.eye(self.dim)).max(initial=0.0) <= room:
            raise ValueError(
                f"Representation: the matrix of the identity (element {identity}) is not the identity."
            )
        for g in self.group.generators:
            off = np.abs(M[g] @ M - M[self.group.table[g]]).max(axis=(1, 2), initial=0.0)
            if not off.max() <= room:
                h = int(off.argmax())
                raise ValueError(
                    f"Representation: rho({g}) rho({h}) is not rho({g} {h}); they differ by {off[h]:.3g}. "
                    "Actions are left actions: rho(gh) = rho(g) rho(h)."
                )

    @property
    def dim(self) -> int:
        """The dimension d of the space."""
        return int(self.matrices.shape[1])

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def character(self) -> FloatArray:
        """The traces of the matrices, ``[G]``."""
        traces: FloatArray = np.trace(self.matrices, axis1=1, axis2=2)
        return traces

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether all matrices are orthogonal, within the tolerance."""
        gram = self.matrices.transpose(0, 2, 1) @ self.matrices
        return bool(np.abs(gram - np.eye(self.dim)).max(initial=0.0) <= self.tolerance)

    @cached_property
    def is_signed_permutation(self) -> bool:
        """Whether every row and column of every matrix holds one entry 1 or -1, and zeros."""
        size = np.abs(self.matrices)
        single = (size.sum(axis=1) == 1).all() and (size.sum(axis=2) == 1).all()
        return bool(single and np.isin(size, (0.0, 1.0)).all())

    @cached_property
    def is_permutation(self) -> bool:
        """Whether all matrices are permutation matrices."""
        return self.is_signed_permutation and bool((self.matrices >= 0).all())

    @cached_property
    def kernel(self) -> IntArray:
        """The elements that act as the identity, within the tolerance, ``int[n]``."""
        off = np.abs(self.matrices - np.eye(self.dim)).max(axis=(1, 2), initial=0.0)
        return np.flatnonzero(off <= self.tolerance)


def trivial(group: FiniteGroup, dim: int = 1) -> Representation:
    """Every element does nothing, on R^dim.

    Arguments:
        group: the group.
        dim: dimension of the space.

    Returns:
        The representation, G identity matrices.

    Raises:
        ValueError: dim is no whole number from 0 on.
    """
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or dim < 0:
        raise ValueError(f"trivial: dim must be a whole number from 0 on, not {dim!r}.")
    return Representation(group, np.tile(np.eye(dim), (len(group), 1, 1)))


def regular(group: FiniteGroup) -> Representation:
    """The group acting on functions on itself: e_h goes to e_gh.

    Arguments:
        group: the group.

    Returns:
        The representation on R^G, by permutation matrices ``[G, G, G]``.
    """
    return permutation(group, group.table)


def permutation(group: FiniteGroup, perms: ArrayLike) -> Representation:
    """Coordinates moved: coordinate i goes to place ``perms[g][i]``.

    Arguments:
        group: the group.
        perms: ``int[G, d]``, one permutation for each element.

    Returns:
        The representation on R^d, by permutation matrices ``[G, d, d]``.

    Raises:
        ValueError: the rows are not one permutation for each element, or not an action of the group.

    Example:
        >>> swap = permutation(cyclic(2), [[0, 1, 2], [1, 0, 2]])
        >>> (swap.matrices[1] @ [5.0, 6.0, 7.0]).tolist()
        [6.0, 5.0, 7.0]
    """
    rows = np.asarray(perms)
    if rows.ndim != 2 or len(rows) != len(group) or rows.dtype.kind not in "iu":
        raise ValueError(
            f"permutation: expected int[{len(group)}, d], got {rows.dtype} of shape {rows.shape}."
        )
    d = rows.shape[1]
    if (np.sort(rows, axis=1) != np.arange(d)).any():
        raise ValueError(f"permutation: every row must be a permutation of 0 .. {d - 1}.")
    matrices = np.zeros((len(rows), d, d))
    matrices[np.arange(len(rows))[:, None], rows, np.arange(d)] = 1.0
    return Representation(group, matrices)


def rotation2d(group: FiniteGroup) -> Representation:
    """The plane turned by ``cyclic(n)``, and mirrored at the first axis by ``dihedral(n)``.

    Arguments:
        group: ``cyclic(n)`` or ``dihedral(n)``, known by its table.

    Returns:
        The representation on R^2: element k turns by 2 pi k / n radians, counter-clockwise.

    Raises:
        ValueError: the group is neither.
    """
    order = len(group)
    mirrored = order >= 4 and order % 2 == 0 and np.array_equal(group.table, dihedral(order // 2).table)
    if not mirrored and not np.array_equal(group.table, cyclic(order).table):
        raise ValueError(f"rotation2d: {group!r} is neither cyclic(n) nor dihedral(n).")
    n = order // 2 if mirrored else order
    turns = np.array([_turn(k, n) for k in range(n)])
    if mirrored:
        turns = np.concatenate([turns, turns @ np.diag([1.0, -1.0])])
    return Representation(group, turns)


def _turn(k: int, n: int) -> FloatArray:
    """The rotation by 2 pi k / n; without rounding where its entries are 0, 1/2 and 1."""
    exact = {0.0: 0.0, 1.0: 0.5, 3.0: 1.0}  # sines of multiples of 30 degrees, where they are rational

    def sine(twelfths: float) -> float:
        m = twelfths % 12
        size = min(m % 6, 6 - m % 6)
        return (1 if m <= 6 else -1) * exact.get(size, float(np.sin(np.pi * size / 6)))

    c, s = sine(12 * k / n + 3), sine(12 * k / n)
    return np.array([[c, -s], [s, c]])


def rotation3d(group: FiniteGroup) -> Representation:
    """Space turned by ``icosahedral()``: the vertices (0, 1, phi), (1, phi, 0), ... are permuted.

    Arguments:
        group: ``icosahedral()``, known by its table.

    Returns:
        The representation on R^3, by rotation matrices ``[60, 3, 3]``.

    Raises:
        ValueError: it is another group.
    """
    if not np.array_equal(group.table, icosahedral().table):
        raise ValueError(f"rotation3d: {group!r} is not icosahedral().")
    return Representation(group, generate(icosahedral_generators())[1])


def image_grid(group: FiniteGroup, height: int, width: int, channels: int = 1) -> Representation:
    """Images ``[channels, height, width]``, flattened, turned and mirrored: the pixel at p goes to g p.

    ``rotation2d`` acts on the pixels' centres, the second axis of the array pointing right and the first
    one down.

    Arguments:
        group: ``cyclic(n)`` or ``dihedral(n)``, such as those of order 1, 2, 4 and 4, 8 on squares.
        height, width: of the grid, in pixels.
        channels: number of channels; the group moves all of them alike.

    Returns:
        The representation on R^d by permutation matrices, d = channels * height * width.

    Raises:
        ValueError: the group does not map the grid to itself, or is neither cyclic nor dihedral; or a size is
            no whole number of at least 1.
    """
    if not all(isinstance(size, int | np.integer) and size > 0 for size in (height, width, channels)):
        raise ValueError(
            f"image_grid: height, width and channels must be whole numbers of at least 1, not {height!r}, "
            f"{width!r}, {channels!r}."
        )
    rows, columns = np.indices((height, width)).reshape(2, -1)
    points = np.stack([2 * columns - (width - 1), (height - 1) - 2 * rows])
    moved = rotation2d(group).matrices @ points
    x, y = (moved[:, 0] + width - 1) / 2, (height - 1 - moved[:, 1]) / 2
    if (x != np.round(x)).any() or (y != np.round(y)).any() or x.min() < 0 or y.min() < 0 or x.max() >= width:
        raise ValueError(f"image_grid: {group!r} does not map a grid of {height} x {width} pixels to itself.")
    pixels = (y * width + x).astype(np.int64)
    shift = np.arange(channels) * height * width
    return permutation(group, (pixels[:, None, :] + shift[:, None]).reshape(len(group), -1))


def direct_sum(*parts: Representation) -> Representation:
    """Blocks on the diagonal: each representation acts on its own coordinates.

    Arguments:
        parts: representations of one group, at least one.

    Returns:
        The representation; its dimension is the sum of those of the parts.

    Raises:
        ValueError: there are no parts, or they are of different groups.
    """
    if not parts:
        raise ValueError("direct_sum: at least one representation is needed.")
    same_group(*parts)
    blocks = [block_diag(*matrices) for matrices in zip(*(part.matrices for part in parts), strict=True)]
    return Representation(parts[0].group, np.array(blocks), max(part.tolerance for part in parts))


def tensor_product(*parts: Representation) -> Representation:
    r"""Kronecker products :math:`\rho_1(g) \otimes \rho_2(g) \otimes \dots`, last indices run fastest.

    Arguments:
        parts: representations of one group, at least one.

    Returns:
        The representation; its dimension is the product of those of the parts.

    Raises:
        ValueError: there are no parts, or they are of different groups.
    """
    if not parts:
        raise ValueError("tensor_product: at least one representation is needed.")
    same_group(*parts)
    products = [reduce(np.kron, matrices) for matrices in zip(*(p.matrices for p in parts), strict=True)]
    return Representation(parts[0].group, np.array(products), max(part.tolerance for part in parts))


def feature_grid(group: FiniteGroup, height: int, width: int, channels: int = 1) -> Representation:
    r"""Features ``[channels, G, height, width]``: :math:`(\rho(h) F)(c, g, p) = F(c, h^{-1} g, h^{-1} p)`.

    Arguments:
        group, height, width: as for ``image_grid``.
        channels: number c of channels for each element of the group.

    Returns:
        The representation on R^d by permutation matrices, d = channels * G * height * width.

    Raises:
        ValueError: as for ``image_grid``.
    """
    return tensor_product(trivial(group, channels), regular(group), image_grid(group, height, width))


def intertwiner_basis(rho_in: Representation, rho_out: Representation) -> FloatArray:
    r"""An orthonormal basis of the linear maps T with T rho_in(g) = rho_out(g) T.

    Their number is :math:`k = \langle \chi_{in}, \chi_{out} \rangle`; they span the image of the projection
    :math:`T \mapsto \frac{1}{|G|} \sum_g \rho_{out}(g) \, T \, \rho_{in}(g)^{-1}`.

    Arguments:
        rho_in, rho_out: actions of one group on R^d_in and R^d_out.

    Returns:
        ``[k, d_out, d_in]``, orthonormal as vectors of entries.

    Raises:
        ValueError: the representations are of different groups.

    Example:
        >>> import itertools
        >>> from polytope.equivariant import symmetric
        >>> natural = permutation(symmetric(3), list(itertools.permutations(range(3))))
        >>> len(intertwiner_basis(natural, natural))  # the identity and the mean
        2
    """
    same_group(rho_in, rho_out)
    inverse = rho_in.matrices[rho_in.group.inverse]
    projection = np.einsum("gij,gkl->iljk", rho_out.matrices, inverse, optimize=True) / len(rho_in)
    n = rho_out.dim * rho_in.dim
    k = round(float(rho_in.character[rho_in.group.inverse] @ rho_out.character) / len(rho_in))
    basis, _, _ = np.linalg.svd(projection.reshape(n, n))
    return np.ascontiguousarray(basis[:, :k].T.reshape(k, rho_out.dim, rho_in.dim))


def same_group(*parts: Representation) -> None:
    """Refuse representations of different groups."""
    for part in parts[1:]:
        if not np.array_equal(part.group.table, parts[0].group.table):
            raise ValueError(
                f"The representations are of different groups, {parts[0].group!r}, {part.group!r}."
            )
