"""Pictures show the numbers: areas, facets, edges and bounds are those of the complex."""

import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from typer.testing import CliRunner

import polytope as pt
from polytope.__main__ import app
from polytope.cli.drawing import draw_complex
from polytope.cli.options import Colour, Subject
from polytope.engines.budget import Budget, BudgetSpent
from polytope.ir.looking import watched
from polytope.plots.files import new_figure, write_picture
from polytope.plots.planar import area, jacobian_norms_in_time, outlines, outlines_in_time
from polytope.plots.regions import MANY, class_parts, plot_regions
from polytope.plots.surfaces import solid
from tests.networks import integer, seeded

EXAMPLES = Path(__file__).parents[1] / "examples"
SQUARE = pt.Polyhedron.box([-1, -1], [1, 1])
CUBE = pt.Polyhedron.box([-1] * 3, [1] * 3)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def hull_area(points: np.ndarray) -> float:
    """The area of a convex polygon in space whose corners are in order."""
    crosses = np.cross(points[1:-1] - points[0], points[2:] - points[0])
    return float(np.linalg.norm(crosses.sum(axis=0)) / 2)


@pytest.mark.parametrize("network", [seeded(0, 2, 8, 8, 3), integer(1, 2, 6, 6, 2)], ids=["real", "integer"])
def test_polygons_are_the_regions(network: pt.Network) -> None:
    """Their areas are the volumes, of a complete complex and of a partial one."""
    regions = pt.enumerate_regions(network, SQUARE)
    areas = [area(corners) for corners in outlines(regions)]
    np.testing.assert_allclose(areas, regions.volumes(), rtol=1e-9, atol=1e-14)
    some = pt.enumerate_regions(network, SQUARE, max_regions=3)
    assert not some.complete
    np.testing.assert_allclose([area(c) for c in outlines(some)], some.volumes(), rtol=1e-9)
    _, given = plt.subplots()
    assert pt.plot_regions(some, given) is given
    assert given.get_aspect() == 1
    assert len(given.collections[0].get_paths()) == len(some)


@pytest.mark.parametrize(
    "network",
    [seeded(3, 2, 10, 8, 4), seeded(4, 2, 10, 10, 1), seeded(5, 2, 3)],
    ids=["four classes", "sign", "affine"],
)
def test_class_areas_tile_the_domain(network: pt.Network) -> None:
    """Every part lies where its class is the largest; together they fill the square; the lines part them."""
    regions = pt.enumerate_regions(network, SQUARE)
    parts = list(class_parts(regions))
    assert sum(area(part) for _, part in parts) == pytest.approx(4.0, rel=1e-12)
    outputs = network(np.array([part.mean(axis=0) for _, part in parts]))
    expected = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
    sizes = np.array([area(part) for _, part in parts])
    np.testing.assert_array_equal(np.array([k for k, _ in parts])[sizes > 1e-12], expected[sizes > 1e-12])
    ax = pt.plot_decision_boundary(regions)
    segments = ax.collections[1].get_segments()
    boundary = pt.decision_boundary(regions)
    lengths = [np.linalg.norm(b - a) for a, b in segments]
    assert sum(lengths) == pytest.approx(boundary.area)
    shown = {text.get_text() for text in ax.get_legend().get_texts()}
    present = {f"class {k}" for k, _ in parts}
    assert shown == present | ({"decision boundary"} if len(boundary) else set())


def test_classes_have_their_names() -> None:
    corner = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-0.5])])
    regions = pt.enumerate_regions(corner, SQUARE)
    ax = pt.plot_decision_boundary(regions, names=["cat", "dog"])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"cat", "dog", "decision boundary"}
    with pytest.raises(ValueError, match="2 classes, got 1"):
        pt.plot_decision_boundary(regions, names=["cat"])
    partial = pt.enumerate_regions(seeded(3, 2, 10, 8, 2), SQUARE, max_regions=2)
    with pytest.raises(pt.errors.IncompleteComplexError):
        pt.plot_decision_boundary(partial)


