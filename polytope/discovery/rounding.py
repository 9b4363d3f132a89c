"""Rational numbers of small denominator near an estimate, and when a study suggests none."""

from __future__ import annotations

from fractions import Fraction

from polytope.discovery.studies import Study, in_interval


def near(value: float | Fraction, max_denominator: int, tolerance: float) -> Fraction | None:
    """The nearest rational number of a denominator, if it is within a tolerance; compared in fractions.

    Example:
        >>> near(0.34, 3, 0.05), near(0.4, 3, 0.05)
        (Fraction(1, 3), None)
    """
    given = Fraction(value)
    found = given.limit_denominator(max_denominator)
    return found if abs(found - given) <= Fraction(tolerance) else None


def asked(max_denominator: int, tolerance: float) -> None:
    """Refuse a denominator below 1, and a tolerance that is not positive."""
    if max_denominator < 1 or not tolerance > 0:
        raise ValueError("max_denominator is 1 at least, and tolerance positive.")


def no_prediction(study: Study) -> str:
    """Why networks that do not predict suggest nothing."""
    return (
        "No candidate: the networks do not say more of rows that they did not see than a constant does; "
        f"held-out R^2 {in_interval(study.scores.network)}."
    )
