"""What replaying a region may take: the digits of exact numbers grow from layer to layer, without a bound."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from polytope.errors import CertificateError

MOST_WORK = 1 << 32
"""Products of digits for one region: about five seconds."""
MOST_BYTES = 1 << 28
"""Bytes of the numbers of a network, or of one table of numbers."""
DIGIT = 30
"""Bits of a digit of Python's integers."""
LEAST = 50
"""Products of digits that take as long as one product of small integers."""


def bits(numbers: Iterable[int]) -> int:
    """Bits of the longest of some integers."""
    return max(map(int.bit_length, numbers), default=0)


def bits_of(numbers: NDArray[np.object_]) -> int:
    """The same of an array."""
    return bits(numbers.ravel().tolist())


class Effort:
    """How much work is left for the region that is replayed; numbers are counted before they are made."""

    def __init__(self) -> None:
        self.left, self.held = MOST_WORK, 0

    def begin(self) -> None:
        """The work for another region."""
        self.left = MOST_WORK

    def keep(self, numbers: int, length: int) -> None:
        """Count numbers of so many bits that stay.

        Raises:
            CertificateError: all together take more memory than a network may.
        """
        self.held += numbers * length // 8
        if self.held > MOST_BYTES:
            raise CertificateError(f"The network's numbers take more than {MOST_BYTES:,} bytes as integers.")

    def spend(self, products: int, left: int, right: int, results: int) -> None:
        """Count products of numbers with so many bits, which are summed to so many results.

        Raises:
            CertificateError: the region takes more than one may.
        """
        self.left -= products * (LEAST + (left // DIGIT) * (right // DIGIT))
        if self.left < 0 or results * (left + right) > 8 * MOST_BYTES:
            raise CertificateError(
                f"To replay one region takes more than {MOST_WORK:,} products of digits, or {MOST_BYTES:,} "
                f"bytes: the network's weights multiply to numbers of {left + right:,} bits."
            )
