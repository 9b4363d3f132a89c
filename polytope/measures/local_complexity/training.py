"""Local complexity at chosen points while a PyTorch module trains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.local_complexity.count import LocalComplexity, local_complexity

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(eq=False)
class ComplexityRecorder:
    """Records the crossing count of a module around fixed points; ``with`` it, at chosen training steps.

    Inside ``with recorder:`` a hook counts the forward passes in training mode, from 0, and records before
    those that are asked for; ``record(step)`` records at any other time.

    Arguments:
        module: the module that is trained; counted are the units of its activations, or of ``layers``.
        x: points, ``[B, *shape]``.
        radius, frames, layers, around, batch_size: as in ``local_complexity``; the frame is the same at all
            steps.
        at: the steps to record, or every how many.
        steps: the steps recorded so far.
        found: the counts at each of them.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        >>> recorder = ComplexityRecorder(model, np.zeros((1, 2)), 0.5, at=2)
        >>> with recorder:
        ...     outputs = [model(torch.ones(1, 2)) for _ in range(5)]
        >>> recorder.steps, recorder.per_layer.shape
        ([0, 2, 4], (3, 1))
    """

    module: Module
    x: ArrayLike
    radius: float
    at: int | Collection[int] = 1
    frames: int | None = None
    layers: Sequence[str] | None = None
    around: str | None = None
    batch_size: int | None = None
    steps: list[int] = field(default_factory=list)
    found: list[LocalComplexity] = field(default_factory=list)
    _passes: int = field(default=0, init=False, repr=False)
    _handle: Any = field(default=None, init=False, repr=False)

    __repr__ = one_line

    @property
    def per_layer(self) -> FloatArray:
        """The means over the points, ``[steps, layers]``."""
        return np.array([counts.per_layer.mean(axis=0) for counts in self.found])

    @property
    def per_token(self) -> tuple[FloatArray, ...]:
        """The means over the points, for each layer ``[steps, tokens]``."""
        by_step = [[count.mean(axis=0) for count in counts.per_token or ()] for counts in self.found]
        return tuple(np.array(rows) for rows in zip(*by_step, strict=True))

    def record(self, step: int) -> None:
        """Count now, and keep the counts under this step.

        Arguments:
            step: the number under which they are kept.
        """
        found = local_complexity(
            self.module,
            self.x,
            self.radius,
            frames=self.frames,
            layers=self.layers,
            around=self.around,
            batch_size=self.batch_size,
        )
        self.steps.append(step)
        self.found.append(found)

    def _before(self, module: Module, inputs: object) -> None:
        """Count a forward pass of training."""
        if not module.training:
            return
        step, self._passes = self._passes, self._passes + 1
        if step % self.at == 0 if isinstance(self.at, int) else step in self.at:
            self.record(step)

    def __enter__(self) -> ComplexityRecorder:
        self._handle = self.module.register_forward_pre_hook(self._before)
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()
