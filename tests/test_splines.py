"""Smooth activations by splines: how near they are is proved, what follows for the model is an interval."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import polytope as pt
from adapters import from_onnx, from_torch
from polytope.errors import (
    CorruptFileError,
    NotPiecewiseLinearError,
    UnboundedDomainError,
    UnsupportedOpError,
)
from polytope.ir.archive import STRUCTURE, from_arrays, to_arrays
from polytope.ir.splines import SMOOTH, smooth_spline
from tests.command_line import polytope as command

FUNCTIONS = {
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "mish": torch.nn.functional.mish,
    "softplus": torch.nn.functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
MODULES = {
    "gelu": torch.nn.GELU(),
    "gelu_tanh": torch.nn.GELU("tanh"),
    "silu": torch.nn.SiLU(),
    "mish": torch.nn.Mish(),
    "softplus": torch.nn.Softplus(),
    "sharp softplus": torch.nn.Softplus(beta=3.0),
    "tanh": torch.nn.Tanh(),
    "sigmoid": torch.nn.Sigmoid(),
}


def module_of(name: str, seed: int, widths: tuple[int, ...] = (3, 12, 12, 2)) -> torch.nn.Sequential:
    """A network of an activation in float64, with inputs of ordinary size."""
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for n, m in itertools.pairwise(widths):
        layers += [torch.nn.Linear(n, m), MODULES[name]]
    return torch.nn.Sequential(*layers[:-1]).double().eval()


def values(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(torch.as_tensor(x)))


@pytest.mark.parametrize("spacing", [0.5, 0.1])
@pytest.mark.parametrize("name", list(SMOOTH))
def test_a_spline_is_as_near_to_its_function_as_it_says(name: str, spacing: float) -> None:
    made = smooth_spline(name, spacing)
    assert made.spline is not None
    assert made.jump() is None
    z = torch.linspace(-50, 50, 400_001, dtype=torch.float64, requires_grad=True)
    y = FUNCTIONS[name](z)
    (slope,) = torch.autograd.grad(y.sum(), z)
    at = z.detach().numpy()[None]
    off = np.abs(made.values(at)[0] - y.detach().numpy()).max()
    steep = np.abs(made.slopes[0][made.pattern(at)[0]] - slope.numpy()).max()
    assert 0.9 * made.spline.error < off <= made.spline.error
    assert 0.9 * made.spline.slope_error < steep <= made.spline.slope_error
    assert float(slope.abs().max()) <= made.spline.steepest
    if name == "gelu":
        assert made.spline.error <= 0.1 * spacing**2


@pytest.mark.parametrize("name", list(MODULES))
def test_a_model_is_never_further_from_its_splines_than_proved(name: str) -> None:
    rng = np.random.default_rng(0)
    for seed, spacing in ((0, 0.4), (1, 0.1)):
        module = module_of(name, seed)
        network = from_torch(module, torch.zeros(1, 3, dtype=torch.float64), smooth=spacing)
        x = np.concatenate([rng.standard_normal((20_000, 3)) * s for s in (1, 10, 1000)])
        off, bound = np.abs(values(module, x) - network(x)).max(axis=0), pt.spline_deviation(network)
        assert (off <= bound).all()
        assert (bound < 60 * off).all()  # about the ratio of two layers whose errors never all add up
        assert "splines of" in repr(network)
        assert "splines stand for" in network.import_note


def test_without_splines_nothing_changes() -> None:
    module, example = module_of("gelu", 0), torch.zeros(1, 3, dtype=torch.float64)
    for read in (lambda: from_torch(module, example), lambda: from_onnx(decomposed("gelu"))):
        with pytest.raises(NotPiecewiseLinearError, match=r"smooth=0\.1, say, puts splines in place of GELU"):
            read()
    relu = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    assert from_torch(relu, example, smooth=0.1).import_note == from_torch(relu, example).import_note
    assert (pt.spline_deviation(from_torch(relu, example)) == 0).all()
    for wrong in (0.0, -1.0, float("nan"), "0.1"):
        with pytest.raises(ValueError, match="positive number"):
            from_torch(module, example, smooth=wrong)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOpError, match="larger one"):
        from_torch(module, example, smooth=0.001)


def decomposed(name: str) -> onnx.ModelProto:
    """A model whose activation is written in several nodes, as exporters do."""
    rng = np.random.default_rng(3)
    half, one, root = (np.float32(v) for v in (0.5, 1.0, np.sqrt(2.0)))
    tail = {
        "gelu": [
            helper.make_node("Div", ["z", "root"], ["q"]),
            helper.make_node("Erf", ["q"], ["e"]),
            helper.make_node("Add", ["e", "one"], ["g"]),
            helper.make_node("Mul", ["z", "g"], ["m"]),
            helper.make_node("Mul", ["m", "half"], ["h"]),
        ],
        "gelu_tanh": [
            helper.make_node("Mul", ["cubic", "z"], ["q"]),
            helper.make_node("Mul", ["z", "q"], ["r"]),
            helper.make_node("Mul", ["z", "r"], ["c"]),
            helper.make_node("Add", ["z", "c"], ["s"]),
            helper.make_node("Mul", ["narrow", "s"], ["n"]),
            helper.make_node("Tanh", ["n"], ["t"]),
            helper.make_node("Add", ["one", "t"], ["g"]),
            helper.make_node("Mul", ["half", "g"], ["m"]),
            helper.make_node("Mul", ["z", "m"], ["h"]),
        ],
        "silu": [helper.make_node("Sigmoid", ["z"], ["s"]), helper.make_node("Mul", ["s", "z"], ["h"])],
        "mish": [
            helper.make_node("Softplus", ["z"], ["s"]),
            helper.make_node("Tanh", ["s"], ["g"]),
            helper.make_node("Mul", ["z", "g"], ["h"]),
        ],
    }[name]
    nodes = [
        helper.make_node("Gemm", ["x", "W", "b"], ["z"]),
        *tail,
        helper.make_node("MatMul", ["h", "V"], ["y"]),
    ]
    arrays = {"W": rng.standard_normal((3, 8)), "b": rng.standard_normal(8), "V": rng.standard_normal((8, 2))}
    arrays |= {"half": np.array(half), "one": np.array(one), "root": np.array(root)}
    arrays |= {"cubic": np.array(0.044715), "narrow": np.array(np.sqrt(2 / np.pi))}
    tensors = [numpy_helper.from_array(np.asarray(a, dtype=np.float32), n) for n, a in arrays.items()]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in (("x", 3), ("y", 2))]
    graph = helper.make_graph(nodes, "decomposed", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "mish"])
def test_activations_written_in_several_nodes_are_recognised(name: str) -> None:
    network = from_onnx(decomposed(name), smooth=0.1)
    assert network.n_units == 8
    assert f"splines stand for {name} (" in network.import_note
    assert network.import_error is not None
    assert network.import_error <= pt.spline_deviation(network).max() + 1e-5


def test_radii_and_slopes_of_the_model_lie_in_their_intervals() -> None:
    module = module_of("gelu", 5, (2, 5, 2))
    network = from_torch(module, torch.zeros(1, 2, dtype=torch.float64), smooth=0.25)
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((4000, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    decided = 0
    for x in rng.uniform(-2, 2, (6, 2)):
        found = pt.smooth_radius(network, x, max_regions=60)
        label = values(module, x[None])[0].argmax()
        assert not found.exact
        near = x + found.lower * directions * rng.uniform(0, 1, (4000, 1))
        assert (values(module, near).argmax(axis=1) == label).all()
        if found.witness is not None:
            past = x + (found.witness - x) * (1 + 1e-9)
            lead = np.sort(values(module, past[None])[0])
            assert values(module, past[None])[0].argmax() != label or lead[1] - lead[0] < 1e-6
            decided += found.lower > 0.3 * found.value
    assert decided >= 3
    constant = pt.smooth_lipschitz(network, pt.Polyhedron.box([-2, -2], [2, 2]))
    points = torch.as_tensor(rng.uniform(-2, 2, (2000, 2)), dtype=torch.float64)
    jacobians = torch.func.vmap(torch.func.jacrev(module))(points)
    steepest = float(torch.linalg.matrix_norm(jacobians.detach(), 2).max())
    assert constant.lower > 0.3 * steepest
    assert constant.lower <= steepest * (1 + 1e-6) <= constant.upper * (1 + 1e-6)
    assert steepest <= constant.upper < 4 * steepest


@pytest.mark.parametrize("seconds", [1e-9, 1e-3])
def test_radii_of_the_model_hold_within_any_budget(seconds: float) -> None:
    module = module_of("silu", 5, (2, 5, 2))
    network = from_torch(module, torch.zeros(1, 2, dtype=torch.float64), smooth=0.25)
    x = np.array([0.5, -0.25])
    longer = pt.smooth_radius(network, x, max_regions=60)
    found = pt.smooth_radius(network, x, max_seconds=seconds)
    assert 0 <= found.lower <= longer.value
    assert longer.lower <= found.value
    few = pt.smooth_radius(network, x, max_regions=6)
    assert few.regions <= 6
    assert few.lower <= longer.value


def test_measures_of_the_model_refuse_what_they_cannot_read() -> None:
    module = module_of("silu", 5, (2, 5, 2))
    network = from_torch(module, torch.zeros(1, 2, dtype=torch.float64), smooth=0.25)
    for x in ([np.nan, 0.0], [0.0], [[0.0, 0.0], [1.0, 1.0]]):
        with pytest.raises(ValueError, match=r"smooth_radius: x must be .*finite point"):
            pt.smooth_radius(network, x)
    with pytest.raises(TypeError, match="smooth_radius: x must be a point"):
        pt.smooth_radius(network, "here")
    with pytest.raises(ValueError, match="norm must be 1, 2"):
        pt.smooth_radius(network, [0.0, 0.0], 3)
    with pytest.raises(ValueError, match="not a point of the domain"):
        pt.smooth_radius(network, [0.0, 0.0], domain=(1, 2))
    with pytest.raises(UnboundedDomainError, match="smooth_lipschitz needs a bounded domain"):
        pt.smooth_lipschitz(network, pt.Polyhedron.whole_space(2))


def test_the_command_line_says_that_it_speaks_of_splines(tmp_path: Path) -> None:
    file = tmp_path / "gelu.onnx"
    onnx.save(decomposed("gelu"), file)
    refused = command("count", file, "--box", "-1", "1")
    assert refused.returncode == 3
    done = command(
        "audit", file, "--box", "-1", "1", "--smooth", "0.5", "--budget", "5s", "--out", tmp_path / "o"
    )
    assert "is smooth (gelu, spacing 0.5): all that follows is said of the network of splines" in done.stdout
    counted = command("count", file, "--box", "-1", "1", "--smooth", "0.5", "--max-seconds", "10")
    assert "splines stand for gelu" in counted.stderr


def test_a_stored_network_keeps_what_its_splines_stand_for() -> None:
    network = from_onnx(decomposed("gelu"), smooth=0.5)
    arrays = to_arrays(network)
    again = from_arrays(arrays)
    assert (pt.spline_deviation(again) == pt.spline_deviation(network)).all()
    assert repr(again) == repr(network)
    structure = arrays[STRUCTURE].tobytes()
    for old, new in ((b'["gelu", 0.5]', b'["gelu", 0.4]'), (b'["gelu", 0.5]', b'["silu", 0.5]')):
        assert old in structure
        changed = np.frombuffer(structure.replace(old, new), dtype=np.uint8)
        with pytest.raises(CorruptFileError, match="pieces of a spline"):
            from_arrays({**arrays, STRUCTURE: changed})
    for new in (b'["sine", 0.5]', b'["gelu", 1e-9]', b'["gelu", "x"]', b"3"):
        changed = np.frombuffer(structure.replace(b'["gelu", 0.5]', new), dtype=np.uint8)
        with pytest.raises(CorruptFileError):
            from_arrays({**arrays, STRUCTURE: changed})


def test_no_count_of_regions_goes_without_the_word_splines() -> None:
    """The model has no regions."""
    network, box = from_onnx(decomposed("gelu"), smooth=0.5), pt.Polyhedron.box([-1] * 3, [1] * 3)
    for found in (pt.count_regions(network, box), pt.enumerate_regions(network, box)):
        assert repr(found).endswith(", splines of gelu)")
    plain = pt.mlp([(np.eye(3), np.zeros(3)), (np.ones((1, 3)), np.zeros(1))])
    for found in (pt.count_regions(plain, box), pt.enumerate_regions(plain, box)):
        assert "splines" not in repr(found)
