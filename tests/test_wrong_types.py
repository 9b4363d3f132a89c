"""Arguments of wrong types end in a sentence that says what to pass, and parts do not pass for whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import adapters
import polytope as pt
from polytope.engines.amounts import in_bytes, in_seconds
from polytope.errors import IncompleteComplexError
from polytope.properties.decide import PropertyCheck
from polytope.report.asked import Silence
from polytope.report.property import property_verdict
from tests.networks import seeded

NETWORK = seeded(0, 2, 4, 2)
BOX = pt.Polyhedron.box([-1, -1], [1, 1])

MODULE = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


class Crossed(torch.nn.Module):
    """Layers that are named in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = torch.nn.Linear(8, 2), torch.nn.Linear(2, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Their sizes do not fit the order of their names."""
        found: torch.Tensor = self.last(torch.relu(self.first(x)))
        return found


WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a number for a network": ((3, BOX), {}, r"network: a Network is expected, not 3 \(int\).*from_torch"),
    "a class for a network": ((torch.nn.Linear, BOX), {}, "not the class Linear"),
    "a module of images": ((torch.nn.Conv2d(1, 2, 3), BOX), {}, r"begins with Conv2d.*from_torch\("),
    "a module without numbers": ((torch.nn.ReLU(), BOX), {}, r"no layer with parameters.*from_torch\("),
    "a module in disorder": ((Crossed(), BOX), {}, r"tried with 8 numbers.*from_torch\("),
    "pairs of another length": ((NETWORK, [[-1, 1]] * 3), {}, r"domain: a Polyhedron is.*\[\[-1, 1\], \[-1"),
    "two boxes in one": ((NETWORK, [[0, 1], [2, 3]]), {}, r"write Polyhedron\.box\(low, high\)"),
    "text for a domain": ((NETWORK, "[-1, 1]"), {}, r"Polyhedron\.box"),
    "nothing for a domain": ((NETWORK, None), {}, "not a NoneType"),
    "an unknown engine": ((NETWORK, BOX, "lpp"), {}, 'LayerSplit.*"vertices", "lp"'),
    "a class for an engine": ((NETWORK, BOX, pt.FacetFlip), {}, "LayerSplit.*the class FacetFlip"),
    "a number for an executor": ((NETWORK, BOX), {"executor": 2}, r"executor: a concurrent.*workers=2"),
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


def test_a_network_may_be_a_module_a_path_or_what_holds_one(tmp_path: Path) -> None:
    file = tmp_path / "net.npz"
    np.savez(file, W0=np.eye(2), b0=np.zeros(2), W1=np.ones((1, 2)), b1=[0.0])
    assert pt.count_regions(file, BOX).upper == pt.count_regions(str(file), BOX).upper == 4
    simple = pt.simplify(file, BOX)
    assert pt.equivalent(file, simple, BOX).status == "equal"
    example = torch.zeros(1, 2)
    read = adapters.from_torch(MODULE, example)
    adapters.to_onnx(read, tmp_path / "net.onnx")
    program = onnx.load(tmp_path / "net.onnx")
    counts = {pt.count_regions(model, BOX).upper for model in (MODULE, read, program)}
    assert len(counts) == 1
    assert pt.load is adapters.load
    assert pt.from_torch is adapters.from_torch


def test_a_level_that_is_nowhere_passed_has_no_pieces() -> None:
    assert len(pt.level_set(NETWORK, BOX, 1e6).points) == 0


VERBS: dict[Any, tuple[Any, ...]] = {
    pt.enumerate_regions: (BOX,),
    pt.prove_units: (BOX,),
    pt.lipschitz_bounds: (BOX,),
    pt.output_bounds: (BOX,),
    pt.output_range: (BOX,),
    pt.level_set: (BOX,),
    pt.class_boundary: (BOX, 0, 1),
    pt.preimage: (BOX, pt.Polyhedron.box([-1, -1], [1, 1])),
    pt.robustness_radius: ([0.1, 0.2],),
    pt.integrated_gradients: ([[0.1, 0.2]], [0, 0]),
    pt.linear_explanation: ([[0.1, 0.2]],),
    pt.exact_local_complexity: ([[0.1, 0.2]], 0.1),
    pt.centroids: ([[0.1, 0.2]],),
    pt.tropical_form: (),
    pt.region_bounds: (),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of ``NETWORK``: read in no time, where a module is traced."""
    file, parts = tmp_path_factory.mktemp("weights") / "net.npz", {}
    for i, layer in enumerate(NETWORK.layers):
        parts |= {f"W{i}": layer.maps[0].to_sparse().toarray(), f"b{i}": layer.bias}
    np.savez(file, **parts)
    return file


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.__name__))
def test_every_verb_takes_a_model(verb: Any, file: Path) -> None:
    """What a verb does with a file, as with a module, it does with its network; a number it refuses."""
    options = VERBS[verb]
    assert repr(verb(file, *options)) == repr(verb(NETWORK, *options))
    with pytest.raises(TypeError, match="a Network is expected, not 3"):
        verb(3, *options)


