"""How large is a certificate, and how long does it take to write and to replay?

``python benchmarks/certificates.py NETS [--only NAME] [--write benchmarks/results]`` enumerates networks in
[-1, 1]^d with and without a certificate and verifies it. NETS is a folder of ``.npz`` files with W0, b0, ...
Each run is a process of its own; compiled code is loaded before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", type=Path)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--note", default="", help="a sentence about the machine's load")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(run(options.only, options.nets)), flush=True)
        return
    rows = []
    for name in NAMES:
        again = [sys.executable, __file__, str(options.nets), "--only", name]
        out = subprocess.run(again, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(out.splitlines()[-1]))
        print(rows[-1], flush=True)
    table = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    table += ["| " + " | ".join(str(v) for v in row.values()) + " |" for row in rows]
    versions = (
        f"Python {platform.python_version()}, numpy {np.__version__}, one core of {platform.machine()}."
    )
    text = (
        f"{versions} Wall seconds of one run each; sizes include network and manifest. {options.note}".strip()
    )
    if options.write:
        (options.write / "certificates.md").write_text(
            f"# Certificates\n\n{text}\n\n" + "\n".join(table) + "\n"
        )
        whole = {"versions": versions, "note": options.note, "rows": rows}
        (options.write / "certificates.json").write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
