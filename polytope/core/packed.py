r"""Patterns eight units to a byte, where every unit has two pieces, until somebody reads them.

Patterns are most of what a complex holds: of 2-256-256-256-1 they are 73 MB of 80, or packed 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polytope.ir.activations import PatternArray


@dataclass(frozen=True, eq=False)
class PackedPatterns:
    """Patterns of zeros and ones: ``bits`` is ``uint8[R, (units + 7) // 8]``, unit j in bit j % 8."""

    bits: NDArray[np.uint8]
    units: int

    def unpacked(self) -> PatternArray:
        """The same as ``int8[R, units]``."""
        return np.unpackbits(self.bits, axis=1, count=self.units, bitorder="little").view(np.int8)


def patterns_of(rows: NDArray[np.uint8], units: int, *, packed: bool) -> PatternArray | PackedPatterns:
    """The patterns of ``units`` units that a search wrote, ``uint8[R, bytes]``, packed if they are."""
    return PackedPatterns(rows, units) if packed else rows.view(np.int8)