@pytest.mark.parametrize("network", [seeded(7, 3, 8, 6, 3), integer(2, 3, 5, 4, 2)], ids=["real", "integer"])
def test_facets_of_solids_close(network: pt.Network) -> None:
    """Facets come in pairs or lie on the domain, whose surface they tile; their number is the edges'."""
    regions = pt.enumerate_regions(network, CUBE)
    facets = solid(regions)
    areas = np.array([hull_area(facets.polygon(f)) for f in range(len(facets.region))])
    outside = facets.across < 0
    assert areas[outside].sum() == pytest.approx(24.0, rel=1e-12)
    pairs = np.sort(np.stack([facets.region, facets.across], axis=1)[~outside], axis=1)
    neighbours = np.sort(regions.neighbours, axis=1)
    assert {tuple(pair) for pair in pairs.tolist()} == {tuple(pair) for pair in neighbours.tolist()}
    assert len(pairs) % 2 == 0
    both = areas[~outside][np.lexsort(pairs.T)].sum()
    assert both == pytest.approx(2 * areas[~outside & (facets.region < facets.across)].sum(), rel=1e-9)
    for f in range(len(facets.region)):
        inner = regions.interior_points[facets.region[f]]
        corners = facets.polygon(f)
        normal = np.linalg.svd(corners - corners.mean(axis=0))[2][2]
        assert np.abs((corners - corners[0]) @ normal).max() < 1e-9
        assert abs((inner - corners[0]) @ normal) > 0


def test_solids_are_cut_open() -> None:
    """With all regions shown the surface is the cube's; what is hidden opens the facets behind it."""
    regions = pt.enumerate_regions(seeded(7, 3, 8, 6, 3), CUBE)
    facets = solid(regions)
    everything = pt.plot_regions_3d(regions, shown=np.ones(len(regions)))
    polygons = [facets.polygon(f) for f in np.flatnonzero(facets.across < 0)]
    seen = [p for p in polygons if (p[:, 0] == 1).all() or (p[:, 1] == -1).all() or (p[:, 2] == 1).all()]
    assert len(everything.collections[0].get_facecolor()) == len(seen) < len(polygons)
    one = np.zeros(len(regions), dtype=bool)
    one[5] = True
    alone = pt.plot_regions_3d(regions, values=np.arange(len(regions)), shown=one)
    assert 0 < len(alone.collections[0].get_facecolor()) < (facets.region == 5).sum()
    sides = np.ptp([alone.get_xlim(), alone.get_ylim(), alone.get_zlim()], axis=1)
    np.testing.assert_allclose(alone.get_box_aspect() / sides, (alone.get_box_aspect() / sides)[0])
    with pytest.raises(ValueError, match="one for each"):
        pt.plot_regions_3d(regions, values=[1.0])
    with pytest.raises(ValueError, match="3d"):
        pt.plot_regions_3d(regions, plt.subplots()[1])
    with pytest.raises(ValueError, match="three dimensions"):
        pt.plot_regions_3d(pt.enumerate_regions(seeded(0, 2, 4, 1), SQUARE))
    with pytest.raises(pt.errors.IncompleteComplexError):
        pt.plot_regions_3d(pt.enumerate_regions(seeded(7, 3, 8, 6, 3), CUBE, max_regions=4))


def test_a_boundary_in_space_has_a_colour_for_each_pair_of_classes() -> None:
    regions = pt.enumerate_regions(seeded(7, 3, 8, 6, 3), CUBE)
    found = pt.decision_boundary(regions)
    ax = pt.plot_decision_boundary(regions)
    assert len(ax.collections[0].get_facecolor()) == len(found) > 0
    shown = {text.get_text() for text in ax.get_legend().get_texts()}
    assert shown == {f"class {i} | class {j}" for i, j in found.classes}


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_graph_has_an_edge_for_each_shared_facet(d: int) -> None:
    regions = pt.enumerate_regions(seeded(d, d, 6, 4, 1), pt.Polyhedron.box([-1] * d, [1] * d))
    ax = pt.plot_dual_graph(regions)
    lines, nodes = ax.collections
    graph = regions.adjacency()
    assert len(lines.get_segments()) == graph.number_of_edges()
    np.testing.assert_array_equal(nodes.get_array(), [graph.degree(i) for i in range(len(regions))])
    places = np.asarray(nodes.get_offsets())
    for (a, b), (i, j) in zip(lines.get_segments(), regions.neighbours, strict=True):
        np.testing.assert_array_equal([a, b], places[[i, j]])
    if d == 2:
        np.testing.assert_array_equal(places, regions.interior_points)
    with pytest.raises(ValueError, match="two dimensions"):
        pt.plot_dual_graph(pt.enumerate_regions(seeded(0, 1, 4, 1), pt.Polyhedron.box([-1], [1])))


