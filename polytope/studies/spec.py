"""What a benchmark measures: a TOML file as architectures, data, training and windows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeVar

ACTIVATIONS = ("relu", "leaky_relu", "absolute", "hard_tanh")
INITIALISATIONS = ("torch", "he", "glorot", "orthogonal")
LARGEST = {"depth": 1000, "width": 10**6, "parameters": 10**9, "seeds": 10**5}


@dataclass(frozen=True)
class Architecture:
    """A fully connected network: hidden layers of one width, and how they begin.

    Arguments:
        depth: number of hidden layers.
        width: units of each.
        initialisation: ``torch`` (its default: uniform weights and biases), ``he``, ``glorot`` or
            ``orthogonal`` (biases zero).
        activation: ``relu``, ``leaky_relu`` (slope 0.1), ``absolute`` or ``hard_tanh``.
        skip: whether every hidden layer after the first is added to the sum of those before it.
    """

    depth: int
    width: int
    initialisation: str = "torch"
    activation: str = "relu"
    skip: bool = False

    def sizes(self, inputs: int, outputs: int) -> list[int]:
        """All layer sizes, inputs first."""
        return [inputs, *[self.width] * self.depth, outputs]

    def parameters(self, inputs: int, outputs: int) -> int:
        """Number of weights and biases."""
        sizes = self.sizes(inputs, outputs)
        return sum((m + 1) * n for m, n in pairwise(sizes))


@dataclass(frozen=True)
class DataSpec:
    """Which images, and how many.

    Arguments:
        name: ``digits`` (scikit-learn's) or ``npz``.
        file: of an ``npz``: images and classes; relative to the specification.
        train, test: numbers of images, split at random, always alike.
        scale: pixels are divided by it.
    """

    name: str = "digits"
    file: str = ""
    train: int = 1437
    test: int = 360
    scale: float = 16.0


@dataclass(frozen=True)
class TrainingSpec:
    """Adam on the cross entropy.

    Arguments:
        epochs: at which epochs to measure, 0 is before training; trained to the last.
        batch: images a step.
        learning_rate: of Adam.
    """

    epochs: tuple[int, ...] = (0, 20)
    batch: int = 64
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class MeasureSpec:
    """What is counted.

    Arguments:
        windows: number of planes, each through three test images of different classes; the same ones for
            every architecture and seed.
        low, high: ends of the square in a plane's coordinates, where the images are (0, 0), (1, 0), (0, 1).
        points: number of test images for local complexity.
        radius: of the local complexity; 0 is a twentieth of the median distance between images.
        directions: of the local complexity, at most as many as there are inputs.
        max_seconds: for the regions of one window; a count that it stops is an interval.
    """

    windows: int = 3
    low: float = -1.0
    high: float = 2.0
    points: int = 100
    radius: float = 0.0
    directions: int = 25
    max_seconds: float = 60.0


Section = TypeVar("Section", DataSpec, TrainingSpec, MeasureSpec)


@dataclass(frozen=True)
class Spec:
    """A benchmark.

    Arguments:
        title: names the table and the plot.
        seeds: every architecture is begun and trained with the seeds 0 .. seeds - 1.
        families: tables of lists, the products of which are the architectures; ``parameters`` in the place
            of ``width`` takes the width that comes nearest.
        data, training, measure: as their classes say.
        folder: where the specification lies.
    """

    title: str
    seeds: int
    families: tuple[Mapping[str, tuple[Any, ...]], ...]
    data: DataSpec = field(default_factory=DataSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    measure: MeasureSpec = field(default_factory=MeasureSpec)
    folder: Path = Path()

    def architectures(self, inputs: int, outputs: int) -> list[Architecture]:
        """The architectures, each once, in the order of the file."""
        found: dict[Architecture, None] = {}
        for family in self.families:
            for chosen in product(*family.values()):
                options = dict(zip(family, chosen, strict=True))
                size = options.pop("parameters", None)
                if size is not None:
                    options["width"] = _width_for(options["depth"], size, inputs, outputs)
                found[Architecture(**options)] = None
        return list(found)


def read_spec(path: Path) -> Spec:
    """The benchmark that a TOML file describes.

    Raises:
        ValueError: the file is not TOML, or holds an unknown name or an impossible value.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a TOML file: {error}") from error
    _known(path, "the file", given, {"title", "seeds", "data", "training", "measure", "architectures"})
    families = given.get("architectures", [])
    families = [families] if isinstance(families, dict) else families
    if not families:
        raise ValueError(f"{path.name}: [architectures] is missing: give depth = [..] and width = [..].")
    spec = Spec(
        title=str(given.get("title", path.stem)),
        seeds=_positive(path, "seeds", given.get("seeds", 5)),
        families=tuple(_family(path, table) for table in families),
        data=_section(path, "data", given, DataSpec()),
        training=_training(path, given),
        measure=_section(path, "measure", given, MeasureSpec()),
        folder=path.parent,
    )
    _check(path, spec)
    return spec


def _family(path: Path, table: Mapping[str, Any]) -> Mapping[str, tuple[Any, ...]]:
    """A table of lists; single values are lists of one."""
    names = {f.name for f in fields(Architecture)} | {"parameters"}
    _known(path, "[architectures]", table, names)
    lists = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in table.items()}
    if "depth" not in lists or ("width" in lists) == ("parameters" in lists):
        raise ValueError(f"{path.name}: [architectures] needs depth, and either width or parameters.")
    for name in ("depth", "width", "parameters"):
        for value in lists.get(name, ()):
            _positive(path, name, value)
    for name, allowed in (("activation", ACTIVATIONS), ("initialisation", INITIALISATIONS)):
        for value in lists.get(name, ()):
            if value not in allowed:
                raise ValueError(f"{path.name}: {name} must be one of {', '.join(allowed)}, not {value!r}.")
    if any(not isinstance(value, bool) for value in lists.get("skip", ())):
        raise ValueError(f"{path.name}: skip must be true or false.")
    return lists