REGIONS = pt.enumerate_regions(NETWORK, BOX)


@pytest.mark.parametrize(
    "verb",
    [
        pt.decision_boundary,
        pt.decision_topology,
        pt.dual_graph,
        pt.effective_radius,
        pt.image,
        pt.level_set_topology,
        pt.lipschitz_constant,
        pt.plot_decision_boundary,
        pt.plot_dual_graph,
        pt.plot_regions,
        pt.plot_regions_3d,
        pt.region_lipschitz,
        pt.region_volumes,
        pt.sublevel_topology,
    ],
)
def test_what_asks_for_regions_says_so(verb: Any) -> None:
    with pytest.raises(TypeError, match=rf"{verb.__name__}: regions are expected, as enumerate_regions"):
        verb(NETWORK)


def test_boxes_are_read_where_their_meaning_is_clear() -> None:
    count = len(REGIONS)
    for box in (
        [[-1, 1], [-1, 1]],
        ([-1, -1], [1, 1]),
        (np.full(2, -1.0), np.full(2, 1.0)),
        (-1, 1),
        torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]),
    ):
        assert pt.count_regions(NETWORK, box).upper == count  # type: ignore[arg-type]
    wide = seeded(0, 3, 4, 1)
    both = [
        pt.enumerate_regions(wide, box).domain.b for box in ([[0, 1], [2, 3], [4, 5]], ([0, 2, 4], [1, 3, 5]))
    ]
    assert both[0].tolist() == both[1].tolist() == [1, 3, 5, 0, -2, -4]
    assert pt.Polyhedron.box(-1, 1, dim=3).b.tolist() == [1.0] * 6
    assert pt.Polyhedron.box([0, 1], 2, dim=2).b.tolist() == [2, 2, 0, -1]
    with pytest.raises(TypeError, match=r"of how many coordinates\? Write box\(-1, 1, dim=2\)"):
        pt.Polyhedron.box(-1, 1)
    with pytest.raises(ValueError, match=r"must be vectors of one length, 3"):
        pt.Polyhedron.box([-1, -1], [1, 1], dim=3)


def test_engines_have_names() -> None:
    for name, engine in {"lp": "LP", "vertices": "vertex", "sampling": "sampling"}.items():
        assert engine in pt.count_regions(NETWORK, BOX, name).engine


def test_tensors_are_arrays() -> None:
    weights = [(layer.weight, layer.bias) for layer in MODULE if isinstance(layer, torch.nn.Linear)]
    x = torch.ones(3, 2, requires_grad=True)
    network = pt.mlp(weights)
    assert np.array_equal(network(x), network(np.ones((3, 2))))
    assert np.abs(network(x) - MODULE(x).detach().numpy()).max() < 1e-6  # the module computes in float32
    assert REGIONS.locate(torch.zeros(2)).tolist() == REGIONS.locate([0, 0]).tolist()
    assert pt.Slice.through(x[0], torch.zeros(2)).base.tolist() == [1, 1]
    assert pt.Polyhedron.box(-x[0], x[0]).contains(x).all()
    assert pt.integrated_gradients(network, x, torch.zeros(2)).shape == (3, 2)


