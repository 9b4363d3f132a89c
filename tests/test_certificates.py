"""Certificates: they verify for every kind of network, and whatever is changed in one is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from polytope import Network, Polyhedron, enumerate_regions, mlp, verify_certificate
from polytope.__main__ import app
from polytope.errors import CertificateError
from polytope.exact.behind import pattern_behind
from polytope.exact.cells import ExactCells, strictly_inside
from polytope.exact.implied import basis
from polytope.ir import piecewise_linear
from polytope.ir.archive import fingerprint, to_arrays
from polytope.regions.shards import LOCK
from polytope.runs import batches as frontier
from polytope.verify.effort import Effort
from polytope.verify.rationals import Cells, holds_strictly, span
from tests.nasty_networks import nasty
from tests.networks import NETWORKS, file_network, integer, needs_shared, seeded, unit_box_of

CASE = (0, 3, 8, 6, 1)


def case() -> tuple[Network, Polyhedron]:
    network = seeded(*CASE)
    return network, Polyhedron.box(*unit_box_of(network))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate in several shards."""
    directory = tmp_path_factory.mktemp("certificates") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frontier, "CERTIFIED_ROWS", 20)
        enumerate_regions(*case(), directory=directory, certificate=True)
    assert len(list(directory.rglob("shard-*.parquet"))) > 3
    return directory


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def files_of(run: Path) -> list[Path]:
    """All files but the empty one that a writer holds."""
    return sorted(file for file in run.rglob("*") if file.is_file() and file.name != LOCK)


