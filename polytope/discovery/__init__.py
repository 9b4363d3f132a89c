"""Laws that networks suggest: fitted to a table of invariants, read off their regions, checked in integers.

Training needs torch, which is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from polytope.lazy import lazy

_HOMES = {
    "Table": "polytope.discovery.tables",
    "Rank": "polytope.discovery.ranks",
    "Relation": "polytope.discovery.ranks",
    "hypothesis": "polytope.discovery.studies",
    "retrain": "polytope.discovery.studies",
    "Study": "polytope.discovery.studies",
    "Scores": "polytope.discovery.studies",
    "attribution": "polytope.discovery.attributions",
    "Attribution": "polytope.discovery.attributions",
    "formula": "polytope.discovery.candidates",
    "pieces": "polytope.discovery.piecewise",
    "Candidate": "polytope.discovery.candidates",
    "Findings": "polytope.discovery.candidates",
    "Law": "polytope.discovery.laws",
    "affine_law": "polytope.discovery.laws",
    "check": "polytope.discovery.checks",
    "Check": "polytope.discovery.checks",
    "report": "polytope.discovery.pages",
}

if TYPE_CHECKING:
    from polytope.discovery.attributions import Attribution as Attribution
    from polytope.discovery.attributions import attribution as attribution
    from polytope.discovery.candidates import Candidate as Candidate
    from polytope.discovery.candidates import Findings as Findings
    from polytope.discovery.candidates import formula as formula
    from polytope.discovery.checks import Check as Check
    from polytope.discovery.checks import check as check
    from polytope.discovery.laws import Law as Law
    from polytope.discovery.laws import affine_law as affine_law
    from polytope.discovery.pages import report as report
    from polytope.discovery.piecewise import pieces as pieces
    from polytope.discovery.ranks import Rank as Rank
    from polytope.discovery.ranks import Relation as Relation
    from polytope.discovery.studies import Scores as Scores
    from polytope.discovery.studies import Study as Study
    from polytope.discovery.studies import hypothesis as hypothesis
    from polytope.discovery.studies import retrain as retrain
    from polytope.discovery.tables import Table as Table
else:
    __all__, __getattr__, __dir__ = lazy(__name__, _HOMES)
