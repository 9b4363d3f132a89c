r"""Patterns eight units to a byte, where every unit has two pieces, until somebody reads them.

Patterns are most of what a complex holds: of 2-256-256-256-1 they are 73 MB of 80, or packed 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polytope.ir.activations import PatternArray
from polytope.ir.looking import look
from polytope.ir.maps import IntArray

BYTES = 1 << 22  # of patterns between two looks at the clock


@dataclass(frozen=True, eq=False)
class PackedPatterns:
    """Patterns of zeros and ones: ``bits`` is ``uint8[R, (units + 7) // 8]``, unit j in bit j % 8."""

    bits: NDArray[np.uint8]
    units: int

    def unpacked(self) -> PatternArray:
        """The same as ``int8[R, units]``."""
        return np.unpackbits(self.bits, axis=1, count=self.units, bitorder="little").view(np.int8)

    def __getitem__(self, which: IntArray | slice) -> PackedPatterns:
        """Those of some regions."""
        return PackedPatterns(self.bits[which], self.units)


def rows_of(patterns: PatternArray | PackedPatterns, which: IntArray) -> PatternArray:
    """``int8[n, units]``, the patterns of some regions; the others stay packed."""
    some = patterns[which]
    return some.unpacked() if isinstance(some, PackedPatterns) else some


def differing(patterns: PatternArray | PackedPatterns) -> NDArray[np.bool_]:
    """The units ``bool[units]`` that are not on one piece in all of some regions, at least one."""
    rows = patterns.bits if isinstance(patterns, PackedPatterns) else patterns
    found, step = np.zeros(rows.shape[1], dtype=rows.dtype), max(1, BYTES // max(rows.shape[1], 1))
    for i in range(0, len(rows), step):
        look()
        found |= np.bitwise_or.reduce(rows[i : i + step] ^ rows[0], axis=0)
    if isinstance(patterns, PackedPatterns):
        found = PackedPatterns(found[None].view(np.uint8), patterns.units).unpacked()[0]
    differ: NDArray[np.bool_] = found != 0
    return differ


def patterns_of(rows: NDArray[np.uint8], units: int, *, packed: bool) -> PatternArray | PackedPatterns:
    """The patterns of ``units`` units that a search wrote, ``uint8[R, bytes]``, packed if they are."""
    return PackedPatterns(rows, units) if packed else rows.view(np.int8)
