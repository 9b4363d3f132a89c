"""Networks of public packages whose weights come without an architecture, and how files lay them out."""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import adapters
import polytope as pt
from polytope.errors import CorruptFileError, LoadError

_HALF = 0x01306B47
"""What stands in front of weights in half precision, in files of ncnn."""


class Trunk(nn.Module):
    """Named layers one after the other, then several layers of what they give, side by side."""

    def __init__(self, layers: Mapping[str, nn.Module], heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.trunk, self.heads = list(layers), list(heads)
        for name, layer in (*layers.items(), *heads.items()):
            self.add_module(name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All outputs, as one vector."""
        for name in self.trunk:
            x = self.get_submodule(name)(x)
        return torch.cat([self.get_submodule(name)(x).flatten(1) for name in self.heads], dim=1)


class Turned(nn.Module):
    """Images in columns, channels last, as one vector."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Width, height, channels."""
        return x.permute(0, 3, 2, 1).flatten(1)


def proposals() -> Trunk:
    """The first network of MTCNN, P: scores before their softmax, and boxes."""
    return Trunk(_convolved([3, 10, 16, 32], [3, 3, 3], [2]), _heads(nn.Conv2d, 4, 32, (2, 4), 1))


def refinements() -> Trunk:
    """The second one, R."""
    layers = _convolved([3, 28, 48, 64], [3, 3, 2], [3, 3])
    layers |= {"turned": Turned(), "dense4": nn.Linear(576, 128), "prelu4": nn.PReLU(128)}
    return Trunk(layers, _heads(nn.Linear, 5, 128, (2, 4)))


def landmarks() -> Trunk:
    """The third one, O: five points of a face besides."""
    layers = _convolved([3, 32, 64, 64, 128], [3, 3, 3, 2], [3, 3, 2])
    layers |= {"turned": Turned(), "dense5": nn.Linear(1152, 256), "prelu5": nn.PReLU(256)}
    return Trunk(layers, _heads(nn.Linear, 6, 256, (2, 4, 10)))


def _convolved(channels: list[int], kernels: list[int], pools: list[int]) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {}
    for i, size in enumerate(kernels):
        layers[f"conv{i + 1}"] = nn.Conv2d(channels[i], channels[i + 1], size)
        layers[f"prelu{i + 1}"] = nn.PReLU(channels[i + 1])
        if i < len(pools):
            layers[f"pool{i + 1}"] = nn.MaxPool2d(pools[i], 2, ceil_mode=True)
    return layers


def _heads(
    kind: Callable[..., nn.Module], number: int, width: int, sizes: tuple[int, ...], *more: int
) -> dict[str, nn.Module]:
    return {
        f"{'conv' if more else 'dense'}{number}_{i + 1}": kind(width, n, *more) for i, n in enumerate(sizes)
    }


def pitch() -> Trunk:
    """CREPE, tiny: 1024 samples of sound to 360 pitches, before their sigmoid."""
    channels, layers = [1, 128, 16, 16, 16, 32, 64], dict[str, nn.Module]()
    for i in range(6):
        size, stride, around = (512, 4, (254, 254)) if i == 0 else (64, 1, (31, 32))
        layers[f"pad{i + 1}"] = nn.ZeroPad2d((0, 0, *around))
        layers[f"conv{i + 1}"] = nn.Conv2d(channels[i], channels[i + 1], (size, 1), (stride, 1))
        layers[f"relu{i + 1}"] = nn.ReLU()
        layers[f"conv{i + 1}_BN"] = nn.BatchNorm2d(channels[i + 1], eps=0.0010000000474974513)
        layers[f"pool{i + 1}"] = nn.MaxPool2d((2, 1))
    return Trunk(layers | {"turned": TimeFirst()}, {"classifier": nn.Linear(256, 360)})


class TimeFirst(nn.Module):
    """One vector, channels last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Time, channels."""
        return x.permute(0, 2, 1, 3).flatten(1)


def policy(path: Path) -> pt.Network:
    """A ReLU policy of pybullet, whose weights are numbers in a program: it is parsed, not run."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for line in ast.parse(path.read_text()).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
            if name.startswith("weights_") and isinstance(line.value, ast.Call):
                found[name] = np.array(ast.literal_eval(line.value.args[0]))
    layers = [f"weights_{name}" for name in ("dense1", "dense2", "final")]
    return pt.mlp([(found[f"{name}_w"].T, found[f"{name}_b"]) for name in layers])


def super_resolution(path: Path) -> pt.Network:
    """A chain of convolutions of ncnn on an image of 32 x 32: a text of layers, weights beside it."""
    data, place, layers, channels = path.read_bytes(), 0, list[nn.Module](), 3
    for line in path.with_suffix(".param").read_text().splitlines()[2:]:
        kind, *words = line.split()
        if kind == "Input":
            continue
        if kind not in ("Convolution", "Deconvolution"):
            raise LoadError(f"{path.name}: layer {kind} of ncnn stands in no chain of convolutions.")
        option = dict(word.split("=") for word in words if "=" in word)
        turned = kind == "Deconvolution"
        width, size = int(option["0"]), int(option["1"])
        made = (nn.ConvTranspose2d if turned else nn.Conv2d)(
            channels, width, size, int(option.get("3", 1)), int(option.get("4", 0))
        )
        weights, place = _weights(data, place, int(option["6"]))
        bias, place = np.frombuffer(data, "<f4", width, place), place + 4 * width
        shaped = torch.from_numpy(weights.reshape(width, channels, size, size).copy())
        made.load_state_dict(
            {"weight": shaped.transpose(0, 1) if turned else shaped, "bias": torch.from_numpy(bias.copy())}
        )
        layers.append(made)
        if option.get("9") == "2":  # leaky ReLU, with its slope
            layers.append(nn.LeakyReLU(float(option["-23310"].split(",")[1])))
        channels = width
    if place != len(data):
        raise CorruptFileError(f"{path.name}: {len(data) - place} bytes belong to no layer.")
    return adapters.from_torch(nn.Sequential(*layers).eval(), torch.zeros(1, 3, 32, 32))


def _weights(data: bytes, place: int, count: int) -> tuple[np.ndarray[Any, Any], int]:
    """So many numbers from a place on, and where the next ones stand."""
    (kind,) = struct.unpack_from("<I", data, place)
    if kind not in (0, _HALF):
        raise LoadError("Weights of ncnn that are neither in single nor in half precision are not read.")
    width = 2 if kind else 4
    found = np.frombuffer(data, "<f2" if kind else "<f4", count, place + 4).astype(np.float32)
    return found, place + 4 + -(-count * width // 4) * 4
