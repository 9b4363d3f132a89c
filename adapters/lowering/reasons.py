"""Why operators have no rule for values that depend on the input: smooth, discontinuous, random."""

from __future__ import annotations

from collections.abc import Mapping

from polytope.errors import LoadError, NotPiecewiseLinearError, UnsupportedOpError

_IN_THE_MIDDLE = (
    "It stands in the middle of the model, so no cut keeps the whole function; "
    "from_= and until= name where a piece of it begins and ends."
)
_SPLINES = "smooth=0.1, say, puts splines in place of GELU, SiLU, softplus, Mish, tanh and sigmoid."
_SPLINED = ("Sigmoid", "Tanh", "Gelu", "Erf", "Mish", "Swish", "Softplus")  # Erf: of a GELU in several nodes
SMOOTH: Mapping[str, str] = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Exp": "exp",
    "Log": "log",
    "Erf": "erf",
    "Gelu": "gelu",
    "Elu": "elu",
    "Celu": "celu",
    "Selu": "selu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Mish": "mish",
    "Swish": "silu",
    "HardSwish": "hardswish",
    "Sqrt": "sqrt",
    "Pow": "pow",
    "Reciprocal": "reciprocal",
    "Sin": "sin",
    "Cos": "cos",
    "Tan": "tan",
    "Asin": "asin",
    "Acos": "acos",
    "Atan": "atan",
    "Sinh": "sinh",
    "Cosh": "cosh",
    "Asinh": "asinh",
    "Acosh": "acosh",
    "Atanh": "atanh",
    "LogSigmoid": "log_sigmoid",
    "SwiGLU": "glu",
    "LayerNormalization": "layer_norm",
    "GroupNormalization": "group_norm",
    "RMSNormalization": "rms_norm",
    "LpNormalization": "normalize",
    "LRN": "local_response_norm",
    "InstanceNormalization": "native_group_norm",
    "MeanVarianceNormalization": "var_mean",
    "ReduceL2": "norm",
    "ReduceLogSumExp": "logsumexp",
    "ReduceSumSquare": "square",
    "ReduceLogSum": "log2",
    "ReduceProd": "prod",
    "CumProd": "cumprod",
    "Det": "det",
    "LSTM": "lstm",
    "GRU": "gru",
    "Attention": "scaled_dot_product_attention",
    "LinearAttention": "_scaled_dot_product_attention_math",
    "SoftmaxCrossEntropyLoss": "cross_entropy_loss",
}
"""Operators that are smooth, quadratic or rational in their input: ONNX name to an ATen name."""

_SMOOTH_ATEN = (
    *(
        "_softmax",
        "_log_softmax",
        "rsqrt",
        "expm1",
        "log1p",
        "log10",
        "linalg_vector_norm",
        "native_layer_norm",
    ),
    *("rnn_tanh", "var", "std", "atan2", "erfc", "cosine_similarity", "logaddexp"),
)

JUMPS: Mapping[str, str] = {
    "Sign": "sign",
    "Floor": "floor",
    "Ceil": "ceil",
    "Round": "round",
    "Mod": "remainder",
    "ArgMax": "argmax",
    "ArgMin": "argmin",
    "Hardmax": "hardmax",
    "NonZero": "nonzero",
    "QuantizeLinear": "fake_quantize_per_tensor_affine",
    "DynamicQuantizeLinear": "quantize_per_tensor",
    "ThresholdedRelu": "threshold",
    "Shrink": "hardshrink",
    "OneHot": "one_hot",
    "Unique": "_unique2",
    "Equal": "eq",
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "IsNaN": "isnan",
    "IsInf": "isinf",
    "NonMaxSuppression": "argsort",
    "BitCast": "view_dtype",
    "BitShift": "bitwise_and",
}
"""Operators that are constant or affine in pieces, but jump between them: ONNX name to an ATen name."""

_JUMPS_ATEN = ("ne", "logical_not", "bitwise_or", "bitwise_not", "isfinite", "trunc", "fmod", "bucketize")

RANDOM: Mapping[str, str] = {
    "Bernoulli": "bernoulli",
    "Multinomial": "multinomial",
    "RandomNormal": "randn",
    "RandomUniform": "rand",
    "RandomNormalLike": "randn_like",
    "RandomUniformLike": "rand_like",
}
"""Operators that draw at random: ONNX name to ATen name."""

