"""How large is a certificate, and how long does it take to write and to replay?

``python benchmarks/certificates.py NETS [--only NAME] [--write benchmarks/results]`` enumerates networks in
[-1, 1]^d with and without a certificate and verifies it. NETS is a folder of ``.npz`` files with W0, b0, ...
Each run is a process of its own; compiled code is loaded before the clock starts.
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import again, environment, in_words, parser, publish, table_of, title

import polytope as pt

NAMES = ("2-50-50-1", "3-16-16-1", "3-32-32-1", "4-16-16-1", "deg_zerobias_2-8-8", "deg_int_2-8-6")


def network_of(file: Path) -> pt.Network:
    """A fully connected ReLU network."""
    with np.load(file) as arrays:
        return pt.mlp([(arrays[f"W{i}"], arrays[f"b{i}"]) for i in range(len(arrays.files) // 2)])


def bytes_in(directory: Path) -> int:
    """The size of all files."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def run(name: str, nets: Path) -> dict[str, Any]:
    """One network and its figures."""
    network = network_of(nets / f"{name}.npz")
    d = network.input_dim
    box = pt.Polyhedron.box([-1.0] * d, [1.0] * d)
    tiny = pt.mlp([(np.eye(d), np.zeros(d)), (np.ones((1, d)), [0.0])])
    with TemporaryDirectory() as folder:
        pt.enumerate_regions(tiny, box, directory=Path(folder) / "tiny", certificate=True)
        clock = [time.perf_counter()]
        pt.enumerate_regions(network, box, directory=Path(folder) / "plain")
        clock.append(time.perf_counter())
        pt.enumerate_regions(network, box, directory=Path(folder) / "certified", certificate=True)
        clock.append(time.perf_counter())
        proof = pt.verify_certificate(Path(folder) / "certified")
        clock.append(time.perf_counter())
        plain, certified = (bytes_in(Path(folder) / part) for part in ("plain", "certified"))
    seconds = np.diff(clock).tolist()
    return {
        "network": name,
        "regions": proof.regions,
        "proved": "all" if proof.complete else "a lower bound",
        "rows implied": proof.implied,
        "plain_kB": round(plain / 1e3),
        "certified_kB": round(certified / 1e3),
        "plain_s": round(seconds[0], 2),
        "certified_s": round(seconds[1], 2),
        "replay_s": round(seconds[2], 2),
        "replay_ms_per_region": round(1e3 * seconds[2] / proof.regions, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run what was asked for, each in a process of its own."""
    options = parser(__doc__)
    options.add_argument("nets", type=Path)
    options.add_argument("--only", choices=NAMES)
    chosen = options.parse_args()
    if chosen.only:
        print(json.dumps(run(chosen.only, chosen.nets)), flush=True)
        return
    rows = [again(__file__, chosen.nets, "--only", name) for name in NAMES]
    where = environment("pyarrow")
    about = "Wall seconds of one run each, on one core; sizes include network and manifest."
    page = [title(__doc__), in_words(where, f"{about} {chosen.note}"), table_of(rows)]
    publish(__file__, page, {"versions": where, "note": chosen.note, "rows": rows}, chosen.write)


if __name__ == "__main__":
    main()
