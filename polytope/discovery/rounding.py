"""Rational numbers of small denominator near an estimate, and when a study suggests none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polytope.discovery.asking import count
from polytope.discovery.reading import SKIPPED
from polytope.discovery.studies import Study, a_study, in_interval
from polytope.engines.amounts import Seconds, from_zero, in_seconds


def near(value: float | Fraction, max_denominator: int, tolerance: float) -> Fraction | None:
    """The nearest rational number of a denominator, if it is within a tolerance; compared in fractions.

    ``None`` from 2^53 on, where every float64 number is an integer, and of NaN.

    Example:
        >>> near(0.34, 3, 0.05), near(0.4, 3, 0.05)
        (Fraction(1, 3), None)
    """
    if not -SKIPPED < value < SKIPPED:
        return None
    given = Fraction(value)
    found = given.limit_denominator(max_denominator)
    return found if abs(found - given) <= Fraction(tolerance) else None


def asked(
    study: Study, verb: str, max_denominator: int, tolerance: float, max_seconds: Seconds | None
) -> int:
    """The denominator; what is no study, or out of range, is refused."""
    a_study(study, verb)
    if not from_zero(tolerance, f"{verb}: tolerance"):
        raise ValueError(f"{verb}: tolerance must be positive.")
    if max_seconds != 0:
        in_seconds(max_seconds, f"{verb}: max_seconds")
    return count(max_denominator, f"{verb}: max_denominator", 1)


def no_prediction(study: Study) -> str:
    """Why networks that do not predict suggest nothing."""
    if np.isnan(study.scores.network).any():
        return (
            "No candidate: R^2 is not defined where the target is constant on the rows that a network did "
            "not see; more rows, or a larger holdout, are needed."
        )
    return (
        "No candidate: the networks do not say more of rows that they did not see than a constant does; "
        f"held-out R^2 {in_interval(study.scores.network)}."
    )