def refused(directory: Path) -> str:
    with pytest.raises(CertificateError) as caught:
        verify_certificate(directory)
    assert str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_verifies(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    box = Polyhedron.box(*unit_box_of(network))
    stored = enumerate_regions(network, box, directory=tmp_path, certificate=True)
    proof = verify_certificate(tmp_path)
    assert proof.complete
    assert (proof.regions, proof.adjacent) == (len(stored), len(stored.neighbours))


@needs_shared
@pytest.mark.parametrize(
    ("name", "regions"),
    [
        ("3-16-16-1", 756),
        ("deg_concurrent", 8),
        ("deg_duplicate", 4),
        ("deg_parallel_grid", 16),
        ("deg_corner", 4),
        ("deg_boxface", 2),
        ("deg_zerobias_2-8-8", 28),
        ("deg_int_2-8-6", 38),
        ("deg_near_1e-9", 7),
        ("deg_scale1e-4", 44),
    ],
)
def test_known_answers_are_proved(name: str, regions: int, tmp_path: Path) -> None:
    network = file_network(name)
    box = Polyhedron.box(*unit_box_of(network))
    enumerate_regions(network, box, directory=tmp_path, certificate=True)
    assert verify_certificate(tmp_path).regions == regions


@needs_shared
@pytest.mark.slow
def test_the_certificate_of_6752_regions(tmp_path: Path) -> None:
    network = file_network("3-32-32-1")
    enumerate_regions(network, Polyhedron.box([-1] * 3, [1] * 3), directory=tmp_path, certificate=True)
    assert verify_certificate(tmp_path).regions == 6752


def test_other_domains(tmp_path: Path) -> None:
    """Rows that are not axes, one that touches nothing, one that is there twice; planes through corners."""
    network = integer(11, 4, 4, 3, 1)
    ball = Polyhedron.cross_polytope([0.0] * 4, 1.0)
    A, b = np.concatenate([ball.A, ball.A[:1], ball.A[:1]]), np.append(ball.b, [1.0, 7.0])
    stored = enumerate_regions(network, Polyhedron(A, b), directory=tmp_path, certificate=True)
    assert verify_certificate(tmp_path).regions == len(stored)


@pytest.mark.parametrize("seed", range(60))
def test_the_writers_and_the_verifiers_arithmetic_agree(seed: int) -> None:
    """Rows, points inside and patterns behind facets, of cells of nasty networks."""
    network, domain = nasty(900 + seed)[:2]
    writer = ExactCells(network, domain.A, domain.b)
    verifier = Cells(network, domain.A, domain.b)
    rng = np.random.default_rng(seed)
    crossed = 0
    for x in rng.standard_normal((8, network.input_dim)) * 10.0 ** rng.integers(-3, 4):
        pattern = network.pattern(x)
        rows = writer.rows(pattern)
        assert rows == verifier.rows(pattern)
        assert strictly_inside(rows, x) == holds_strictly(verifier.rows(pattern), x, Effort())
        vanishing: dict[tuple[int, ...], set[int]] = {}
        for row in rows:
            if row.owner >= 0:
                vanishing.setdefault(row.row if any(row.row[:-1]) else (), set()).add(row.owner)
        for facet in [row.row for row in rows if row.owner >= 0 and any(row.row[:-1])][:10]:
            units = vanishing[facet] | vanishing.get((), set())
            expected = pattern_behind(writer.exact, pattern, facet, units)
            assert verifier.behind(pattern, facet, units).tolist() == expected.tolist()
            crossed += 1
    assert crossed or not any(any(r.row[:-1]) for r in rows if r.owner >= 0)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_both_find_the_same_multipliers(d: int) -> None:
    """Of random integer rows, some of them dependent; what is implied holds at random points."""
    rng = np.random.default_rng(d)
    implied = 0
    for _ in range(200):
        rows = [tuple(row) for row in rng.integers(-3, 4, (d, d + 1)).tolist()]
        ours, theirs = span(rows, Effort()), basis(rows)
        assert (ours is None) == (theirs is None)
        if ours is None or theirs is None:
            continue
        assert (ours.determinant, ours.constants) == (theirs.determinant, theirs.constants)
        weights = rng.integers(0, 3, d)
        below = (weights @ np.array(rows)).tolist()
        below[-1] -= int(rng.integers(0, 2))
        for row in (tuple(below), tuple(rng.integers(-3, 4, d + 1).tolist())):
            assert ours.implies(row) == theirs.implies(row)
            implied += ours.implies(row)
    assert implied > 50


@pytest.mark.parametrize("cells", [ExactCells, Cells])
def test_exact_maps_are_the_networks(cells: type[ExactCells | Cells]) -> None:
    """At dyadic points rows have the signs that the float64 network has, which rounds nothing there."""
    network = integer(2, 3, 5, 4, 1)
    exact = cells(network, np.zeros((0, 3)), np.zeros(0))
    for x in np.random.default_rng(0).integers(-4, 5, (20, 3)) / 4:
        for row in exact.rows(network.pattern(x)):
            value = np.array(row.row) @ np.append(x, 1.0)
            assert value < 0 if row.strict else value <= 0


@pytest.mark.parametrize("of", [basis, partial(span, effort=Effort())], ids=["writer", "verifier"])
def test_multipliers_by_hand(of: Callable[[list[tuple[int, ...]]], Any]) -> None:
    both = of([(1, 0, -1), (0, 1, -1)])  # x <= 1 and y <= 1
    assert both is not None
    assert both.implies((1, 2, -3))
    assert not both.implies((1, 2, -2))
    assert not both.implies((-1, 2, -100))
    assert of([(1, 2, 0), (2, 4, 1)]) is None


def test_one_flipped_bit_anywhere(run: Path) -> None:
    rng = np.random.default_rng(0)
    files = files_of(run)
    assert {file.name for file in files} >= {"manifest.json", "network.npz", "certificate.json"}
    for file in files:
        whole = file.read_bytes()
        for place in [0, len(whole) - 1, *rng.integers(0, len(whole), 8).tolist()]:
            changed = bytearray(whole)
            changed[place] ^= 1 << int(rng.integers(8))
            file.write_bytes(changed)
            refused(run)
        file.write_bytes(whole)
    assert verify_certificate(run).complete


def test_one_file_dropped(run: Path) -> None:
    for file in files_of(run):
        whole = file.read_bytes()
        file.unlink()
        assert refused(run)
        file.write_bytes(whole)
    (run / "regions" / "shard-000099.parquet").write_bytes(b"")
    assert "shard" in refused(run)


@pytest.mark.parametrize("name", ["manifest.json", "certificate.json"])
def test_one_number_edited(run: Path, name: str) -> None:
    text = (run / name).read_text()
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    for i in digits[:: max(len(digits) // 25, 1)]:
        (run / name).write_text(text[:i] + str((int(text[i]) + 1) % 10) + text[i + 1 :])
        refused(run)


def reseal(directory: Path) -> None:
    """What someone who tampers would do: make the hashes fit again."""
    seal = json.loads((directory / "certificate.json").read_text())
    for name in seal["sha256"]:
        seal["sha256"][name] = sha256((directory / name).read_bytes()).hexdigest()
    (directory / "certificate.json").write_text(json.dumps(seal, indent=1))


def rewrite(shard: Path, change: Callable[[dict[str, list[Any]]], object]) -> None:
    """Change the columns of a shard."""
    table = pq.read_table(shard)
    columns = table.to_pydict()
    change(columns)
    count = len(columns["pattern"])
    search = json.loads(table.schema.metadata[b"search"]) | {"regions": count}
    schema = table.schema.with_metadata({"search": json.dumps(search)})
    pq.write_table(pa.table(columns, schema=schema), shard)


LIES: dict[str, tuple[Callable[[dict[str, list[Any]]], object], str]] = {
    "a point outside": (lambda c: c["interior_point"].__setitem__(3, [0.99, -0.99, 0.99]), "strictly inside"),
    "a pattern twice": (lambda c: c["pattern"].__setitem__(3, c["pattern"][2]), "twice|strictly"),
    "no such piece": (lambda c: c["pattern"].__setitem__(3, b"\x07" * 14), "does not have"),
    "another unit": (lambda c: c["facet_unit"][3].__setitem__(0, 99), "does not have"),
    "a facet less": (
        lambda c: [c[name][3].pop() for name in ("facet_unit", "facet_key", "facet_row")],
        "evidence|implied",
    ),
    "other evidence": (lambda c: c["evidence"][3].__setitem__(slice(0, 3), [0, 1, 0]), "not implied"),
    "less evidence": (lambda c: c["evidence"][3].pop(), "evidence names"),
    "more evidence": (lambda c: c["evidence"][3].append(0), "more evidence"),
    "another key": (lambda c: c["facet_key"][3].__setitem__(0, 12345), "key|behind"),
    "a region less": (lambda c: [column.pop(3) for column in c.values()], "not among the regions"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_with_fitting_hashes_are_found_by_the_mathematics(run: Path, lie: str) -> None:
    change, reason = LIES[lie]
    rewrite(run / "regions" / "shard-000001.parquet", change)
    reseal(run)
    if lie == "a region less":
        seal = json.loads((run / "certificate.json").read_text())
        (run / "certificate.json").write_text(json.dumps(seal | {"regions": seal["regions"] - 1}, indent=1))
    with pytest.raises(CertificateError, match=reason):
        verify_certificate(run)


def test_another_domain_or_network_with_fitting_hashes(run: Path) -> None:
    text = (run / "manifest.json").read_text()
    manifest = json.loads(text)
    manifest["domain"]["b"][0] = 2.0
    (run / "manifest.json").write_text(json.dumps(manifest))
    reseal(run)
    assert "Region" in refused(run)
    other = seeded(1, *CASE[1:])
    np.savez(run / "network.npz", **to_arrays(other))
    (run / "manifest.json").write_text(json.dumps(json.loads(text) | {"network": fingerprint(other)}))
    reseal(run)
    assert "Region" in refused(run)


def test_hostile_directories_end_in_one_sentence(run: Path, tmp_path: Path) -> None:
    assert "missing" in refused(tmp_path / "nothing")
    for text in ("[" * 100_000, "null", "{}", '{"format": 1, "certificate": true}'):
        (run / "manifest.json").write_text(text)
        assert "\n" not in refused(run)
    (run / "manifest.json").unlink()
    (run / "manifest.json").symlink_to("/etc/passwd")
    assert "plain file" in refused(run)


def test_partial_runs_are_lower_bounds_until_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "CERTIFIED_ROWS", 20)
    part = enumerate_regions(*case(), directory=tmp_path, certificate=True, max_regions=40)
    proof = verify_certificate(tmp_path)
    assert (proof.regions, proof.complete, proof.adjacent) == (len(part), False, 0)
    assert "at least" in str(proof)
    assert "exactly" not in str(proof)
    done = enumerate_regions(*case(), directory=tmp_path, resume=True)  # as it was begun
    proof = verify_certificate(tmp_path)
    assert (proof.regions, proof.complete) == (len(done), True)
    assert str(proof).startswith(f"Proved: exactly {len(done)} regions")
    (tmp_path / "certificate.json").unlink()
    assert "--resume" in refused(tmp_path)
    enumerate_regions(*case(), directory=tmp_path, resume=True, certificate=True)
    assert verify_certificate(tmp_path) == proof


def test_what_cannot_be_certified_is_refused_when_written(tmp_path: Path) -> None:
    network, box = case()
    with pytest.raises(ValueError, match="directory"):
        enumerate_regions(network, box, certificate=True)
    enumerate_regions(network, box, directory=tmp_path / "plain")
    assert "no certificate" in refused(tmp_path / "plain")
    with pytest.raises(ValueError, match="without a certificate"):
        enumerate_regions(network, box, directory=tmp_path / "plain", resume=True, certificate=True)
    jumping = piecewise_linear([-0.1 / 0.3, 0.9 / 0.3], [0.0, 0.3, 0.0], [0.0, 0.1, 1.0])
    step = mlp([([[1.0], [3.0]], [0.1, 0.2]), ([[1.0, 1.0]], [0.0])], jumping)
    with pytest.raises(ValueError, match="not continuous"):
        enumerate_regions(step, Polyhedron.box([-9], [9]), directory=tmp_path / "step", certificate=True)


def test_slices_of_several_threads_make_one_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "CERTIFIED_ROWS", 20)
    with ThreadPoolExecutor(2) as threads:
        done = enumerate_regions(*case(), directory=tmp_path, certificate=True, executor=threads)
    assert verify_certificate(tmp_path).regions == len(done)


def test_the_command_line_writes_certificates(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", W0=[[1.0], [-2.0]], b0=[0.5, 0.5], W1=[[1.0, 1.0]], b1=[0.0])
    command = ["regions", str(tmp_path / "model.npz"), "--box", "-1", "1", "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, [*command, "--certificate"]).exit_code == 0
    assert verify_certificate(tmp_path / "run").regions == 3


def test_the_command_line(run: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(run)])
    assert (done.exit_code, done.stdout.startswith("Proved: exactly")) == (0, True)
    done = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert json.loads(done.stdout)["complete"] is True
    sorted(run.rglob("shard-*"))[-1].unlink()
    done = CliRunner().invoke(app, ["verify", str(run)])
    assert done.exit_code == 1
    assert "shard" in done.stderr
