"""Arguments of wrong types end in a sentence that says what to pass, and parts do not pass for whole."""

from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope.errors import IncompleteComplexError
from tests.networks import seeded

NETWORK = seeded(0, 2, 8, 2)
BOX = pt.Polyhedron.box([-1, -1], [1, 1])

WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a path for a network": (("net.npz", BOX), {}, "adapters.load"),
    "a list for a domain": ((NETWORK, [-1, 1]), {}, r"Polyhedron\.box"),
    "a name for an engine": ((NETWORK, BOX, "lp"), {}, "LayerSplit"),
    "a class for an engine": ((NETWORK, BOX, pt.FacetFlip), {}, "LayerSplit"),
    "text for seconds": ((NETWORK, BOX), {"max_seconds": "3"}, "max_seconds: a number"),
    "a part of a region": ((NETWORK, BOX), {"max_regions": 10.5}, "max_regions: a whole number"),
}


@pytest.mark.parametrize("verb", [pt.enumerate_regions, pt.count_regions])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_types_are_named(verb: Any, name: str) -> None:
    given, options, said = WRONG[name]
    with pytest.raises(TypeError, match=said):
        verb(*given, **options)


def test_whole_numbers_of_other_kinds_are_taken() -> None:
    assert pt.count_regions(NETWORK, BOX, max_regions=np.int64(3)).lower >= 3
    assert pt.count_regions(NETWORK, BOX, max_memory=1e12).complete


def test_a_box_of_what_is_no_number_says_so() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pt.Polyhedron.box([np.nan, 0], [1, 1])


def test_a_part_has_no_linear_regions() -> None:
    part = pt.enumerate_regions(NETWORK, BOX, max_regions=3)
    assert not part.complete
    for question in (part.merged, part.pieces):
        with pytest.raises(IncompleteComplexError):
            question()