_CONTROL = ("If", "Loop", "Scan", "SequenceMap", "prim::If", "prim::Loop")
_LISTS = (
    *(
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceInsert",
        "SequenceErase",
        "SequenceAt",
        "SequenceLength",
    ),
    *("SplitToSequence", "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement"),
)

_TREES = tuple(
    f"ai.onnx.ml.TreeEnsemble{kind}" for kind in ("", "Classifier", "Regressor")
)  # rows of decision trees

ROUNDING = (
    "it rounds to whole numbers: rounding is a step, not a slope, so no piecewise-linear network equals it."
)
_ROUND = ("QuantizeLinear",)
_WHOLE = ("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")

_SENTENCES: tuple[tuple[tuple[str, ...], type[LoadError], str], ...] = (
    ((*SMOOTH, *SMOOTH.values(), *_SMOOTH_ATEN), NotPiecewiseLinearError, "it is not piecewise linear."),
    (
        _ROUND,
        NotPiecewiseLinearError,
        f"{ROUNDING} load(path, dequantised=True) reads the network of the same weights without it.",
    ),
    (
        _WHOLE,
        NotPiecewiseLinearError,
        f"{ROUNDING} Load the model from before it was quantised.",
    ),
    (
        (*(op for op in JUMPS if op not in (*_ROUND, *_WHOLE)), *JUMPS.values(), *_JUMPS_ATEN),
        NotPiecewiseLinearError,
        "it is discontinuous: its output jumps, so no continuous piecewise-linear network equals it.",
    ),
    (
        (*RANDOM, *RANDOM.values()),
        NotPiecewiseLinearError,
        "it draws at random: its output is no function of the input.",
    ),
    (
        _CONTROL,
        UnsupportedOpError,
        "it is control flow, which is not supported. Export the model with the flow unrolled.",
    ),
    (
        _TREES,
        NotPiecewiseLinearError,
        "an ensemble of decision trees is piecewise constant: its output jumps, so no continuous "
        "piecewise-linear network equals it.",
    ),
    (
        ("ai.onnx.ml.Normalizer", "ai.onnx.ml.SVMClassifier", "ai.onnx.ml.SVMRegressor"),
        NotPiecewiseLinearError,
        "it is not piecewise linear.",
    ),
    (
        ("ai.onnx.ml.Binarizer", "ai.onnx.ml.LabelEncoder", "ai.onnx.ml.ArrayFeatureExtractor"),
        NotPiecewiseLinearError,
        "it makes or looks up labels, which jump.",
    ),
    (_LISTS, UnsupportedOpError, "it makes or reads a list of tensors, which is not supported."),
)


def refusal(table: str, op: str) -> LoadError:
    """Why an operator has no rule for values that depend on the input."""
    base = op.rstrip("_") if table == "ATen" else op
    for names, kind, sentence in _SENTENCES:
        if base in names:
            return kind(sentence)
    return UnsupportedOpError(f"{table} operator {op} is not supported; `polytope ops` lists those that are.")


def in_the_middle(op: str) -> str:
    """What to do about an operator, of either table, with more than the model's head behind it."""
    splined = op in (*_SPLINED, *(SMOOTH[name] for name in _SPLINED))
    return f"{_IN_THE_MIDDLE} {_SPLINES}" if splined else _IN_THE_MIDDLE


def refused_ops() -> list[tuple[str, str, str]]:
    """Operators with a reason of their own: table, name and sentence."""
    onnx = [name for names in (SMOOTH, JUMPS, RANDOM) for name in names]
    found = []
    for names, _, sentence in _SENTENCES:
        for name in names:
            table = (
                "ONNX"
                if name in (*onnx, *_LISTS, *_WHOLE) or (name in _CONTROL and "::" not in name)
                else "ATen"
            )
            found.append((table, name, sentence))
    return sorted(found, key=lambda row: (row[0] != "ONNX", row[2], row[1]))


def is_refused(op: str) -> bool:
    """Whether there is a reason other than a missing rule to refuse an ONNX operator."""
    return any(op in names for names, _, _ in _SENTENCES)


def is_smooth(table: str, op: str) -> bool:
    """Whether an operator is known to be smooth rather than piecewise linear."""
    return op in (SMOOTH if table == "ONNX" else (*SMOOTH.values(), *_SMOOTH_ATEN))
