"""Forged certificates, of twenty kinds and more: hashes and counts fit, and the mathematics does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polytope import Polyhedron, enumerate_regions, verify_certificate
from polytope.errors import CertificateError
from tests.mutated_directories import arrays_of, reseal
from tests.networks import seeded, unit_box_of

Regions = list[dict[str, Any]]
LISTS = ("facet_unit", "facet_key", "facet_row")
SHARD = Path("regions") / "shard-000000.parquet"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate in one shard."""
    directory = tmp_path_factory.mktemp("certificates") / "run"
    network = seeded(0, 3, 8, 6, 1)
    enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), directory=directory, certificate=True)
    assert [file.name for file in directory.rglob("shard-*.parquet")] == [SHARD.name]
    return directory


def forged(honest: Path, tmp_path: Path, change: Callable[[Regions], object]) -> Path:
    """A copy whose regions were changed, with hashes and counts that fit."""
    run = Path(shutil.copytree(honest, tmp_path / "run"))
    table = pq.read_table(run / SHARD)
    regions = table.to_pylist()
    change(regions)
    search = json.loads(table.schema.metadata[b"search"]) | {"regions": len(regions)}
    schema = table.schema.with_metadata({"search": json.dumps(search)})
    pq.write_table(pa.Table.from_pylist(regions, schema=schema), run / SHARD)
    seal = json.loads((run / "certificate.json").read_text())
    (run / "certificate.json").write_text(json.dumps(seal | {"regions": len(regions)}, indent=1))
    reseal(run)
    return run


def found_out(run: Path) -> str:
    with pytest.raises(CertificateError) as caught:
        verify_certificate(run)
    return str(caught.value)


def inner(region: dict[str, Any]) -> int:
    """The place of a facet that is not on the domain's boundary."""
    return next(place for place, key in enumerate(region["facet_key"]) if key)


def across(regions: Regions, region: int, place: int) -> tuple[int, int]:
    """The region behind a facet, and the facet's place there."""
    key = regions[region]["facet_key"][place]
    [other] = [
        (k, p)
        for k, held in enumerate(regions)
        for p, own in enumerate(held["facet_key"])
        if own == key and k != region
    ]
    return other


def drop(region: dict[str, Any], place: int) -> None:
    """A facet less."""
    for name in LISTS:
        del region[name][place]


def wall_of(regions: Regions) -> tuple[int, int]:
    """A region and the place of its facet on the domain's boundary."""
    return next((k, r["facet_key"].index(0)) for k, r in enumerate(regions) if 0 in r["facet_key"])


def deleted_behind_walls(regions: Regions) -> None:
    for place, key in enumerate(regions[3]["facet_key"]):
        if key:
            k, p = across(regions, 3, place)
            regions[k]["facet_key"][p] = 0
    del regions[3]


def deleted_with_its_facets(regions: Regions) -> None:
    for place in [p for p, key in enumerate(regions[3]["facet_key"]) if key]:
        drop(*(lambda k, p: (regions[k], p))(*across(regions, 3, place)))
    del regions[3]


def deleted_and_joined_behind(regions: Regions) -> None:
    """The facets that a region had pair with one another."""
    behind = [across(regions, 3, place) for place, key in enumerate(regions[3]["facet_key"]) if key]
    for (k, p), (other, q) in zip(behind[::2], behind[1::2], strict=False):
        regions[other]["facet_key"][q] = regions[k]["facet_key"][p]
    del regions[3]


def merged(regions: Regions) -> None:
    """Two neighbours become the first one, with the facets of both but that between them."""
    one, place = 3, inner(regions[3])
    two, at = across(regions, one, place)
    drop(regions[one], place)
    drop(regions[two], at)
    for name in LISTS:
        regions[one][name] = [*regions[one][name], *regions[two][name]]
    del regions[two]


def merged_without_facets(regions: Regions) -> None:
    """Two neighbours become the first one, as it was, and what was behind the second is behind it."""
    one, place = 3, inner(regions[3])
    two, at = across(regions, one, place)
    drop(regions[one], place)
    drop(regions[two], at)
    del regions[two]


def facet_to_wall(regions: Regions) -> None:
    place = inner(regions[3])
    k, p = across(regions, 3, place)
    regions[3]["facet_key"][place] = regions[k]["facet_key"][p] = 0


def half_a_facet_to_wall(regions: Regions) -> None:
    regions[3]["facet_key"][inner(regions[3])] = 0


def walls_to_facet(regions: Regions) -> None:
    """Two walls of two regions become one facet."""
    walls = [(k, r["facet_key"].index(0)) for k, r in enumerate(regions) if 0 in r["facet_key"]]
    for k, p in walls[:2]:
        regions[k]["facet_key"][p] = 2**63 + 5


