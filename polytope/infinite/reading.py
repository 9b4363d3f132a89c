"""Architectures from layers that are probed: which sites each weight reads, whatever the layer's code is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from polytope.infinite.activations import Bend
from polytope.infinite.dependence import gaussian
from polytope.infinite.operations import Average, Linear, Operation, Step, Sum
from polytope.infinite.slots import Reads, Slots, slots_of
from polytope.infinite.steps import Architecture
from polytope.ir.maps import FloatArray, IntArray

Probe = Callable[[FloatArray], FloatArray]
"""Values on the sites of one channel, ``[B, A]``, to those of one channel of the result, ``[B, A']``."""

TOGETHER = 1 << 22  # values of a layer's inputs that are probed at a time


@dataclass(frozen=True)
class Layout:
    """Where the channels are in flat values: ``before`` sites in front, ``after`` behind.

    Arguments:
        before, channels, after: their product is the number of values.
    """

    before: int
    channels: int
    after: int

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.before * self.after

    @property
    def size(self) -> int:
        """Number of values."""
        return self.sites * self.channels


def read_slots(probe: Probe, sites: int, values: int) -> Slots:
    """The slots of one weight that is 1 while all others are 0.

    Arguments:
        probe: the layer.
        sites: number of sites of its input.
        values: that the layer reads for one probe.

    Returns:
        One slot.
    """
    numbers = probe(np.arange(1.0, sites + 1)[None])[0]
    index = np.where((numbers >= 0) & (numbers <= sites) & (numbers == np.round(numbers)), numbers, 0)
    index = index.astype(np.int64) - 1
    random = np.random.default_rng(0).standard_normal((2, sites))
    seen = np.where(index >= 0, random[:, index], 0.0)
    if (probe(random) == seen).all():
        return Reads(index[None], sites)
    step, eye = max(TOGETHER // max(values, 1), 1), np.eye(sites)
    columns = np.concatenate([probe(eye[i : i + step]) for i in range(0, sites, step)])
    return slots_of(columns.T[None])


def together(parts: Sequence[Slots]) -> Slots:
    """Slots of several weights as one."""
    if all(isinstance(part, Reads) for part in parts):
        rows: list[IntArray] = [part.index for part in parts if isinstance(part, Reads)]
        return Reads(np.concatenate(rows), parts[0].sites_in)
    return slots_of(np.concatenate([matrices_of(part) for part in parts]))


def matrices_of(slots: Slots) -> FloatArray:
    """Slots as matrices, ``[k, A', A]``."""
    if not isinstance(slots, Reads):
        return slots.matrices
    out = np.zeros((len(slots), slots.sites, slots.sites_in))
    k, site = np.nonzero(slots.index >= 0)
    out[k, site, slots.index[k, site]] = 1.0
    return out


def taken_for_channels(read: Layout, had: Layout) -> int | None:
    """How many sites a layer takes for channels of its own; ``None`` where it reads channels as sites.

    Arguments:
        read: the layout that the layer expects.
        had: that of the value in front of it.
    """
    if read == had:
        return 1
    if read.sites == 1 and read.channels == had.size:
        return had.sites
    if read.before == had.before == 1 and read.channels % had.channels == 0 and read.size == had.size:
        return read.channels // had.channels
    return None


@dataclass(eq=False)
class Builder:
    """Steps that are added one by one.

    Arguments:
        steps: so far.
        layouts: of the values, the input's first; ``None`` until its first weights are known.
    """

    steps: list[Step] = field(default_factory=list)
    layouts: list[Layout | None] = field(default_factory=lambda: [None])

    def add(self, operation: Operation, inputs: tuple[int, ...], layout: Layout) -> int:
        """Add a step.

        Returns:
            The number of its result.
        """
        self.steps.append(Step(operation, inputs))
        self.layouts.append(layout)
        return len(self.steps)

    def layout(self, number: int, otherwise: Layout) -> Layout:
        """The layout of a value; the input's is what its first layer expects."""
        found = self.layouts[number] or otherwise
        self.layouts[number] = found
        return found

    def bend(self, activation: Bend, number: int, name: str) -> int:
        """Add an activation.

        Raises:
            ValueError: it reads values that are not Gaussian.
        """
        layout = self.layouts[number]
        assert layout is not None, "values behind weights have one"
        try:
            gaussian([*self.steps, Step(activation, (number,))])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        return self.add(activation, (number,), layout)

    def average(self, matrix: FloatArray, number: int, layout: Layout, name: str) -> int:
        """Add a fixed map of sites."""
        return self.add(Average(matrix, name), (number,), layout)

    def sum(self, numbers: tuple[int, ...], name: str) -> int:
        """Add a sum.

        Raises:
            ValueError: the values have other channels or sites.
        """
        layouts = [self.layouts[k] for k in numbers]
        first = layouts[0]
        if first is None or any(layout != first for layout in layouts):
            raise ValueError(f"{name}: adds values that do not have the same channels and sites.")
        return self.add(Sum(name), numbers, first)

    def architecture(
        self, input_shape: tuple[int, ...], assumed: Sequence[str], **prepared: object
    ) -> Architecture:
        """What was built."""
        layout = self.layouts[0] or Layout(1, prod(input_shape), 1)
        return Architecture(
            tuple(self.steps),
            input_shape,
            layout.before,
            layout.after,
            assumed=tuple(assumed),
            **prepared,  # type: ignore[arg-type]
        )


def linear_step(
    slots: Slots,
    variances: FloatArray,
    bias: FloatArray,
    *,
    extra: int,
    channels: int,
    width: int,
    name: str,
) -> Linear:
    """A linear layer from what was read of it.

    Arguments:
        slots: of its own layout, ``k`` of them.
        variances: of its weights, ``[k]``.
        bias: patterns times standard deviations, ``[r, A']``.
        extra: sites of the value in front that it takes for channels.
        channels: of that value.
        width: number of its own channels.
        name: for messages.
    """
    wide = slots if extra == 1 else slots.among(extra)
    return Linear(wide, np.tile(variances, extra) * channels, bias, width, name)
