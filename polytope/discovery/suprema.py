"""How far networks are from a law anywhere in the domain: proved bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polytope.bounds.output_bounds import bounded_box
from polytope.discovery.laws import Law
from polytope.discovery.studies import Study
from polytope.engines.amounts import Seconds
from polytope.labelled import Bound, Missing, Number, nearest
from polytope.properties.equivalence import difference_bounds


def on_domain(study: Study, law: Law, max_seconds: Seconds | None) -> tuple[Number, ...]:
    """The largest ``|network - law|`` on the domain for each network of a study; no time: not computed.

    The law's network has rounded coefficients; what rounding took from them widens the bounds.
    """
    if max_seconds == 0:
        return tuple(Missing("no time was given") for _ in study.networks)
    domain = study.table.where
    network, lost = law.network()
    box = [Fraction(v) for v in np.abs(bounded_box(network, domain, "formula")).max(axis=0).tolist()]
    slack = max(
        sum((abs(v) * w for v, w in zip(row, [*box, Fraction(1)], strict=True)), Fraction(0)) for row in lost
    )
    out: list[Number] = []
    for one in study.networks:
        found = difference_bounds(one, network, domain, max_seconds=max_seconds)
        lower = nearest(max(Fraction(found.lower) - slack, Fraction(0)))[1]
        upper = nearest(Fraction(found.upper) + slack)[2] if np.isfinite(found.upper) else found.upper
        out.append(Bound(lower, upper, "search on the domain"))
    return tuple(out)
