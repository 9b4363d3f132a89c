"""Knots from random braids: their signatures, and invariants of their hyperbolic geometry, in knots.npz.

``python make_knots.py [--letters 18] [--count 1000] [--out knots.npz]`` needs ``pip install snappy``, which
nothing else here does. Braids have 3 to 5 strands and 6 letters or more. One whose closure is a knot with a
complete hyperbolic structure (all tetrahedra positively oriented, in float64) gives a row: volume,
Chern-Simons invariant, and the translations of the maximal cusp, of which the longitude is real. Most random
braids close to knots that were there before: equal volume, Chern-Simons invariant, cusp and signature, up to
1e-6, count as one knot. A mirror image has other numbers, and stays.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import snappy
from spherogram import Link

FILE = Path(__file__).parent / "knots.npz"
COLUMNS = ("volume", "chern_simons", "longitude", "meridian_real", "meridian_imaginary")


def braid(rng: np.random.Generator, most: int) -> list[int]:
    """A random word in the generators of a braid group of 3 to 5 strands, whose closure is a knot."""
    while True:
        strands = int(rng.integers(3, 6))
        letters = rng.integers(1, strands, size=rng.integers(6, most + 1))
        signs = rng.choice([-1, 1], size=len(letters), p=rng.permutation([0.35, 0.65]))
        ends = np.arange(strands)
        for k in letters:
            ends[[k - 1, k]] = ends[[k, k - 1]]
        seen, at = 1, int(ends[0])
        while at:
            seen, at = seen + 1, int(ends[at])
        if seen == strands:
            return [int(v) for v in letters * signs]


def signature(link: Any) -> int:
    """The signature of V + V^T for a Seifert matrix V: the determinant of a knot is odd, so it is regular."""
    V = np.array(link.seifert_matrix(), dtype=float)
    values = np.linalg.eigvalsh(V + V.T) if V.size else np.zeros(0)
    return int((values > 0).sum() - (values < 0).sum())


def row(word: list[int]) -> list[float] | None:
    """The invariants and the signature; ``None`` where the closure is no hyperbolic knot."""
    link = Link(braid_closure=word)
    M = link.exterior()
    if M.solution_type() != "all tetrahedra positively oriented" or M.volume() < 1:
        return None
    cusp = M.cusp_neighborhood()
    cusp.set_displacement(cusp.stopping_displacement())
    meridian, longitude = (complex(v) for v in cusp.translations(0))
    at = (M.volume(), M.chern_simons(), longitude.real, meridian.real, meridian.imag)
    return [*(float(v) for v in at), float(signature(link))]


def knots(count: int, letters: int, rng: np.random.Generator) -> np.ndarray:
    """``[count, 6]``: different knots, the last column their signatures."""
    found, tried, start = np.zeros((0, 6)), 0, time.perf_counter()
    while len(found) < count:
        tried += 1
        try:
            new = row(braid(rng, letters))
        except (RuntimeError, ValueError, IndexError):  # a structure that SnapPy did not find
            continue
        if new is None or (len(found) and np.abs(found - new).max(axis=1).min() < 1e-6):
            continue
        found = np.vstack([found, new])
        if len(found) % 50 == 0:
            sys.stderr.write(f"{len(found)} of {tried} braids, {time.perf_counter() - start:.0f} s\n")
    return found


def main() -> None:
    """Write the archive."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--letters", type=int, default=18, help="of a braid, at most")
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--out", type=Path, default=FILE)
    given = options.parse_args()
    found = knots(given.count, given.letters, np.random.default_rng(0))
    np.savez_compressed(
        given.out, X=found[:, :-1], signature=found[:, -1].astype(np.int64), names=np.array(COLUMNS)
    )
    sys.stderr.write(f"snappy {snappy.__version__}: {given.out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
