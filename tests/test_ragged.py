"""A list of arrays kept as one."""

import numpy as np
import pytest

from polytope.core.ragged import Ragged


def test_entries_are_those_of_the_list() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(-9, 9, n) for n in (3, 0, 1, 5)]
    kept = Ragged(np.cumsum([0, *map(len, parts)]), np.concatenate(parts).astype(np.int32))
    assert len(kept) == 4
    for i in range(-4, 4):
        assert kept[i].tolist() == parts[i].tolist()
    assert [x.tolist() for x in kept[1:]] == [x.tolist() for x in parts[1:]]
    assert [x.tolist() for x in kept] == [x.tolist() for x in parts]
    with pytest.raises(IndexError):
        kept[4]
