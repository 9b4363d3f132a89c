"""What the values of an architecture are as random variables: of which weights, with mean 0, Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

from polytope.infinite.activations import Bend
from polytope.infinite.operations import Linear, Step, Sum


def sources(steps: Sequence[Step]) -> tuple[frozenset[int], ...]:
    """For each value the layers whose weights it is a function of, without those in front of them.

    Arguments:
        steps: of an architecture.

    Raises:
        ValueError: a sum of values that depend on the same weights.
    """
    found: list[frozenset[int]] = [frozenset([0])]
    for number, step in enumerate(steps, start=1):
        parts = [found[k] for k in step.inputs]
        joined: frozenset[int] = frozenset().union(*parts)
        if isinstance(step.operation, Sum) and len(joined) < sum(map(len, parts)):
            raise ValueError(
                f"Step {number} adds values that depend on the same weights, with no layer of its own "
                "between them: their covariance has no closed form here."
            )
        found.append(frozenset([number]) if isinstance(step.operation, Linear) else joined)
    return tuple(found)


def centred(steps: Sequence[Step]) -> tuple[bool, ...]:
    """For each value whether its mean over the weights is known to be 0.

    Arguments:
        steps: of an architecture.

    Raises:
        ValueError: a sum of the input and of a value with a mean.
    """
    found, reads = [False], sources(steps)
    for step in steps:
        bends = isinstance(step.operation, Bend)
        found.append(isinstance(step.operation, Linear) or (not bends and all(found[k] for k in step.inputs)))
    for number, step in enumerate(steps, start=1):
        others = [found[k] for k in step.inputs if 0 not in reads[k]]
        if isinstance(step.operation, Sum) and len(others) < len(step.inputs) and not all(others):
            raise ValueError(
                f"Step {number} adds the input to values with a mean: put a linear layer in front of it."
            )
    return tuple(found)


def gaussian(steps: Sequence[Step]) -> tuple[bool, ...]:
    """For each value whether it is Gaussian with mean 0, as what an activation reads must be.

    Arguments:
        steps: of an architecture.

    Raises:
        ValueError: an activation that reads another value, such as a sum with the result of a ReLU.
    """
    found = [False]
    for number, step in enumerate(steps, start=1):
        read = all(found[k] for k in step.inputs)
        operation = step.operation
        if isinstance(operation, Bend) and operation.hinges and not read:
            raise ValueError(
                f"Step {number} is an activation of values that are not Gaussian at infinite width: results "
                "of activations, sums with them, or the input itself. Put a linear layer in front of it."
            )
        straight = not isinstance(operation, Bend) or not (operation.hinges or operation.at_zero)
        found.append(isinstance(operation, Linear) or (read and straight))
    return tuple(found)