def test_counts_stand_next_to_their_bounds() -> None:
    network = seeded(0, 2, 8, 8, 1)
    stopped = pt.count_regions(network, SQUARE, max_regions=3)
    bounds = pt.region_bounds(network)
    ax = pt.plot_region_bounds({"whole": (100, bounds), "stopped": (stopped, bounds)})
    by_name = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(by_name["counted"].get_ydata(), np.log10([100, stopped.lower]))
    np.testing.assert_allclose(by_name["Serra et al."].get_ydata(), np.log10([bounds.serra] * 2))
    [[(_, low), (_, high)]] = ax.collections[0].get_segments()
    assert (low, high) == pytest.approx((np.log10(stopped.lower), np.log10(stopped.upper)))
    with pytest.raises(ValueError, match="at least one"):
        pt.plot_region_bounds({})


def test_many_regions_are_drawn_as_pixels_and_without_edges() -> None:
    network = seeded(11, 2, 48, 40, 1)
    regions = pt.enumerate_regions(network, SQUARE)
    assert len(regions) > MANY / 2
    few = pt.plot_regions(regions, polygons=outlines(regions)[:1], values=np.zeros(len(regions)))
    assert not few.collections[0].get_rasterized()
    doubled = [*outlines(regions), *outlines(regions), *outlines(regions)]
    many = pt.plot_regions(regions, polygons=doubled)
    assert many.collections[0].get_rasterized()
    assert many.collections[0].get_linewidth()[0] <= 0.1


def test_files_are_equal_for_equal_figures(tmp_path: Path) -> None:
    regions = pt.enumerate_regions(seeded(0, 2, 5, 1), SQUARE)
    starts = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        written = []
        for name in ("a", "b"):
            figure = new_figure()
            pt.plot_regions(regions, figure.add_subplot())
            written.append(write_picture(figure, tmp_path / (name + suffix)).read_bytes())
        assert written[0] == written[1]
        assert written[0].startswith(start)
    with pytest.raises(ValueError, match=r"must end in one of \.svg"):
        write_picture(figure, tmp_path / "a.bmp")


@pytest.mark.parametrize("what", ["regions", "boundary", "graph", "bounds", "complexity"])
def test_the_command_draws(what: str, tmp_path: Path) -> None:
    out = tmp_path / "picture.svg"
    window = ["--window", EXAMPLES / "data" / "digits_test.npz", "--window-indices", "6,15,13"]
    command = ["plot", EXAMPLES / "models" / "digits_mlp.onnx", *window, "--what", what, "--out", out]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.stderr
    assert f"written: {out}" in done.stdout
    assert "<svg" in out.read_text()


def test_the_command_says_what_is_missing_of_a_picture(tmp_path: Path) -> None:
    window = ["--window", EXAMPLES / "data" / "digits_test.npz", "--max-regions", 9]
    command = ["plot", EXAMPLES / "models" / "digits_mlp.onnx", *window, "--out", tmp_path / "part.svg"]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(word) for word in command])
    assert done.exit_code == 4, done.stderr
    assert re.search(r"^not complete: \d+ regions found, not all$", done.stdout, flags=re.MULTILINE)


