r"""Patterns eight units to a byte, where every unit has two pieces, until somebody reads them.

Patterns are most of what a complex holds: of 2-256-256-256-1 they are 73 MB of 80, or packed 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from polytope.ir.activations import PatternArray

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PackedPatterns:
    """Patterns of zeros and ones: ``bits`` is ``uint8[R, (units + 7) // 8]``, unit j in bit j % 8."""

    bits: NDArray[np.uint8]
    units: int

    def unpacked(self) -> PatternArray:
        """The same as ``int8[R, units]``."""
        return np.unpackbits(self.bits, axis=1, count=self.units, bitorder="little").view(np.int8)


def patterns_of(rows: NDArray[np.uint8], units: int, *, packed: bool) -> Any:
    """The patterns of ``units`` units that a search wrote, ``uint8[R, bytes]``, packed if they are."""
    return PackedPatterns(rows, units) if packed else rows.view(np.int8)


class _Patterns:
    """The attribute ``patterns``, which unpacks what it holds when it is first read."""

    def __get__(self, owner: object | None, kind: type) -> Any:
        if owner is None:
            return self
        kept = as_kept(owner)
        if isinstance(kept, PackedPatterns):
            kept = vars(owner)["patterns"] = kept.unpacked()
        return kept

    def __set__(self, owner: object, value: PatternArray | PackedPatterns) -> None:
        vars(owner)["patterns"] = value


def takes_packed(kind: type[T]) -> type[T]:
    """A dataclass whose field ``patterns`` can be given packed; it is read as ``int8[R, units]``."""
    kind.patterns = _Patterns()  # type: ignore[attr-defined]
    return kind


def as_kept(owner: object) -> Any:
    """The patterns of such an object as it holds them: packed or not."""
    return vars(owner)["patterns"]
