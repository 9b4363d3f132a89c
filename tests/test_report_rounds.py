"""An audit's time and memory: open questions are asked again, and what has no room is left out and named."""

from __future__ import annotations

from time import monotonic

import numpy as np
import pytest

import polytope as pt
from polytope.cli.started import process_started
from polytope.engines.budget import LARGE, resident_bytes
from polytope.ir.looking import look
from polytope.labelled import Bound, Exact, Missing, Number, ends
from polytope.regions.outlines import outlines
from polytope.report.asked import AuditBudget, ModelFile, Silence
from polytope.report.audit import answered
from polytope.report.clock import MEMORY, Clock
from polytope.report.distances import distance_facts
from polytope.report.questions import Answers, shares
from polytope.report.rounds import asked_again
from polytope.report.slopes import lipschitz_facts
from polytope.report.subject import subject_of
from polytope.report.view import packed
from polytope.report.windows import windows
from tests.networks import seeded

SQUARE = pt.Polyhedron.box([-1, -1], [1, 1])


def test_what_time_left_open_is_asked_again_when_there_is_some() -> None:
    """Nothing is known without time; with it everything is, and nothing is left out for its sake."""
    model = ModelFile(seeded(3, 2, 8, 8, 2))
    points = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    subject, limits = subject_of(model, SQUARE, pt.Data(points)), AuditBudget(1e-9)
    clock = Clock(1e-9, shares(subject, []))
    answers = Answers(subject, clock, Silence(), None, [])
    before, part = answered(answers, model, limits)
    assert isinstance(before.regions.activation, Bound)
    assert not part.complete
    asked = len(clock.spent)
    clock.budget, clock.started = 100.0, monotonic()
    after, whole = asked_again(answers, before, part, limits)
    assert whole.complete
    assert after.search.complete
    count = pt.count_regions(model.network, SQUARE).lower
    assert after.regions.activation == Exact(count)
    assert isinstance(after.regions.pieces, Exact)
    assert isinstance(after.adjacency.edges, Exact)
    assert isinstance(after.lipschitz.domain, Exact)
    assert after.density is not None
    assert len(clock.spent) > asked
    again = {row.question for row in clock.spent[asked:]}
    assert {"regions, again", "linear regions and pieces, again", "adjacency, again"} <= again
    left_out = [item.what for item in clock.left_out]
    assert not any("activation regions" in what or "affine maps" in what for what in left_out)
    assert len(left_out) == len(set(left_out))


def test_a_second_answer_never_loosens_the_first() -> None:
    """Of a search that no time ends: every interval lies in the one before."""
    model = ModelFile(seeded(0, 6, 40, 40, 2))
    subject, limits = subject_of(model, pt.Polyhedron.box([-1] * 6, [1] * 6), None), AuditBudget(0.2)
    clock = Clock(0.2, shares(subject, []))
    answers = Answers(subject, clock, Silence(), None, [])
    before, part = answered(answers, model, limits)
    clock.budget, clock.started = 1.5, monotonic()
    after, more = asked_again(answers, before, part, limits)
    assert len(more) >= len(part)

    def inside(later: Number, earlier: Number) -> bool:
        return ends(later)[0] >= ends(earlier)[0] and ends(later)[1] <= ends(earlier)[1]

    for old, new in (
        (before.regions.activation, after.regions.activation),
        (before.regions.pieces, after.regions.pieces),
        (before.lipschitz.domain, after.lipschitz.domain),
    ):
        assert isinstance(old, Missing) or inside(new, old)


def test_time_counts_from_where_the_caller_says() -> None:
    late = Clock(8.0, {"all": 1.0}, started=monotonic() - 5)
    assert late.remaining == pytest.approx(3.0, abs=0.5)
    report = pt.audit(seeded(0, 2, 4, 2), SQUARE, budget=5, started=monotonic() - 100).report
    assert report.not_done