def facet_moved(regions: Regions) -> None:
    """A facet lies on another unit of the same region."""
    region = regions[3]
    free = next(u for u in range(14) if u not in region["facet_unit"])
    region["facet_unit"][inner(region)] = free


def facet_on_the_domain(regions: Regions) -> None:
    region = regions[3]
    region["facet_unit"][inner(region)] = next(-k for k in range(1, 7) if -k not in region["facet_unit"])


def facet_twice(regions: Regions) -> None:
    for name in LISTS:
        regions[3][name].append(regions[3][name][0])


def keys_exchanged_inside(regions: Regions) -> None:
    region = next(r for r in regions if sum(map(bool, r["facet_key"])) > 1)
    a, b = [p for p, key in enumerate(region["facet_key"]) if key][:2]
    keys = region["facet_key"]
    keys[a], keys[b] = keys[b], keys[a]


def keys_exchanged_between(regions: Regions) -> None:
    one, two = inner(regions[3]), inner(regions[9])
    a, b = regions[3]["facet_key"], regions[9]["facet_key"]
    assert a[one] != b[two]
    a[one], b[two] = b[two], a[one]


def patterns_exchanged(regions: Regions) -> None:
    regions[3]["pattern"], regions[4]["pattern"] = regions[4]["pattern"], regions[3]["pattern"]


def regions_exchanged_without_points(regions: Regions) -> None:
    a, b = regions[3], regions[4]
    a["interior_point"], b["interior_point"] = b["interior_point"], a["interior_point"]


def evidence_exchanged(regions: Regions) -> None:
    regions[3]["evidence"], regions[4]["evidence"] = regions[4]["evidence"], regions[3]["evidence"]


def no_evidence(regions: Regions) -> None:
    for region in regions:
        region["evidence"] = []


def region_twice(regions: Regions) -> None:
    regions.append(dict(regions[3]))


def region_invented(regions: Regions) -> None:
    """A pattern that no region has, with the facets of another one."""
    pattern = bytearray(regions[3]["pattern"])
    taken = {region["pattern"] for region in regions}
    for unit in range(14):
        pattern[unit] ^= 1
        if bytes(pattern) not in taken:
            break
    regions.append({**regions[3], "pattern": bytes(pattern)})


def point_on_a_wall(regions: Regions) -> None:
    k, p = wall_of(regions)
    unit = -regions[k]["facet_unit"][p] - 1
    regions[k]["interior_point"][unit % 3] = 1.0 if unit < 3 else -1.0


def point_nowhere(regions: Regions) -> None:
    regions[3]["interior_point"] = [float("nan")] * 3


def none_left(regions: Regions) -> None:
    del regions[:]


def one_side_of_a_plane(regions: Regions) -> None:
    """All regions where a unit is on are gone, and its plane is a wall."""
    unit = next(u for u in range(8) if len({region["pattern"][u] for region in regions}) == 2)
    kept = [region for region in regions if not region["pattern"][unit]]
    assert 0 < len(kept) < len(regions)
    keys = [key for region in kept for key in region["facet_key"]]
    for region in kept:
        region["facet_key"] = [key if keys.count(key) == 2 else 0 for key in region["facet_key"]]
    regions[:] = kept


LIES = (
    deleted_behind_walls,
    deleted_with_its_facets,
    deleted_and_joined_behind,
    merged,
    merged_without_facets,
    facet_to_wall,
    half_a_facet_to_wall,
    walls_to_facet,
    facet_moved,
    facet_on_the_domain,
    facet_twice,
    keys_exchanged_inside,
    keys_exchanged_between,
    patterns_exchanged,
    regions_exchanged_without_points,
    evidence_exchanged,
    no_evidence,
    region_twice,
    region_invented,
    point_on_a_wall,
    point_nowhere,
    none_left,
    one_side_of_a_plane,
)


def test_the_same_rewritten_is_accepted(honest: Path, tmp_path: Path) -> None:
    """So that what is refused below is refused for the lie."""
    run = forged(honest, tmp_path, lambda regions: regions.reverse())
    assert verify_certificate(run) == verify_certificate(honest)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_forged_regions(honest: Path, tmp_path: Path, lie: Callable[[Regions], object]) -> None:
    said = found_out(forged(honest, tmp_path, lie))
    assert said.startswith("Region ") or said == "There is no region."


def manifest_with(run: Path, **entries: object) -> None:
    held = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(held | entries, indent=1))
    reseal(run)


