"""Small runs of every kind in directories: sealed, stopped, of both kinds of cells, every map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from polytope import LayerSplit, Network, Polyhedron, enumerate_regions
from polytope.engines.engine import Engine
from polytope.ir import Convolution, Dense, Layer, hard_tanh, max_groups, relu
from polytope.ir.maps import Composition, Diagonal, Selection, Sparse, Transposed
from polytope.runs import batches
from tests.networks import seeded, unit_box_of


def assorted() -> Network:
    """Every kind of map and activation that an archive knows, on two inputs."""
    rng = np.random.default_rng(5)
    widen = Composition(Dense(rng.standard_normal((4, 2))), Selection(np.array([1, 0]), 2))
    image = Convolution(rng.standard_normal((2, 1, 2, 2)), (1, 2, 2), (1, 1), (1, 1), ((0, 1), (0, 1)))
    thin = Sparse(csr_array(rng.standard_normal((8, 4)) * (rng.random((8, 4)) < 0.6)))
    same = Transposed(Composition(Diagonal(rng.standard_normal(8)), Selection(np.arange(8)[::-1].copy(), 8)))
    return Network(
        (2,),
        (
            Layer((0,), (widen,), rng.standard_normal(4), relu()),
            Layer(
                (1, 1), (image, thin), rng.standard_normal(8), max_groups([[0, 1], [2, 3], [4, 5], [6, 7]])
            ),
            Layer((2,), (Dense(rng.standard_normal((8, 4))),), rng.standard_normal(8), hard_tanh()),
            Layer((3,), (same,), rng.standard_normal(8)),
        ),
    )


@dataclass(frozen=True)
class Stored:
    """A run: its network in the unit box, and how it is written."""

    network: Callable[[], Network]
    engine: Engine
    certificate: bool
    max_regions: int | None

    def problem(self) -> tuple[Network, Polyhedron]:
        """The network and its domain."""
        network = self.network()
        return network, Polyhedron.box(*unit_box_of(network))

    def write(self, directory: Path) -> None:
        """Run into a directory, in several shards."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batches, "ROWS", 15)
            patch.setattr(batches, "CERTIFIED_ROWS", 15)
            enumerate_regions(
                *self.problem(),
                self.engine,
                directory=directory,
                certificate=self.certificate,
                max_regions=self.max_regions,
            )


RUNS = {
    "sealed": Stored(assorted, LayerSplit("vertices"), True, None),
    "unsealed": Stored(lambda: seeded(0, 2, 6, 5, 1), LayerSplit("vertices"), True, 32),
    "stopped": Stored(lambda: seeded(1, 3, 8, 6, 1), LayerSplit("vertices"), False, 50),
    "inequalities": Stored(lambda: seeded(2, 2, 6, 5, 1), LayerSplit("lp"), False, 20),
}
