"""What is asked of regions needs them: a sentence for those who give something else."""

from __future__ import annotations

from polytope.given import described
from polytope.regions.complex import RegionComplex


def require_regions(given: object, verb: str) -> None:
    """Refuse what is no complex of regions.

    Arguments:
        given: what the caller passed.
        verb: the function that was called, for the message.

    Raises:
        TypeError: it is something else, such as a network whose regions were not enumerated.
    """
    if not isinstance(given, RegionComplex):
        raise TypeError(
            f"{verb}: regions are expected, as enumerate_regions(network, domain) finds them, not "
            f"{described(given)}."
        )
