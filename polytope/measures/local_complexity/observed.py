"""Crossing counts of any PyTorch module, by observing chosen pre-activations while vertices pass through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from polytope.measures.local_complexity.crossing import Counts
from polytope.measures.local_complexity.frames import Frames
from polytope.measures.local_complexity.inputs import checked_frames
from polytope.measures.local_complexity.preactivations import observing

ROOM = 2**24
"""Bytes of vertices in one forward pass on a CPU; elsewhere a sixteenth of the free memory."""


@dataclass(eq=False)
class _Signs:
    """Whether each unit was positive, and whether it was not, at some vertex, ``bool[B, tokens, units]``."""

    name: str
    n_points: int
    positive: list[Tensor] = field(default_factory=list)
    other: list[Tensor] = field(default_factory=list)

    def see(self, z: Tensor, n_rows: int) -> None:
        """Take in ``z [V * B, ...]`` of some vertices, the first index the slowest; units in any order."""
        if z.shape[0] != n_rows:
            raise ValueError(
                f"layers: {self.name!r} has {z.shape[0]} rows where {n_rows} inputs pass; the first axis of "
                "its pre-activations must be that of the batch."
            )
        if z.ndim == 4 and z.is_contiguous(memory_format=torch.channels_last):
            z = z.permute(0, 2, 3, 1)  # as it lies in memory
        tokens = z.shape[1] if z.ndim == 3 else 1
        z = z.detach().reshape(-1, self.n_points, tokens, z[0].numel() // tokens)
        up, down = z.amax(0) > 0, z.amin(0) <= 0
        if self.positive:
            self.positive[0] |= up
            self.other[0] |= down
        else:
            self.positive, self.other = [up], [down]

    def crossed(self) -> Tensor:
        """How many units took both signs, ``int[B, tokens]``."""
        return (self.positive[0] & self.other[0]).sum(2)


@dataclass(frozen=True, eq=False)
class _Observed:
    """A module, what of it is observed, and where the neighbourhoods lie.

    Arguments:
        module: it runs where and in the type that its parameters are.
        layers: names of submodules and activations, or all activations.
        around: the submodule whose output is moved; ``None`` is the module's input.
    """

    module: nn.Module
    layers: Sequence[str] | None
    around: str | None

    def rows(self, points: NDArray[Any]) -> Tensor:
        """Points as the module takes them: whole numbers stay whole where they are not moved."""
        parameter = next(self.module.parameters(), torch.zeros(()))
        rows = torch.tensor(points).to(parameter.device)
        return rows if self.around is not None and not rows.is_floating_point() else rows.to(parameter.dtype)

    def moved(self, point: NDArray[Any]) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape of what is moved, without the batch axis, and its number type."""
        row = self.rows(point)
        if self.around is None:
            return tuple(row.shape[1:]), row.dtype
        found: list[Tensor] = []
        with self._around(found.append), observing(self.module, (), _unseen):
            self._call(row)
        if len(found) != 1:
            raise ValueError(f"around: {self.around!r} ran {len(found)} times when the module was called.")
        return tuple(found[0].shape[1:]), found[0].dtype

    @contextmanager
    def _around(self, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        """Change the output of the part around which the neighbourhoods lie."""
        part = dict(self.module.named_modules()).get(self.around or "")
        if part is None:
            raise ValueError(
                f"around: the module has no submodule {self.around!r}; see module.named_modules()."
            )
        handle = part.register_forward_hook(lambda _, inputs, output: change(output), prepend=True)
        try:
            yield
        finally:
            handle.remove()

    def _call(self, rows: Tensor) -> None:
        """Run the module; inputs that it cannot take are refused with what PyTorch says of them."""
        try:
            self.module(rows)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError) as error:
            said = str(error).partition("\n")[0]
            raise ValueError(
                f"The module does not run on inputs of shape {list(rows.shape[1:])} and type {rows.dtype}: "
                f"{said}"
            ) from error

    def _run(self, rows: Tensor, moves: Tensor) -> None:
        """Pass all vertices ``rows + moves``, ``[V * B, ...]``, through the module."""
        if self.around is not None:
            repeated = rows.expand(len(moves), *rows.shape).flatten(0, 1)
            shifts = moves.expand(-1, len(rows), *moves.shape[2:]).flatten(0, 1)
            with self._around(lambda output: output + shifts):
                self._call(repeated)
            return
        vertices = (rows + moves).flatten(0, 1)
        if vertices.ndim == 4:  # images: most devices convolve faster where channels lie together
            vertices = vertices.contiguous(memory_format=torch.channels_last)
        self._call(vertices)

    def crossed(self, rows: Tensor, moves: Tensor, step: int) -> dict[str, Tensor]:
        """Counts of points by layer, each ``int[B, tokens]``; ``step`` vertices of each in one pass."""
        signs: dict[str, _Signs] = {}
        calls: Counter[str] = Counter()
        n_rows = 0

        def see(name: str, z: Tensor) -> None:
            calls[name] += 1
            key = name if calls[name] == 1 else f"{name}#{calls[name]}"
            signs.setdefault(key, _Signs(key, len(rows))).see(z, n_rows)

        with observing(self.module, self.layers, see):
            for start in range(0, len(moves), step):
                chosen = moves[start : start + step]
                calls.clear()
                n_rows = len(chosen) * len(rows)
                self._run(rows, chosen)
        self._check(signs)
        return {name: seen.crossed() for name, seen in signs.items()}

    def _check(self, signs: dict[str, _Signs]) -> None:
        """Refuse layers that did not run, and modules without any."""
        parts = dict(self.module.named_modules())
        for name in self.layers or ():
            if name not in signs:
                raise ValueError(
                    f"layers: {name!r} did not run when the module was called."
                    if name in parts
                    else f"layers: the module has no submodule {name!r}; see module.named_modules()."
                )
        if not signs:
            raise ValueError(
                "The module runs no activation that is observed; name the submodules whose outputs are "
                "pre-activations, such as layers=['mlp.up_proj']."
            )


