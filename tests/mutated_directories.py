"""Real directories of results, changed as someone hostile or a bad disk would: for the tests of readers.

A mutation is a function of a directory and a generator. Whoever changes a file on purpose makes the hashes
fit again; a disk does not.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Mutation = Callable[[Path, np.random.Generator], None]
DEEP = "[" * 200_000 + "]" * 200_000
ODD: tuple[str, ...] = (  # JSON texts that take the place of an entry
    *("null", "true", "false", "-1", "0", "1", "2", "7", "0.5", "-0.0", "1e308", "1e999", "NaN", "-Infinity"),
    *(str(2**31), str(2**40), str(2**63), str(-(2**64)), "9" * 400, "9" * 5000),
    *('"x"', '""', '"\\u001b[31m"', '"\\ud800"', '"Network"', '"Dense"', "[]", "{}", "[[]]", "[null]", "[1]"),
    *('{"array": "a0"}', '{"array": "structure"}', '{"kind": "Layer", "parts": {}}', '{"kind": []}'),
    *('{"sparse": {}, "shape": [1, 1]}', "[" * 500 + "]" * 500, DEEP, str([0] * 100_000), str([[]] * 50_000)),
)


def reseal(run: Path) -> None:
    """Make the hashes of the archive and the seal fit what the files hold now."""
    network, manifest, seal = run / "network.npz", run / "manifest.json", run / "certificate.json"
    with suppress(Exception):  # what was changed so that it cannot be read is left as it is
        held = json.loads(manifest.read_text())
        held["network"] = claimed(network)
        manifest.write_text(json.dumps(held, indent=1))
    if seal.exists():
        held = json.loads(seal.read_text())
        for name in held["sha256"]:
            if (run / name).exists():
                held["sha256"][name] = sha256((run / name).read_bytes()).hexdigest()
        seal.write_text(json.dumps(held, indent=1))


def claimed(archive: Path) -> str:
    """The fingerprint of the arrays of a small archive, as ``polytope.ir.archive`` defines it."""
    if archive.stat().st_size > 1 << 20:
        raise ValueError("large")
    digest = sha256()
    with zipfile.ZipFile(archive) as file:
        if sum(entry.file_size for entry in file.infolist()) > 1 << 22:
            raise ValueError("large")
    with np.load(archive, allow_pickle=False) as arrays:
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all entries of a JSON tree, the tree itself first."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, entry in inner for place in places(entry, (*path, key)))]


def changed_text(text: str, rng: np.random.Generator) -> str:
    """JSON with one entry replaced, dropped, or there twice."""
    tree = json.loads(text)
    every = places(tree)
    place = every[int(rng.integers(len(every)))] if rng.random() < 0.5 else _shallow(every, rng)
    if not place:
        return ODD[int(rng.integers(len(ODD)))]
    *path, last = place
    holder = tree
    for key in path:
        holder = holder[key]
    way = rng.integers(5)
    if way == 0:
        del holder[last]
        return json.dumps(tree, indent=1)
    if way == 1 and isinstance(holder, dict):
        once = json.dumps(last)
        holder["twice"] = holder[last]
        return json.dumps(tree, indent=1).replace('"twice"', once)
    holder[last] = "PLACE"
    return json.dumps(tree, indent=1).replace('"PLACE"', ODD[int(rng.integers(len(ODD)))])


def _shallow(every: list[tuple[Any, ...]], rng: np.random.Generator) -> tuple[Any, ...]:
    """One of the entries that are not inside long lists."""
    some = [place for place in every if sum(isinstance(key, int) for key in place) <= 2]
    return some[int(rng.integers(len(some)))]


def manifest(run: Path, rng: np.random.Generator) -> None:
    """An entry of the manifest."""
    file = run / "manifest.json"
    file.write_text(changed_text(file.read_text(), rng))
    if rng.random() < 0.8:
        reseal(run)


def certificate(run: Path, rng: np.random.Generator) -> None:
    """An entry of the seal."""
    file = run / "certificate.json"
    text = file.read_text() if file.exists() else '{"format": 1, "regions": 3, "sha256": {}}'
    file.write_text(changed_text(text, rng))


def arrays_of(archive: Path) -> dict[str, Any]:
    """The arrays of an archive."""
    with np.load(archive, allow_pickle=False) as held:
        return dict(held)


def structure(run: Path, rng: np.random.Generator) -> None:
    """An entry of the archive's structure."""
    arrays = arrays_of(run / "network.npz")
    text = changed_text(bytes(arrays["structure"]).decode(), rng)
    arrays["structure"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(run / "network.npz", **arrays)
    reseal(run)


def layers(run: Path, rng: np.random.Generator) -> None:
    """Very many layers, or maps inside one another."""
    arrays = arrays_of(run / "network.npz")
    tree = json.loads(bytes(arrays["structure"]))
    held = tree["parts"]["layers"]
    n = int(rng.choice([300, 3000, 30_000, 300_000]))
    if rng.random() < 0.5:
        one = {"kind": "Selection", "parts": {"index": {"array": "square"}, "n_inputs": 2}}
        for _ in range(n // 100):
            one = {"kind": "Transposed", "parts": {"of": one}} if rng.random() < 0.9 else one
        held[0]["parts"]["maps"] = [one]
        text = nested(one)
    else:
        arrays |= {"square": np.arange(2), "zero": np.zeros(2)}
        same = {"kind": "Selection", "parts": {"index": {"array": "square"}, "n_inputs": 2}}
        activation = held[0]["parts"]["activation"] if rng.random() < 0.5 else None
        parts = {"maps": [same], "bias": {"array": "zero"}, "activation": activation}
        rows = [json.dumps({"kind": "Layer", "parts": parts | {"inputs": [k]}}) for k in range(n)]
        tree["parts"]["layers"], tree["parts"]["input_shape"] = ["PLACE"], [2]
        text = json.dumps(tree).replace('"PLACE"', ",".join(rows))
    arrays["structure"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(run / "network.npz", **arrays)
    reseal(run)


def nested(tree: Any) -> str:
    """JSON of a tree of any depth."""
    out, depth = "", 0
    while isinstance(tree, dict) and tree["kind"] == "Transposed":
        out, depth, tree = out + '{"kind": "Transposed", "parts": {"of": ', depth + 1, tree["parts"]["of"]
    return out + json.dumps(tree) + "}}" * depth


def header(descr: object, shape: object, order: object = False, more: str = "") -> bytes:
    """The first bytes of an array file."""
    text = (str({"descr": descr, "fortran_order": order, "shape": shape}) + more).encode()
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text


def arrays(run: Path, rng: np.random.Generator) -> None:
    """A member of the archive: missing, twice, of another type or shape, larger than it is."""
    archive = run / "network.npz"
    with zipfile.ZipFile(archive) as file:
        members = {entry.filename: file.read(entry) for entry in file.infolist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    array = np.load(io.BytesIO(members[name]))
    way, compression = int(rng.integers(12)), zipfile.ZIP_STORED
    if way == 0:
        del members[name]
    elif way == 1:
        kind = str(rng.choice(["f4", "i1", "i8", "c16", "S5", "U3", "?", "M8[s]", "f2", ">f8"]))
        with np.errstate(all="ignore"):
            members[name] = saved(np.zeros(array.shape, kind) if kind[0] in "SUM" else array.astype(kind))
    elif way == 2:
        shapes = [(), (0,), (1,), (*array.shape, 1), array.shape[::-1], (0, 0), (1, 2, 3)]
        members[name] = saved(np.zeros(shapes[int(rng.integers(len(shapes)))]))
    elif way == 3:
        fill = float(rng.choice([np.nan, np.inf, -1.0, 1e300, 5e-324, 2.0**62]))
        with np.errstate(all="ignore"):
            members[name] = saved(np.full(array.shape, fill).astype(array.dtype))
    elif way == 4:
        members[name] = header("|O", (3,)) + b"\x80\x04\x95" + bytes(40)
    elif way == 5:
        shapes = [(2**40,), (2**62, 2**62), (-1,), ("x",), 3, (2**33,), (True,), (1.5,)]
        members[name] = header("<f8", shapes[int(rng.integers(len(shapes)))]) + bytes(64)
    elif way == 6:
        bad = ["garbage", [("a", "<f8")], "<f8" * 50, None, "(" * 900, ("<f8", (2**30,))]
        members[name] = header(bad[int(rng.integers(len(bad)))], (1,), more="(" * int(rng.integers(900)))
    elif way == 7:
        compression, size = zipfile.ZIP_DEFLATED, 1 << int(rng.choice([20, 31]))
        with zipfile.ZipFile(archive, "w", compression) as file:
            for other, content in members.items():
                file.writestr(other, content)
            with file.open("big.npy", "w", force_zip64=True) as out:
                out.write(header("<f8", (size // 8,)))
                for _ in range(size >> 20):
                    out.write(bytes(1 << 20))
        reseal(run)
        return
    elif way == 8:
        members |= {f"more{k}.npy": saved(np.zeros(0)) for k in range(int(rng.choice([10, 20_000])))}
    elif way == 9:
        members["other.txt"] = b"hello"
    elif way == 10:
        compression = int(rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    else:
        members[name] = members[name][: int(rng.integers(len(members[name])))]
    with zipfile.ZipFile(archive, "w", compression) as file:
        for other, content in members.items():
            file.writestr(other, content)
    reseal(run)


def saved(array: Any) -> bytes:
    """The file of an array."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def shard_of(run: Path, rng: np.random.Generator) -> Path:
    """One of the shards."""
    shards = sorted(run.rglob("shard-*.parquet"))
    return shards[int(rng.integers(len(shards)))]


def search(run: Path, rng: np.random.Generator) -> None:
    """An entry of what a shard says of the search, or very many open cells."""
    shard = shard_of(run, rng)
    table = pq.read_table(shard)
    text = table.schema.metadata[b"search"].decode()
    if rng.random() < 0.15:
        held, n = json.loads(text), int(rng.choice([20_000, 400_000]))
        held["open"] = [[[k, k + 1], 3] for k in range(n)] if rng.random() < 0.7 else [[[0] * n, 3]]
        text = json.dumps(held)
    else:
        text = changed_text(text, rng)
    metadata = {"search": text} if rng.random() < 0.95 else {}
    pq.write_table(table.replace_schema_metadata(metadata), shard, use_dictionary=False)
    reseal(run)


def columns(run: Path, rng: np.random.Generator) -> None:
    """A column of a shard: missing, of another type, with nulls, with lists of other lengths and numbers."""
    shard = shard_of(run, rng)
    table = pq.read_table(shard)
    place = int(rng.integers(table.num_columns))
    name, column = table.column_names[place], table.column(place)
    values, way = column.to_pylist(), int(rng.integers(9))
    some = int(rng.integers(max(len(values), 1)))
    if way == 0 or not values:
        table = table.drop_columns([name])
    elif way == 1:
        other = [pa.array([k] * len(values)) for k in (0, "x", 1.5, None, [1], b"abc")]
        table = table.set_column(place, name, other[int(rng.integers(len(other)))])
    elif way == 2:
        values[some] = None
        table = table.set_column(place, name, pa.array(values, column.type))
    elif way == 3:
        table = table.append_column("more", column).rename_columns(
            [*table.column_names, str(rng.choice(["more", name]))]
        )
    elif way == 4:
        table = pa.concat_tables([table] * int(rng.choice([2, 3000])))
    elif way == 5:
        table = table.slice(0, some)
    elif pa.types.is_list(column.type) and way == 6:
        values[some] = [1] * int(rng.choice([0, 1, 1000, 3_000_000]))
        table = table.set_column(place, name, pa.array(values, column.type))
    elif pa.types.is_list(column.type):
        odd = [2**31 - 1, 2**16 - 1, 0] + ([-(2**31), -1000] if name in ("facet_unit", "carrier") else [])
        odd = [v for v in odd if name not in ("facet_row", "evidence") or v < 2**16]
        values[some] = [int(rng.choice(odd))] * len(values[some])
        table = table.set_column(place, name, pa.array(values, column.type))
    elif name == "pattern":
        values[some] = bytes(rng.integers(0, 256, len(values[some]), np.uint8))
        table = table.set_column(place, name, pa.array(values, column.type))
    else:
        values[some] = [float(rng.choice([np.nan, np.inf, 1e300, 5e-324, 0.0]))] * len(values[some])
        table = table.set_column(place, name, pa.array(values, column.type))
    level = {"compression": "zstd"} if rng.random() < 0.5 else {}
    pq.write_table(table, shard, use_dictionary=bool(rng.random() < 0.3), **level)
    reseal(run)


def flipped(run: Path, rng: np.random.Generator) -> None:
    """Bytes of a file changed, perhaps its end cut off."""
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.stat().st_size)
    file = files[int(rng.integers(len(files)))]
    whole = bytearray(file.read_bytes())
    tail = rng.random() < 0.5  # where formats keep their directories
    for _ in range(int(rng.integers(1, 6))):
        low = max(len(whole) - 600, 0) if tail else 0
        whole[int(rng.integers(low, len(whole)))] = int(rng.integers(256))
    file.write_bytes(whole if rng.random() < 0.7 else whole[: int(rng.integers(len(whole)))])
    if rng.random() < 0.5:
        reseal_shards(run)


def reseal_shards(run: Path) -> None:
    """``reseal``, where the seal can be read."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        reseal(run)


def swapped(run: Path, rng: np.random.Generator) -> None:
    """Two files change places, one is copied to another, removed, a folder, or a link to itself."""
    files = sorted(file for file in run.rglob("*") if file.is_file() and file.stat().st_size)
    first, second = (files[int(k)] for k in rng.choice(len(files), 2, replace=False))
    way = int(rng.integers(6))
    content = first.read_bytes()
    if way == 0:
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    elif way == 1:
        second.write_bytes(content)
    elif way == 2:
        first.unlink()
    elif way == 3:
        first.unlink()
        first.mkdir()
    elif way == 4:
        first.unlink()
        first.symlink_to(first.name)
    else:
        target = run / "regions" / f"shard-{int(rng.integers(12)):06d}.parquet"
        target.write_bytes(first.read_bytes())
    if rng.random() < 0.5 and way != 3:
        reseal_shards(run)


KINDS: dict[str, Mutation] = {
    "manifest": manifest,
    "certificate": certificate,
    "structure": structure,
    "layers": layers,
    "arrays": arrays,
    "search": search,
    "columns": columns,
    "bytes": flipped,
    "files": swapped,
}