@pytest.mark.parametrize(("place", "limit"), [(0, 1.5), (0, 0.5), (2, -0.5), (1, 1e300), (5, 3.0)])
def test_another_domain(honest: Path, tmp_path: Path, place: int, limit: float) -> None:
    run = forged(honest, tmp_path, lambda regions: None)
    domain = json.loads((run / "manifest.json").read_text())["domain"]
    domain["b"][place] = limit
    manifest_with(run, domain=domain)
    assert found_out(run).startswith("Region ")


@pytest.mark.parametrize("limit", [1.0 + 2.0**-52, 0.999])
def test_a_domain_so_near_that_its_regions_are_the_same(honest: Path, tmp_path: Path, limit: float) -> None:
    """What the certificate says is true there too, and so it is proved."""
    run = forged(honest, tmp_path, lambda regions: None)
    domain = json.loads((run / "manifest.json").read_text())["domain"]
    domain["b"][4] = limit
    manifest_with(run, domain=domain)
    there = enumerate_regions(seeded(0, 3, 8, 6, 1), Polyhedron(domain["A"], domain["b"]))
    assert verify_certificate(run).regions == len(there)


@pytest.mark.parametrize("place", range(6))
def test_a_domain_without_a_wall(honest: Path, tmp_path: Path, place: int) -> None:
    run = forged(honest, tmp_path, lambda regions: None)
    domain = json.loads((run / "manifest.json").read_text())["domain"]
    del domain["A"][place], domain["b"][place]
    manifest_with(run, domain=domain)
    assert found_out(run).startswith("Region ")


def changed_network(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Other numbers in the archive, and their fingerprint in the manifest."""
    arrays = arrays_of(run / "network.npz")
    change(arrays)
    np.savez(run / "network.npz", **arrays)
    reseal(run)


def turned(arrays: dict[str, Any], axes: int, shape: tuple[int, ...]) -> Any:
    """The first array of a shape."""
    return next(a for name, a in sorted(arrays.items()) if a.ndim == axes and a.shape == shape)


NETWORK_LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a weight": lambda a: np.negative(turned(a, 2, (8, 3))[2:3], out=turned(a, 2, (8, 3))[2:3]),
    "a later weight": lambda a: turned(a, 2, (6, 8)).__setitem__((1, 2), 9.0),
    "a bias": lambda a: turned(a, 1, (8,)).__setitem__(4, 0.0),
    "a slope": lambda a: a.update({n: v + 0.5 for n, v in a.items() if v.shape == (1, 2) and v.any()}),
    "units exchanged": lambda a: turned(a, 2, (8, 3)).__setitem__([0, 1], turned(a, 2, (8, 3))[[1, 0]]),
    "coordinates exchanged": lambda a: turned(a, 2, (8, 3)).__setitem__(
        ..., turned(a, 2, (8, 3))[:, ::-1].copy()
    ),
}


@pytest.mark.parametrize("lie", NETWORK_LIES)
def test_another_network_with_its_fingerprint(honest: Path, tmp_path: Path, lie: str) -> None:
    run = forged(honest, tmp_path, lambda regions: None)
    before = (run / "network.npz").read_bytes()
    changed_network(run, NETWORK_LIES[lie])
    assert (run / "network.npz").read_bytes() != before
    assert found_out(run).startswith(("Region ", "An activation is not"))


def test_a_stopped_run_that_is_sealed(tmp_path: Path) -> None:
    """Its open branches are struck out, and a seal is made for it."""
    network = seeded(0, 3, 8, 6, 1)
    box = Polyhedron.box(*unit_box_of(network))
    enumerate_regions(network, box, directory=tmp_path / "run", certificate=True, max_regions=40)
    run = tmp_path / "run"
    for shard in sorted(run.rglob("shard-*.parquet")):
        table = pq.read_table(shard)
        search = json.loads(table.schema.metadata[b"search"]) | {"open": []}
        pq.write_table(table.replace_schema_metadata({"search": json.dumps(search)}), shard)
    names = ["manifest.json", "network.npz", *(f"regions/{s.name}" for s in sorted(run.rglob("*.parquet")))]
    seal = {"format": 1, "regions": 40, "sha256": dict.fromkeys(names, "0" * 64)}
    (run / "certificate.json").write_text(json.dumps(seal, indent=1))
    reseal(run)
    assert found_out(run).startswith("Region ")


def test_a_seal_that_claims_other_numbers(honest: Path, tmp_path: Path) -> None:
    run = forged(honest, tmp_path, lambda regions: None)
    seal = json.loads((run / "certificate.json").read_text())
    for claim in (seal["regions"] + 1, seal["regions"] - 1, 0):
        (run / "certificate.json").write_text(json.dumps(seal | {"regions": claim}, indent=1))
        assert "claims" in found_out(run)