def _unseen(name: str, z: Tensor) -> None:
    """Nothing is observed."""


def observed_crossings(
    module: nn.Module,
    points: NDArray[Any],
    radius: float,
    frames: int | ArrayLike | None,
    *,
    shared_frame: bool,
    rng: np.random.Generator,
    layers: Sequence[str] | None = None,
    around: str | None = None,
    batch_size: int | None = None,
) -> dict[str, Counts]:
    """How many units of the observed layers take both signs at the vertices, by name, ``int[B, tokens]``.

    A part that runs twice in a pass is two layers, ``name`` and ``name#2``. Pre-activations of three axes are
    those of tokens, ``[B, tokens, units]``; others count as one token.

    Arguments:
        module: any module of one tensor; it runs where and in the type that its parameters are.
        points: ``[B, *shape]``.
        radius, frames, shared_frame, rng: of the vertices around each point.
        layers: names of submodules and activations. Of an activation the input is observed, of another part
            its output.
        around: the submodule whose output is moved.
        batch_size: points worked on together.
    """
    asked = _Observed(module, layers, around)
    if not len(points):
        return {name: np.zeros((0, 1), dtype=np.int64) for name in layers or ()}
    shape, dtype = asked.moved(points[:1])
    d = prod(shape)
    drawn = Frames(checked_frames(frames, d, shared_frame), shared_frame, rng)
    parameter = next(module.parameters(), torch.zeros(()))
    step = max(1, _room(parameter.device) // (d * parameter.element_size()))
    batch = batch_size or min(step, 32)
    moves: Tensor | None = None
    collected: list[dict[str, Tensor]] = []
    for start in range(0, len(points), batch):
        rows = asked.rows(points[start : start + batch])
        if moves is None or not drawn.shared:
            directions = radius * drawn.drawn(len(rows), d)
            both = np.concatenate([directions, -directions], axis=1).swapaxes(0, 1)
            moves = torch.tensor(both).to(rows.device, dtype).reshape(len(both), -1, *shape)
        collected.append(asked.crossed(rows, moves, max(1, step // len(rows))))
    return {name: torch.cat([c[name] for c in collected]).cpu().numpy() for name in collected[0]}


def _room(device: torch.device) -> int:
    """Bytes of vertices in one forward pass."""
    return torch.cuda.mem_get_info(device)[0] // 16 if device.type == "cuda" else ROOM
