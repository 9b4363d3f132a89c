"""Crossing counts of any PyTorch module, by observing chosen pre-activations while vertices pass through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from polytope.ir.maps import FloatArray
from polytope.measures.local_complexity.crossing import Counts
from polytope.measures.local_complexity.frames import Frames

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Hardswish,
    nn.Hardtanh,
)
"""Activations whose inputs are the pre-activations, observed where no names are given."""

ROOM = 2**24
"""Bytes of input vertices in one forward pass on a CPU; elsewhere a sixteenth of the free memory."""


@dataclass(eq=False)
class _Signs:
    """Whether each unit was positive, and whether it was not, at some vertex, ``bool[B, units]``."""

    n_points: int
    positive: list[Tensor] = field(default_factory=list)
    other: list[Tensor] = field(default_factory=list)

    def see(self, z: Tensor) -> None:
        """Take in ``z [V * B, ...]`` of some vertices, the first index the slowest; units in any order."""
        if z.ndim == 4 and z.is_contiguous(memory_format=torch.channels_last):
            z = z.permute(0, 2, 3, 1)  # as it lies in memory
        z = z.detach().reshape(-1, self.n_points, z[0].numel())
        up, down = z.amax(0) > 0, z.amin(0) <= 0
        if self.positive:
            self.positive[0] |= up
            self.other[0] |= down
        else:
            self.positive, self.other = [up], [down]

    def crossed(self) -> Tensor:
        """How many units took both signs, ``int[B]``."""
        return (self.positive[0] & self.other[0]).sum(1)


def observed_names(module: nn.Module, names: Sequence[str] | None) -> list[str]:
    """The submodules to observe, in the order of the module.

    Raises:
        ValueError: a name is not a submodule, or the module has no activation that is one.
    """
    known = dict(module.named_modules())
    if names is None:
        chosen = [name for name, part in known.items() if isinstance(part, ACTIVATIONS)]
        if not chosen:
            raise ValueError(
                "The module has no activation submodule to observe; name the submodules whose outputs are "
                "pre-activations, such as layers=['mlp.up_proj']."
            )
        return chosen
    for name in names:
        if name not in known:
            raise ValueError(f"layers: the module has no submodule {name!r}; see module.named_modules().")
    return list(names)


@contextmanager
def _observing(module: nn.Module, names: Sequence[str], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Show the pre-activations of the named parts, in evaluation mode, without gradients; then undo that."""
    parts = dict(module.named_modules())
    training = {name: part.training for name, part in parts.items()}

    def before(name: str, part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        see(name, inputs[0].clone() if getattr(part, "inplace", False) else inputs[0])

    def after(name: str, part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        see(name, output)

    handles = [
        parts[name].register_forward_pre_hook(partial(before, name))
        if isinstance(parts[name], ACTIVATIONS)
        else parts[name].register_forward_hook(partial(after, name))
        for name in names
    ]
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()
        for name, part in parts.items():
            part.training = training[name]


def observed_crossings(
    module: nn.Module,
    points: FloatArray,
    radius: float,
    frames: Frames,
    *,
    layers: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> tuple[list[str], Counts]:
    """Names of the observed layers as they ran, and how many of their units take both signs at the vertices.

    A part that runs twice in a pass is two layers, ``name`` and ``name#2``.

    Arguments:
        module: any module of one tensor; it runs where and in the type that its parameters are.
        points: ``[B, *shape]``.
        radius, frames: of the vertices around each point.
        layers: names of submodules. Of an activation the input is observed, of another part its output.
        batch_size: points worked on together.
    """
    names = observed_names(module, layers)
    parameter = next(module.parameters(), torch.zeros(()))
    d = points[0].size if len(points) else 1
    step = max(1, _room(parameter.device) // (d * parameter.element_size()))
    batch = batch_size or min(step, 32)
    moves: Tensor | None = None
    collected: list[dict[str, Tensor]] = []
    for start in range(0, len(points), batch):
        rows = torch.tensor(points[start : start + batch]).to(parameter.device, parameter.dtype)
        if moves is None or not frames.shared:
            drawn = radius * frames.drawn(len(rows), d)
            both = np.concatenate([drawn, -drawn], axis=1).swapaxes(0, 1)
            moves = torch.tensor(both).to(rows).reshape(len(both), -1, *rows.shape[1:])
        collected.append(_crossed(module, names, rows, moves, max(1, step // len(rows))))
    ran = list(collected[0]) if collected else names
    counts = np.zeros((len(ran), len(points)), dtype=np.int64)
    for column, name in enumerate(ran):
        counts[column] = torch.cat([c[name] for c in collected]).cpu().numpy() if collected else 0
    return ran, counts.T.copy()


def _crossed(
    module: nn.Module, names: Sequence[str], rows: Tensor, moves: Tensor, step: int
) -> dict[str, Tensor]:
    """The counts of some points by layer, each ``int[B]``; ``step`` vertices of each in one forward pass."""
    signs: dict[str, _Signs] = {}
    calls: Counter[str] = Counter()

    def see(name: str, z: Tensor) -> None:
        calls[name] += 1
        key = name if calls[name] == 1 else f"{name}#{calls[name]}"
        signs.setdefault(key, _Signs(len(rows))).see(z)

    with _observing(module, names, see):
        for start in range(0, len(moves), step):
            calls.clear()
            vertices = (rows + moves[start : start + step]).flatten(0, 1)
            if vertices.ndim == 4:  # images: most devices convolve faster where channels lie together
                vertices = vertices.contiguous(memory_format=torch.channels_last)
            module(vertices)
    missing = [name for name in names if name not in signs]
    if missing:
        raise ValueError(f"layers: {missing[0]!r} did not run when the module was called.")
    return {name: seen.crossed() for name, seen in signs.items()}


def _room(device: torch.device) -> int:
    """Bytes of input vertices in one forward pass."""
    return torch.cuda.mem_get_info(device)[0] // 16 if device.type == "cuda" else ROOM
