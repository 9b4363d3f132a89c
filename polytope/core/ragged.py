"""A list of integer arrays of unlike lengths, kept as one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from numpy.typing import NDArray

from polytope.ir.maps import IntArray


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[IntArray]):
    """Entry i is ``flat[offsets[i] : offsets[i + 1]]``, made when it is asked for.

    Arguments:
        offsets: ``int64[n + 1]``; flat: integers of any kind.
    """

    offsets: IntArray
    flat: NDArray[Any]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, i: int) -> IntArray: ...
    @overload
    def __getitem__(self, i: slice) -> list[IntArray]: ...
    def __getitem__(self, i: int | slice) -> IntArray | list[IntArray]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        k = range(len(self))[i]
        return self.flat[self.offsets[k] : self.offsets[k + 1]].astype("int64")