def test_a_step_without_room_ends_its_question() -> None:
    clock = Clock(float("inf"), {"all": 1.0}, max_memory=resident_bytes() + 4 * LARGE)
    clock.begin("all")
    assert clock.answered("a small step", lambda: look(LARGE) or 1, 0) == 1
    assert clock.answered("a large step", lambda: look(2**45) or 1, 0) == 0
    [item] = clock.left_out
    assert (item.what, item.why) == ("a large step", MEMORY)


def test_an_audit_without_memory_says_what_it_does_not_know() -> None:
    found = pt.audit(seeded(0, 2, 8, 8, 2), SQUARE, budget=AuditBudget(20.0, max_memory=1))
    assert not found.regions.complete
    assert found.regions.stopped_by == "memory"
    assert any(item.why == MEMORY for item in found.report.not_done)


def test_distances_that_are_known_stay_when_time_ends() -> None:
    """Of |x| - 1 at 0.5 and 3: those from before, though the clock has ended."""
    net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0])])
    subject = subject_of(ModelFile(net), pt.Polyhedron.box([-4], [4]), pt.Data([[0.5], [3.0]]))
    clock = Clock(1e-9, {"distances": 1.0}, started=monotonic() - 10)
    clock.begin("distances")
    clock._began -= 10
    known: dict[int, Number] = {0: Exact(0.5), 1: Bound(1.0, 4.0)}
    found = clock.answered("distances", lambda: distance_facts(subject, clock, known), None)
    assert found is not None
    assert found.points[0].distance == Exact(0.5)
    assert ends(found.points[1].distance)[0] >= 1.0


def test_a_process_began_before_now() -> None:
    assert 0 < monotonic() - process_started() < 1e6


def test_outlines_that_a_look_ends_are_none_and_not_some() -> None:
    complex = pt.enumerate_regions(seeded(0, 2, 8, 8, 2), SQUARE)
    clock = Clock(1e-9, {"all": 1.0}, started=monotonic() - 10)
    clock.begin("all")
    clock._began -= 10
    assert clock.answered("outlines", lambda: outlines(complex), None) is None
    assert len(outlines(complex)) == len(complex)


def test_each_slope_is_left_out_by_itself() -> None:
    """Without time for the domain and the box, the data points looked at first keep their slopes."""
    net = seeded(0, 12, 12, 12, 2)
    points = np.random.default_rng(0).uniform(-1, 1, (40, 12))
    subject = subject_of(ModelFile(net), None, pt.Data(points))
    complex = pt.enumerate_regions(subject.inside, subject.scope.domain)
    clock = Clock(1e-9, {"Lipschitz constants": 1.0})
    clock.begin("Lipschitz constants")
    found = lipschitz_facts(subject, complex, clock)
    assert found.data is not None
    norms = [np.linalg.norm(net.jacobian(x[None])[0], 2) for x in points[: found.data.points]]
    assert 0 < found.data.points < 40
    assert ends(found.data.largest)[0] == pytest.approx(max(norms), rel=1e-12)
    left_out = " ".join(item.what for item in clock.left_out)
    assert f"slopes at {40 - found.data.points} of 40 data points" in left_out
    assert isinstance(found.data_box, Bound)
    assert found.data_box.lower == pytest.approx(max(norms), rel=1e-12)


def test_a_window_of_which_no_part_is_complete_is_sampled() -> None:
    """Without memory for a search there are no regions, and the picture is the outputs on a grid."""
    subject = subject_of(ModelFile(seeded(0, 2, 8, 8, 3)), SQUARE, None)
    part = pt.enumerate_regions(subject.inside, SQUARE, max_regions=1)
    clock = Clock(float("inf"), {}, max_memory=1)
    [window] = windows(subject, part, clock)
    assert (len(window.complex), window.share) == (0, 0.0)
    assert window.sample is not None
    n = len(window.sample)
    corner = window.sample[n - 1, 0]  # rows from below: above on the left
    assert corner == pytest.approx(subject.network([[-1 + 1 / n, 1 - 1 / n]])[0])
    assert "the regions in a picture" in clock.left_out[0].what
    shown = packed(window)
    assert shown["regions"] == 0
    assert [shown["low"], shown["high"]] == [[-1.0, -1.0], [1.0, 1.0]]