def _section(path: Path, name: str, given: Mapping[str, Any], default: Section) -> Section:
    """A table of the file in the place of the defaults, which give the types."""
    table = given.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"{path.name}: [{name}] must be a table.")
    _known(path, f"[{name}]", table, {f.name for f in fields(default)})
    values = {}
    for key, value in table.items():
        wanted = type(getattr(default, key))
        if isinstance(value, bool) or not isinstance(value, (int, float) if wanted is float else wanted):
            raise ValueError(f"{path.name}: {name}.{key} must be of type {wanted.__name__}, not {value!r}.")
        values[key] = wanted(value)
    return replace(default, **values)


def _training(path: Path, given: Mapping[str, Any]) -> TrainingSpec:
    """The table ``training``, whose epochs are a number or a list."""
    table = given.get("training", {})
    epochs = table.get("epochs", [0, 20]) if isinstance(table, dict) else []
    epochs = tuple([epochs] if isinstance(epochs, int) else epochs)
    whole = all(isinstance(e, int) and not isinstance(e, bool) and e >= 0 for e in epochs)
    if not epochs or not whole or list(epochs) != sorted(set(epochs)):
        raise ValueError(f"{path.name}: training.epochs must be ascending whole numbers, such as [0, 20].")
    rest = {key: value for key, value in table.items() if key != "epochs"}
    return replace(_section(path, "training", {"training": rest}, TrainingSpec()), epochs=epochs)


def _check(path: Path, spec: Spec) -> None:
    """Refuse values that no run could use."""
    data, measure, training = spec.data, spec.measure, spec.training
    if data.name not in ("digits", "npz"):
        raise ValueError(f"{path.name}: data.name must be 'digits' or 'npz', not {data.name!r}.")
    for name, value in (
        ("data.train", data.train),
        ("data.test", data.test),
        ("data.scale", data.scale),
        ("training.batch", training.batch),
        ("training.learning_rate", training.learning_rate),
        ("measure.windows", measure.windows),
        ("measure.points", measure.points),
        ("measure.directions", measure.directions),
        ("measure.max_seconds", measure.max_seconds),
        ("measure.high", measure.high - measure.low),
    ):
        if not value > 0:
            raise ValueError(f"{path.name}: {name} must be positive, and low below high.")
    if measure.radius < 0:
        raise ValueError(f"{path.name}: measure.radius must not be negative; 0 chooses one.")


def _known(path: Path, where: str, table: Mapping[str, Any], names: set[str]) -> None:
    if unknown := sorted(set(table) - names):
        known = ", ".join(sorted(names))
        raise ValueError(f"{path.name}: {where} knows no {unknown[0]!r}; it has {known}.")


def _positive(path: Path, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST[name]:
        raise ValueError(
            f"{path.name}: {name} must be a whole number from 1 to {LARGEST[name]:,}, not {value!r}."
        )
    return value


def _width_for(depth: int, parameters: int, inputs: int, outputs: int) -> int:
    """The width whose number of weights and biases comes nearest to a number."""

    def excess(width: int) -> int:
        return Architecture(depth, width).parameters(inputs, outputs) - parameters

    high = 1
    while excess(high) < 0:
        high *= 2
    near = range(max(1, high // 2), high + 1)
    return min(near, key=lambda width: abs(excess(width)))
