"""The variances of weights and biases: torch's defaults, those of a trained network, or given ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from polytope.infinite.given import real
from polytope.ir.maps import FloatArray

Std = Literal["init", "empirical"] | float


@dataclass(frozen=True)
class Prior:
    """How the variances of weights are chosen.

    Arguments:
        weight_std: "init", the layer's own rule; "empirical", the mean squares of the present weights; or
            sigma, for variances ``sigma**2 / fan_in``.
        bias_std: the same for biases; a number is their standard deviation.

    Raises:
        ValueError: neither a word that is known nor a number that is finite and not negative.
    """

    weight_std: Std = "init"
    bias_std: Std = "init"

    def __post_init__(self) -> None:
        for name, value in (("weight_std", self.weight_std), ("bias_std", self.bias_std)):
            if isinstance(value, str):
                known = value in ("init", "empirical")
            else:
                std = real(value, f"{name} ('init', 'empirical' or a number)")
                known = std >= 0 and std * std < float("inf")
            if not known:
                raise ValueError(
                    f"{name} must be 'init', 'empirical', or a number of at least 0 with a finite square, "
                    f"not {value!r}."
                )

    def weight_variances(self, initial: FloatArray, present: FloatArray, fan_in: int) -> FloatArray:
        """Variances of the weights of one parameter.

        Arguments:
            initial: standard deviations at initialisation, ``[k]``.
            present: the weights now, ``[n, k]``.
            fan_in: number of weights that a unit reads.

        Returns:
            ``[k]``.
        """
        return self._chosen(self.weight_std, initial, present, fan_in)

    def bias_variances(self, initial: FloatArray, present: FloatArray) -> FloatArray:
        """Variances of the biases of one parameter.

        Arguments:
            initial: standard deviations at initialisation, ``[k]``.
            present: the biases now, ``[n, k]``.

        Returns:
            ``[k]``.
        """
        return self._chosen(self.bias_std, initial, present, 1)

    def _chosen(self, chosen: Std, initial: FloatArray, present: FloatArray, fan_in: int) -> FloatArray:
        if chosen == "init":
            return np.asarray(initial**2)
        if chosen == "empirical":
            scale = initial if (initial > 0).all() else np.ones_like(initial)
            return np.asarray(scale**2 * float(((present / scale) ** 2).mean()))
        return np.full(initial.shape, float(chosen) ** 2 / fan_in)

    @property
    def in_words(self) -> tuple[str, ...]:
        """Where the variances come from."""
        said = {
            "init": "normal, with the variances of each layer at initialisation",
            "empirical": "mean squares of the present ones",
        }
        parts = [
            f"{kind}: {said[std] if isinstance(std, str) else f'given, {std:g}'}"
            for kind, std in (("weights", self.weight_std), ("biases", self.bias_std))
        ]
        if "empirical" in (self.weight_std, self.bias_std):
            parts.append(
                "weights of a trained network are not independent draws: these variances are not its prior"
            )
        return tuple(parts)