def test_windows_and_points_of_another_kind_are_named() -> None:
    for window in (np.zeros((3, 2)), None):
        with pytest.raises(TypeError, match=r"restrict: a Slice is expected, such as Slice\.through"):
            NETWORK.restrict(window)  # type: ignore[arg-type]
    for points in ([1.0, 2.0, 3.0], np.zeros((4, 3)), np.zeros((1, 4, 2))):
        for tolerance in (0.0, 1e-9):
            with pytest.raises(ValueError, match=r"contains: expected points of shape \[B, 2\]"):
                BOX.contains(points, tolerance)


def test_weights_that_are_no_pairs_are_named() -> None:
    for weights in ([np.eye(2), np.eye(2)], [(np.eye(2),)]):
        with pytest.raises(TypeError, match=r"mlp: layer 0 must be a pair \(W, b\)"):
            pt.mlp(weights)  # type: ignore[arg-type]


def test_a_radius_is_of_one_point() -> None:
    x = np.array([[0.1, 0.2]])
    found = pt.robustness_radius(NETWORK, x[0])
    assert pt.robustness_radius(NETWORK, x).value == found.value
    assert pt.robustness_radius(NETWORK, torch.tensor(x), domain=[[-19, 19], [-19, 19]]).value == found.value
    with pytest.raises(ValueError, match=r"one finite point of R\^2, not an array of shape \(3, 2\)"):
        pt.robustness_radius(NETWORK, np.zeros((3, 2)))


AUDITED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "a number for a network": ((3,), {}, "network: a Network is expected"),
    "points for a domain": ((MODULE, np.zeros((7, 2))), {}, r"Polyhedron.*Data points are given as data=X"),
    "a number for data": ((MODULE,), {"data": 3}, r"data: points are expected, \[n, d\].*not 3 \(int\)"),
    "text for data": ((MODULE,), {"data": b"x.npz"}, r"data: points are expected"),
    "a list for a budget": ((MODULE,), {"budget": [20]}, r'max_seconds: a number.*"20s"'),
    "a list of requirements": ((MODULE,), {"required": ["p.vnnlib"]}, r"required: pt\.Requirements"),
}


@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_names_wrong_types(name: str) -> None:
    given, options, said = AUDITED[name]
    with pytest.raises(TypeError, match=said):
        pt.audit(*given, **options)


def test_an_audit_takes_what_is_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.onnx"
    adapters.to_onnx(pt.from_torch(MODULE, torch.zeros(1, 2)), file)
    points = torch.rand(12, 2, generator=torch.Generator().manual_seed(0))
    done = pt.audit(file, [[-1, 1], [-1, 1]], data=(points, [0, 1] * 6), budget="20s", progress=True)
    assert done.report.budget.max_seconds == 20
    assert done.report.model.file is not None
    assert done.report.model.file.name == "net.onnx"
    assert done.report.data is not None
    assert done.report.data.points == 12
    assert done.regions.complete
    other = pt.audit(MODULE, (-1, 1), budget=20)
    assert len(other.regions) == len(done.regions)
    assert "\n" not in repr(done)
    frame = done._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert "&lt;html" in frame
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="progress=True or a watch"):
        pt.audit(MODULE, progress=True, watch=Silence())
    assert pt.AuditBudget("2m", engine="lp", max_memory="2GB") == pt.AuditBudget(
        120, engine=pt.LayerSplit(cells="lp"), max_memory=2**31
    )


RADIUS, RANGE, SLOPES = (pt.robustness_radius, [0.0, 0.0]), (pt.output_range, BOX), (pt.lipschitz_bounds, BOX)
SAME, APART = (pt.equivalent, NETWORK, BOX), (pt.difference_bounds, NETWORK, BOX)
IN_VERBS: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "text for a point": ((pt.robustness_radius, "x"), {}, TypeError, "x must be a point, 2 numbers, not 'x'"),
    "an unknown norm": (RADIUS, {"norm": "l7"}, ValueError, r"norm must be 1, 2 or np\.inf"),
    "a list for a norm": (RADIUS, {"norm": [2]}, ValueError, r"np\.inf"),
    "a list for p": (SLOPES, {"p": [2]}, ValueError, r"p must be 1, 2 or np\.inf"),
    "no tolerance": (SAME, {"tolerance": None}, TypeError, "tolerance: a number"),
    "no number for a tolerance": (SAME, {"tolerance": np.nan}, ValueError, "tolerance must be a finite"),
    "text for a gap": (RANGE, {"gap": "a"}, TypeError, "gap: a number is expected"),
    "text for another gap": (APART, {"gap": "a"}, TypeError, "gap: a number is expected"),
    "no workers": (SAME, {"workers": 0}, ValueError, "workers must be at least 1"),
    "half a worker": (SAME, {"workers": 0.5}, TypeError, "workers: a whole"),
    "numbers for a polytope": (
        (pt.preimage, BOX, [0, 0, 1]),
        {},
        TypeError,
        "outputs: a Polyhedron is expected",
    ),
    "a number for a baseline": (
        (pt.integrated_gradients, [[0.1, 0.2]], 0),
        {},
        ValueError,
        r"baseline: expected points of shape \[B, 2\], got \(\)",
    ),
    "a list of seconds": (RANGE, {"max_seconds": [1]}, TypeError, '"20s"'),
}


