"""The audit: a network and a domain in; a report for people (HTML) and for machines (JSON) out."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any

from polytope.given import DomainLike, NetworkLike
from polytope.labelled import in_words
from polytope.regions.complex import RegionComplex
from polytope.report.asked import AuditBudget, ModelFile, Requirements, Watch
from polytope.report.checks import outcome, read_check
from polytope.report.clock import Clock
from polytope.report.data_facts import data_facts
from polytope.report.fields import plain
from polytope.report.given import DataLike, as_budget, as_data, as_model, as_requirements, as_scope, shown
from polytope.report.html import Picture, page
from polytope.report.model import model_facts
from polytope.report.network_sections import DomainFacts
from polytope.report.questions import Answers, shares
from polytope.report.regions import search_facts
from polytope.report.rounds import asked_again
from polytope.report.scope import Scope
from polytope.report.sections import BudgetFacts, Report
from polytope.report.subject import subject_of
from polytope.report.verdict import verdict
from polytope.report.view import Points, points_of
from polytope.report.windows import Window

PACKAGES = ("numpy", "scipy", "highspy", "networkx", "torch", "onnx", "onnxruntime")


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Arguments:
        report: its sections; every number in them is ``Exact``, a ``Bound``, an ``Estimate`` or ``Missing``.
        regions: the complex that it speaks about.
        windows: the planes that the page shows.
        pictures: for the page, where it is printed or scripts do not run.
        points: the classes of the data points, for the page.
        interrupted: whether the keyboard ended it before its questions were answered.
    """

    report: Report
    regions: RegionComplex
    windows: tuple[Window, ...] = ()
    pictures: tuple[Picture, ...] = ()
    interrupted: bool = False
    points: Points | None = None

    def __repr__(self) -> str:
        count = self.report.regions.activation
        return (
            f"Audit({in_words(count)} activation regions ({count.label}) in {self.report.domain.description})"
        )

    def _repr_html_(self) -> str:
        """The page of the report, in a frame of its own: its script and styles touch nothing else."""
        text = page(self.report, self.windows, self.pictures)
        style = "width:100%;height:640px;border:1px solid #ccc"
        return f'<iframe srcdoc="{escape(text)}" style="{style}" title="audit report"></iframe>'

    @property
    def failed(self) -> tuple[str, ...]:
        """Why checks failed: a reason for each violated property and each check that does not pass."""
        violated = [f"{row.file}: violated" for row in self.report.properties if row.status == "violated"]
        checks = [f"{row.check}: {row.reason}" for row in self.report.checks if row.result != "passes"]
        return (*violated, *checks)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The properties that the budget, or what they state, left open."""
        rows = self.report.properties
        return tuple(row.file for row in rows if row.status in ("undecided", "not checked"))

    def as_dict(self) -> dict[str, Any]:
        """The content of ``report.json``: the sections as dictionaries, every number with its label."""
        found: dict[str, Any] = plain(self.report)
        return found

    def write_json(self, path: str | Path) -> Path:
        """Write the report for machines; ``polytope/report/templates/report.schema.json`` describes it.

        Arguments:
            path: the file; one that exists is replaced.

        Returns:
            The same path.
        """
        Path(path).write_text(json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return Path(path)

    def write_html(self, path: str | Path) -> Path:
        """Write the report for people: one file that opens from disk and loads nothing.

        Arguments:
            path: the file; one that exists is replaced.

        Returns:
            The same path.
        """
        text = page(self.report, self.windows, self.pictures, self.points)
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
        return Path(path)


def audit(
    network: NetworkLike | ModelFile,
    domain: DomainLike | Scope | None = None,
    *,
    data: DataLike | None = None,
    required: Requirements | None = None,
    budget: AuditBudget | float | str | None = None,
    progress: bool = False,
    watch: Watch | None = None,
    partial: bool = False,
    started: float | None = None,
) -> Audit:
    r"""Run every audit analysis of a network within one time budget.

    Reading the model, loading torch and drawing count too. Every question gets a share of the time that is
    left, and what it does not use flows on to later ones; those that end as an interval are asked again as
    long as time is left. What did not fit is listed in the report, with the reason. A question may take a
    tenth of a second more than its share, and ends between two steps of its passes through the layers; the
    smallest step of a few is a pass through all of them, so that of networks with millions of units the whole
    takes longer. Loading torch is one step.

    Arguments:
        network: a piecewise-affine network, or one with its file and the model's own runtime; the path of a
            model file or a PyTorch module will do.
        domain: where to look: a polyhedron in the input space, or ``Scope.of(domain, window)`` for one in the
            coordinates of a slice, or a box as of ``enumerate_regions``. By default around the data, or near
            the origin; the report says which.
        data: points to look around, perhaps with their classes: ``Data``, an array ``[n, d]``, a pair, or a
            file, ``.npz``, ``.npy`` or ``.csv``.
        required: properties and checks; none by default.
        budget: ``AuditBudget()`` by default: a minute; or its seconds, 20 or "20s".
        progress: whether to show a bar in the terminal or the notebook; ``partial`` then holds too.
        partial: whether Ctrl-C ends the questions only, and the report holds what was found before:
            ``Audit.interrupted`` says so. Otherwise it is a ``KeyboardInterrupt`` as anywhere.
        watch: told what is done: ``stage(words)`` when a question is begun, ``regions(found, open_cells)``.
        started: the reading of ``time.monotonic`` from which the time counts; by default that of the call.

    Raises:
        ValueError: domain, points or labels do not fit.
        TypeError: something else is given; the message says what is expected.
        EmptyDomainError: the domain has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> pt.audit(net, pt.Polyhedron.box([-1], [1])).report.regions.activation
        Exact(value=2, note='')
    """
    started = monotonic() if started is None else started
    model, asked = as_model(network), as_requirements(required)
    points = as_data(data, model.network)
    subject = subject_of(model, as_scope(domain, model.network), points)
    limits, files = as_budget(budget), [Path(name) for name in asked.properties]
    clock = Clock(
        float("inf") if limits.max_seconds is None else limits.max_seconds,
        shares(subject, files),
        partial=partial or progress,
        max_memory=limits.max_memory,
        started=started,
    )
    with shown(progress, watch) as told:
        answers = Answers(subject, clock, told, points.radius if points else None, files)
        report, complex = answered(answers, model, limits)
        told.stage("")
    checks = tuple(outcome(read_check(text), report) for text in asked.fail_on)
    report = replace(report, checks=checks, verdict=verdict(report))
    windows, pictures = tuple(answers.windows), answers.pictures
    return Audit(report, complex, windows, pictures, clock.interrupted, points_of(subject))


def answered(answers: Answers, model: ModelFile, budget: AuditBudget) -> tuple[Report, RegionComplex]:
    """The answers to all questions, and the regions that they are about."""
    answers.prepare()
    conversion = answers.conversion()
    complex = answers.search(budget)
    answers.draw(complex)
    report = Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=model_facts(model.network, Path(model.path) if model.path else None, model.piece),
        domain=_domain_facts(answers.subject.scope),
        data=data_facts(answers.subject),
        search=search_facts(complex),
        conversion=conversion,  # and now the questions in their order
        regions=answers.regions(complex),
        redundancy=answers.redundancy(complex),
        adjacency=answers.adjacency(complex),
        coverage=answers.coverage(complex),
        lipschitz=answers.lipschitz(complex),
        properties=answers.properties(),
        density=answers.density(),
        local_complexity=answers.local_complexity(),
        distances=answers.distances(),
        budget=BudgetFacts(budget.max_regions, budget.max_seconds, ()),
        not_done=(),
        environment=_environment(),
    )
    answers.clock.end()
    report, complex = asked_again(answers, report, complex, budget)
    answers.clock.end()
    spent, left_out = tuple(answers.clock.spent), tuple(answers.clock.left_out)
    return replace(report, budget=replace(report.budget, questions=spent), not_done=left_out), complex


def _domain_facts(scope: Scope) -> DomainFacts:
    return DomainFacts(
        kind=scope.kind,
        dim=scope.domain.dim,
        description=scope.description,
        chosen_by=scope.chosen_by,
        low=None if scope.low is None else tuple(scope.low.tolist()),
        high=None if scope.high is None else tuple(scope.high.tolist()),
    )


def _environment() -> dict[str, str]:
    """Versions of what took part."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for package in ("polytope-nn", *PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
