"""A study as a page of Markdown: ranks, scores, attributions, candidates and checks, with figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from polytope.discovery.attributions import Attribution, Method, attribution
from polytope.discovery.candidates import Candidate, Findings
from polytope.discovery.checks import Check
from polytope.discovery.shares import by_seed, percent
from polytope.discovery.studies import Study, a_study
from polytope.given import described


def report(
    study: Study,
    *,
    findings: Sequence[Findings] = (),
    checks: Sequence[Check] = (),
    folder: str | os.PathLike[str] | None = None,
    title: str = "What the networks suggest",
) -> str:
    """A page of Markdown on a study; with a folder it is written there as ``report.md``, with two figures.

    Arguments:
        study: networks and their table.
        findings: of ``formula`` and ``pieces``.
        checks: of the laws that these found, or of others.
        folder: where the page and its figures go; made where it is missing.
        title: the page's.

    Returns:
        The page.

    Raises:
        TypeError: it is no study, or there are no lists of findings and checks.
    """
    a_study(study, "report")
    for name, given, kind in (("findings", findings, Findings), ("checks", checks, Check)):
        if not isinstance(given, list | tuple):
            raise TypeError(f"report: {name} are a list of {kind.__name__}, not {described(given)}.")
        for one in given:
            if not isinstance(one, kind):
                raise TypeError(f"report: {name} are a list of {kind.__name__}; {described(one)} is none.")
    shares = [attribution(study, method) for method in get_args(Method)]
    parts = [
        f"# {_escaped(str(title))}",
        f"Target {_escaped(study.table.target)} of {_escaped(', '.join(study.table.names))}; "
        f"{len(study.networks)} networks of hidden widths {', '.join(map(str, study.settings.hidden))}.",
        "## Columns",
        _literally(str(study.table.rank)),
        "Relations without the word rounding are exact on all rows.",
        "## Scores",
        _literally(str(study.scores)),
        "Estimates: on rows that a network did not see.",
        "## What the networks use",
        _shares(shares),
        f"Estimates: means over seeds, with standard deviations. Integrated gradients add up to the change "
        f"of the output to within {shares[0].incomplete:.1e}.",
    ]
    parts += ["## Candidates"] if findings else []
    for found in findings:
        parts += [_escaped(found.said), *([_candidates(found)] if found.candidates else [])]
        parts += _of_the_law(found)
    if checks:
        parts += ["## Checks in integers", "\n".join(f"* {_escaped(str(one))}" for one in checks)]
    if folder is not None:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        _draw(study, shares, place)
        parts += ["## Figures", "![What the networks use](shares.png)", "![Outputs](outputs.png)"]
    page = "\n\n".join(parts) + "\n"
    if folder is not None:
        (place / "report.md").write_text(page, encoding="utf-8")
    return page


def _shares(shares: Sequence[Attribution]) -> str:
    """A row for each column, by each measure."""
    lines = [["column", *(one.method for one in shares)], ["---"] * (len(shares) + 1)]
    for k, name in enumerate(shares[0].names):
        lines.append([_escaped(name), *(f"{one.mean[k]:.1%} +- {one.spread[k]:.1%}" for one in shares)])
    return _table(lines)


def _candidates(found: Findings) -> str:
    """A row for each candidate."""
    lines = [["law", "found by", "seeds", "share of rows", "sup on visited regions", "sup on the domain"]]
    lines.append(["---"] * 6)
    return _table(lines + [_row(candidate) for candidate in found.candidates])


def _row(candidate: Candidate) -> list[str]:
    low, high = candidate.shares.min(), candidate.shares.max()
    return [
        _escaped(str(candidate.law)),
        candidate.source,
        f"{candidate.agreeing} of {len(candidate.shares)}",
        f"{percent(low, 1)} to {percent(high, 1)}",
        by_seed(candidate.sup_visited) or "not computed",
        by_seed(candidate.sup_domain) or "not computed",
    ]


def _of_the_law(found: Findings) -> list[str]:
    """How far the networks are from the law of all pieces, if that was asked."""
    numbers = by_seed(found.sup_domain)
    return [] if numbers is None else [f"The largest |network - law| on the domain: {numbers}."]


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _literally(text: str) -> str:
    return f"```text\n{text.replace('```', '')}\n```"


def _escaped(text: str) -> str:
    """Names of a table are anybody's: no HTML, no cell of a table, no image, no line of their own."""
    text = " ".join(text.splitlines())
    for sign, word in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, word)
    return "".join(f"\\{sign}" if sign in "\\|[`*" else sign for sign in text)


def _draw(study: Study, shares: Sequence[Attribution], place: Path) -> None:
    """The two figures."""
    from polytope.plots.discovery import outputs_figure, shares_figure  # slow to load
    from polytope.plots.files import write_picture

    table = study.table
    write_picture(
        shares_figure(table.names, {one.method: one.shares for one in shares}), place / "shares.png"
    )
    targets = [table.y[rows] for rows in study.held_out]
    outputs = [
        network(table.X[rows])[:, 0] for network, rows in zip(study.networks, study.held_out, strict=True)
    ]
    write_picture(outputs_figure(targets, outputs, table.target), place / "outputs.png")