def test_the_command_says_what_it_cannot_draw(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", W0=np.eye(4), b0=np.zeros(4), W1=np.ones((1, 4)), b1=np.zeros(1))
    model = str(tmp_path / "net.npz")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["plot", model, *words])
        return done.exit_code, done.stderr

    assert run("--out", "a.bmp") == (2, "'a.bmp' must end in one of .svg, .png, .pdf.\n")
    code, said = run("--out", str(tmp_path / "a.svg"))
    assert (code, "two or three dimensions, not 4" in said) == (2, True)
    code, said = run("--what", "complexity", "--out", str(tmp_path / "a.svg"))
    assert (code, "box of two dimensions" in said) == (2, True)
    code, said = run("--box", "-1,-1,-1,0", "1,1,1,0", "--max-regions", "2", "--out", str(tmp_path / "a.svg"))
    assert (code, "needs all regions" in said) == (4, True)  # a budget stopped the search
    code, _ = run("--box", "-1,-1,0,0", "1,1,0,0", "--max-regions", "2", "--out", str(tmp_path / "a.svg"))
    assert code == 4
    code, _ = run("--box", "-1,-1,-1,0", "1,1,1,0", "--color-by", "volume", "--out", str(tmp_path / "a.pdf"))
    assert code == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_regions_that_time_did_not_allow_to_colour_are_grey(allowed: int) -> None:
    network, calls = seeded(0, 2, 8, 6, 1), [0]
    every = pt.enumerate_regions(network, SQUARE, keep="vertices")

    def told(_: int) -> None:
        calls[0] += 1
        if calls[0] > allowed:
            raise BudgetSpent

    with watched(told):
        norms = jacobian_norms_in_time(every)
    known = jacobian_norms_in_time(every)
    some = ~np.isnan(norms)
    assert some.sum() < len(every)
    assert not some[int(some.sum()) :].any()
    np.testing.assert_array_equal(norms[some], known[some])
    np.testing.assert_allclose(known, np.linalg.norm(network.affine(every.patterns)[0], axis=(1, 2)))
    cells = plot_regions(every, values=norms).collections[0]
    assert isinstance(cells, PolyCollection)
    cells.update_scalarmappable()
    grey = np.isclose(cells.get_facecolor(), to_rgba("lightgrey")).all(axis=1)
    np.testing.assert_array_equal(grey, ~some)


@pytest.mark.parametrize("colour", Colour)
@pytest.mark.parametrize("engine", ["vertices", "lp"])
def test_wherever_time_ends_there_is_a_picture(
    colour: Colour, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between the outlines and the colours."""
    every, whole = pt.enumerate_regions(seeded(0, 2, 8, 6, 1), SQUARE, engine), []
    for allowed in (0, 10, 20, 40, 80, 10**9):
        left = [allowed]

        def told(_: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise BudgetSpent

        monkeypatch.setattr(Budget, "look", staticmethod(told))
        figure, drawn = draw_complex(Subject.REGIONS, every, colour, corners=False)
        assert drawn is (figure.axes[0].get_title() == "")
        whole.append(drawn)
    assert not whole[0]
    assert whole[-1]


def test_partial_pictures_outline_what_time_allows_and_mark_the_rest() -> None:
    network = seeded(0, 2, 8, 6, 1)
    some = pt.enumerate_regions(network, SQUARE, max_regions=12)
    assert not some.complete
    every = outlines(some)
    for allowed in (0, 30, 200, 10**9):
        left = [allowed]

        def told(_: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise BudgetSpent

        with watched(told):
            drawn = outlines_in_time(some)
        assert all(np.allclose(a, b) for a, b in zip(drawn, every, strict=False))
    assert len(drawn) == 12
    for seconds in (1e-9, None):
        figure, whole = draw_complex(Subject.REGIONS, some, Colour.JACOBIAN, corners=False, seconds=seconds)
        ax = figure.axes[0]
        shown = len(ax.collections[0].get_paths()) if ax.collections else 0
        marked = sum(len(line.get_xdata()) for line in ax.lines)
        assert (shown, marked) == ((0, 12) if seconds else (12, 0))
        assert whole is not bool(seconds)
        assert ax.get_title().startswith("12 regions found, not all")
