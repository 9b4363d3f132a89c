"""Arguments of wrong types end in a sentence that says what to pass, and parts do not pass for whole."""

from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope.engines.amounts import in_bytes, in_seconds
from polytope.errors import IncompleteComplexError
from tests.networks import seeded

NETWORK = seeded(0, 2, 8, 2)
BOX = pt.Polyhedron.box([-1, -1], [1, 1])

WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a path for a network": (("net.npz", BOX), {}, "adapters.load"),
    "a list for a domain": ((NETWORK, [-1, 1]), {}, r"Polyhedron\.box"),
    "a name for an engine": ((NETWORK, BOX, "lp"), {}, "LayerSplit"),
    "a class for an engine": ((NETWORK, BOX, pt.FacetFlip), {}, "LayerSplit"),
    "a list for seconds": ((NETWORK, BOX), {"max_seconds": [3]}, 'max_seconds: a number.*"20s"'),
    "a truth for seconds": ((NETWORK, BOX), {"max_seconds": True}, "max_seconds: a number"),
    "a part of a byte": ((NETWORK, BOX), {"max_memory": 10.5}, 'max_memory: a whole.*"500MB"'),
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


def test_times_and_memory_are_read_as_people_write_them() -> None:
    times = {"90": 90.0, "20s": 20.0, "5m": 300.0, "5 min": 300.0, "1h": 3600.0, "250ms": 0.25, "none": None}
    assert {text: in_seconds(text) for text in times} == times
    assert (in_seconds(None), in_seconds(np.float32(2.5)), in_seconds(np.inf)) == (None, 2.5, np.inf)
    sizes = {"500MB": 500 * 2**20, "0.5 GiB": 2**29, "1kb": 2**10, "none": None}
    assert {text: in_bytes(text) for text in sizes} == sizes
    assert (in_bytes(None), in_bytes(1e6), in_bytes(np.int64(7))) == (None, 10**6, 7)
    for wrong in ("soon", "-3s", "0", "5d", "", "1e99h", "3..s"):
        with pytest.raises(ValueError, match=r"--budget .* must be a positive time: 60s, 5m, 1h, or none"):
            in_seconds(wrong, "--budget")
    for wrong in ("500", "-1MB", "MB", "5 apples"):
        with pytest.raises(ValueError, match=r"max_memory .* must be a positive amount with its unit"):
            in_bytes(wrong)
    assert pt.count_regions(NETWORK, BOX, max_seconds="1h", max_memory="64GB").complete
    part = pt.count_regions(seeded(0, 2, 300, 300, 1), BOX, max_seconds="1ms")
    assert (part.complete, part.stopped_by) == (False, "seconds")


def test_a_box_of_what_is_no_number_says_so() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pt.Polyhedron.box([np.nan, 0], [1, 1])


def test_a_part_has_no_linear_regions() -> None:
    part = pt.enumerate_regions(NETWORK, BOX, max_regions=3)
    assert not part.complete
    for question in (part.merged, part.pieces):
        with pytest.raises(IncompleteComplexError):
            question()