@pytest.mark.parametrize("name", IN_VERBS)
def test_other_verbs_say_what_to_pass(name: str) -> None:
    (verb, *given), options, kind, said = IN_VERBS[name]
    with pytest.raises(kind, match=said):
        verb(NETWORK, *given, **options)


def test_a_set_of_outputs_may_be_a_box() -> None:
    polytope, box = (pt.preimage(NETWORK, BOX, to) for to in (pt.Polyhedron.box(-9, 2, dim=2), (-9, 2)))
    assert polytope.volume == box.volume > 0


HUGE = 10**400  # no float64 number
NO_NUMBERS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "complex ends": (
        lambda: pt.output_range(NETWORK, [[-1j, 1], [-1, 1]]),
        TypeError,
        "domain: a Polyhedron",
    ),
    "dates": (lambda: NETWORK(np.array(["2020", "2021"], dtype="datetime64[D]")), TypeError, "Real numbers"),
    "huge ends": (lambda: pt.output_range(NETWORK, [[-HUGE, HUGE]] * 2), TypeError, "domain: a Polyhedron"),
    "a huge point": (lambda: pt.robustness_radius(NETWORK, [HUGE, 1]), TypeError, "x must be a point"),
    "a point of NaN": (
        lambda: pt.robustness_radius(NETWORK, [np.nan, 1]),
        ValueError,
        "holds NaN or infinity",
    ),
    "text for an end": (
        lambda: pt.crossings(NETWORK, "a", [1, 1]),
        TypeError,
        "crossings: a must be a point",
    ),
    "huge seconds": (lambda: pt.output_range(NETWORK, BOX, max_seconds=HUGE), ValueError, "beyond the range"),
    "huge budgets": (
        lambda: pt.enumerate_regions(NETWORK, BOX, max_regions=HUGE),
        ValueError,
        "max_regions: the number is beyond",
    ),
    "no weights": (
        lambda: pt.output_range(torch.nn.Linear(2, 2, device="meta"), BOX),
        TypeError,
        "on the device 'meta' and has no numbers",
    ),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_of_float64_is_refused(name: str) -> None:
    call, kind, said = NO_NUMBERS[name]
    with pytest.raises(kind, match=said):
        call()


def test_norms_may_be_texts() -> None:
    for text, number in (("inf", np.inf), ("max", np.inf), ("2", 2)):
        one, other = (pt.robustness_radius(NETWORK, [0.1, 0.2], norm) for norm in (text, number))
        assert one.value == other.value
        assert (
            pt.lipschitz_bounds(NETWORK, BOX, text).upper == pt.lipschitz_bounds(NETWORK, BOX, number).upper
        )


def test_an_undecided_answer_names_the_time_that_was_asked() -> None:
    check = PropertyCheck("undecided", None, None, None, 0, None, 0.023)
    assert property_verdict(check, 0.01) == "Undecided after 0.023 s (of 0.01 s asked) and 0 regions."
    assert property_verdict(check) == "Undecided after 0.023 s and 0 regions."


@pytest.mark.parametrize("seed", [0, 3])
def test_a_seed_is_as_good_as_its_generator(seed: Any) -> None:
    """Also 0, which is no word for the default."""
    rngs = (seed, np.random.default_rng(seed), 7)
    drawn = [pt.enumerate_regions(NETWORK, BOX, pt.Sampling(40, rng=rng)).interior_points for rng in rngs]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
