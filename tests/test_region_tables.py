"""Regions by index and slice, around their polygons, as tables, GeoJSON and in notebooks."""

import builtins
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope.errors import UnboundedDomainError
from polytope.plots.planar import area
from tests.networks import NETWORKS, seeded

BOX = pt.Polyhedron.box([-1, -1], [1, 1])
WHOLE = pt.enumerate_regions(seeded(0, 2, 12, 8, 2), BOX)
PART = pt.enumerate_regions(WHOLE.network, BOX, max_regions=9)


def test_regions_have_indices_and_slices() -> None:
    assert [region.number for region in WHOLE[2:5]] == [2, 3, 4]
    assert [region.number for region in WHOLE[-2:]] == [len(WHOLE) - 2, len(WHOLE) - 1]
    assert WHOLE[np.int64(3)].number == WHOLE[3 - len(WHOLE)].number == 3
    with pytest.raises(IndexError, match="There is no region"):
        _ = WHOLE[len(WHOLE)]
    for wrong in (1.5, "a", [1, 2]):
        with pytest.raises(TypeError, match=r"by its number.*\[2:4\]"):
            _ = WHOLE[wrong]  # type: ignore[call-overload]


def turns(polygon: np.ndarray) -> np.ndarray:
    """The cross products of consecutive edges; none negative where the corners go around counterclockwise."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    after = np.roll(edges, -1, axis=0)
    return edges[:, 0] * after[:, 1] - edges[:, 1] * after[:, 0]


@pytest.mark.parametrize("complex", [WHOLE, PART], ids=["all", "some"])
def test_polygons_go_around_and_have_the_volumes(complex: pt.RegionComplex) -> None:
    """By the polygons and, exactly rounded, by the vertices of every region: the same corners and areas."""
    volumes = complex.volumes()
    for region, polygon in zip(complex, complex.polygons(), strict=True):
        vertices = region.vertices()
        assert (turns(vertices) > 0).all()
        # float64 coordinates in [-1, 1], whose errors the search bounds far below 1e-9
        assert abs(area(closed(polygon)) - volumes[region.number]) < 1e-9
        assert abs(area(closed(vertices)) - volumes[region.number]) < 1e-9
        assert vertices.tolist()[0] == min(vertices.tolist())


def closed(polygon: np.ndarray) -> np.ndarray:
    """The polygon with its first corner at the end, too."""
    return np.concatenate([polygon, polygon[:1]])


def test_the_vertices_of_plane_polyhedra_go_around() -> None:
    assert BOX.vertices().tolist() == [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    rng = np.random.default_rng(0)
    for _ in range(20):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
        A = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        some = pt.Polyhedron(np.concatenate([A, BOX.A]), np.concatenate([rng.uniform(0.2, 1, 9), BOX.b]))
        corners = some.vertices()
        assert (turns(corners) > 0).all()
        assert abs(area(closed(corners)) - some.volume()) < 1e-12  # 13 corners, sums of a few ulps of 4


def test_slivers_of_1e_17_go_around() -> None:
    """Angles in float64 could not order these corners: they are ordered as fractions."""
    thin = pt.Polyhedron([[1, 1e17], [-1, -1e17], [1, 0], [-1, 0]], [1, 0, 1, 1])
    corners = thin.vertices()
    assert len(corners) == 4
    assert corners[0].tolist() == min(corners.tolist())
    assert corners[:, 0].tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize("complex", [WHOLE, PART], ids=["all", "some"])
def test_neighbours_are_those_of_the_dual_graph(complex: pt.RegionComplex) -> None:
    graph = complex.adjacency()
    for region in complex:
        assert region.neighbours.tolist() == sorted(graph[region.number])


def test_the_affine_map_and_the_class_of_a_region() -> None:
    for region in WHOLE:
        J, c = region.affine
        assert np.array_equal(J, region.jacobian[0])
        assert np.array_equal(c, region.jacobian[1])
        values = WHOLE.network(region.interior_point)
        assert region.label == values.argmax()
        assert np.abs(J @ region.interior_point + c - values).max() < 1e-12  # two orders of sums of 12 terms
    one = pt.enumerate_regions(seeded(1, 2, 6, 1), BOX)
    assert {region.label for region in one} <= {0, 1}
    assert all(region.label == (one.network(region.interior_point)[0] > 0) for region in one)


@pytest.mark.parametrize("complex", [WHOLE, PART], ids=["all", "some"])
def test_a_table_has_a_row_a_region(complex: pt.RegionComplex) -> None:
    table = complex.to_pandas()
    assert list(table.columns) == ["x0", "x1", "label", "on", "neighbours", "volume", "y0", "y1"]
    assert table.attrs["complete"] == complex.complete
    assert np.array_equal(table[["x0", "x1"]], complex.interior_points)
    for region in complex:
        row = table.loc[region.number]
        assert (row.label, row.neighbours) == (region.label, len(region.neighbours))
        assert row.on == (region.pattern != 0).sum()
    assert np.array_equal(table.volume, complex.volumes())


def test_an_unbounded_domain_has_a_table_without_volumes() -> None:
    plane = pt.enumerate_regions(seeded(0, 2, 4, 1), pt.Polyhedron.whole_space(2), pt.FacetFlip())
    assert "volume" not in plane.to_pandas()
    with pytest.raises(UnboundedDomainError):
        plane.to_geojson()


def test_without_pandas_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="to_pandas needs pandas: pip install pandas"):
        WHOLE.to_pandas()


def test_geojson_holds_closed_rings() -> None:
    found = json.loads(json.dumps(WHOLE.to_geojson()))
    assert (found["type"], found["complete"], len(found["features"])) == (
        "FeatureCollection",
        True,
        len(WHOLE),
    )
    for feature, polygon in zip(found["features"], WHOLE.polygons(), strict=True):
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert ring[:-1] == polygon.tolist()
        assert feature["properties"]["label"] == WHOLE[feature["id"]].label
    assert PART.to_geojson()["complete"] is False


def test_a_complex_draws_itself_with_points() -> None:
    points = np.array([[0.1, 0.2], [0.5, -3.0]])
    axes = WHOLE.plot(points=points)
    assert len(axes.collections[0].get_paths()) == len(WHOLE)
    assert np.array_equal(np.asarray(axes.collections[1].get_offsets()), points)
    assert axes.get_ylim()[0] > -2  # the picture stays where it is
    with pytest.raises(ValueError, match=r"points: an array \[B, 2\]"):
        WHOLE.plot(points=[1.0, 2.0])


def test_notebooks_show_numbers_and_a_picture() -> None:
    whole, part = WHOLE._repr_html_(), PART._repr_html_()
    assert f"{len(WHOLE)} activation regions: all of them (exact)" in whole
    assert f"9 to {PART.upper:,} activation regions (bounds: not complete)" in part
    assert whole.count("<polygon") == len(WHOLE)
    assert part.count("<polygon") == 9
    many = replace(PART, found=replace(PART.found, open_bound=10**5000))
    assert repr(many) == "RegionComplex(9 to 10^5000 regions, in 2 dimensions, 20 units)"
    assert "9 to 10^5000 activation regions" in many._repr_html_()
    with pytest.raises(pt.errors.IncompleteComplexError, match=r"9 to 10\^5000"):
        many.require_complete("this")
    solid = pt.enumerate_regions(seeded(0, 3, 4, 1), pt.Polyhedron.box(-1, 1, dim=3))
    assert "<svg" not in solid._repr_html_()


def test_a_large_complex_is_drawn_in_part() -> None:
    large = pt.enumerate_regions(seeded(0, 2, 64, 64, 1), BOX)
    assert len(large) > 2000
    page = large._repr_html_()
    assert page.count("<polygon") == 2000
    assert "the first 2,000 of these regions" in page


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_is_shown_in_a_line_and_a_page(name: str) -> None:
    network = NETWORKS[name]
    network = network() if callable(network) and not isinstance(network, pt.Network) else network
    assert "\n" not in repr(network)
    assert "<table" in network._repr_html_()
